"""HTTP client: requests over persistent connections, also with TLS; invalid replies become failures."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from workbench.errors import NegwbError
from workbench.generation.engines.http.body import MAX_BODY_BYTES
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure
from workbench.generation.engines.http.multipart import MultipartFile

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-AFTER: 7\r\n\r\nhi"


@asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server on loopback."""

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_connections_are_reused_and_requests_sent_in_one_piece() -> None:
    connections, pieces = 0, []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while piece := await reader.read(2**16):
            pieces.append(piece)
            writer.write(GOOD)

    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}/v1/", key="k") as exchange:
        for number in range(3):
            reply = await exchange.post("/chat", b'{"n":%d}' % number)
            assert isinstance(reply, Reply)
            assert (reply.status, reply.body, reply.headers["retry-after"]) == (200, b"hi", "7")
    assert connections == 1
    assert len(pieces) == 3
    assert pieces[2].startswith(b"POST /v1/chat HTTP/1.1\r\n")
    assert pieces[2].endswith(b'\r\n\r\n{"n":2}')
    assert b"Authorization: Bearer k\r\n" in pieces[2]


async def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GOOD)
        await writer.drain()

    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}") as exchange:
        for _ in range(3):
            assert isinstance(await exchange.get("/models"), Reply)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("sent", "failure"),
    [
        (b"", "connection"),
        (b"HTTP/1.1 2", "connection"),
        (b"SSH-2.0-x\r\n\r\n", "connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -9\r\n\r\nhi", "connection"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "connection"),
        (b"\x00" * 300_000, "connection"),
    ],
)
async def test_incomplete_answers_are_failures(sent: bytes, failure: str) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()

    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}", timeout=5) as exchange:
        reply = await exchange.get("/models")
    assert isinstance(reply, TransportFailure)
    assert reply.failure == failure
    assert reply.detail.isprintable()


async def test_an_endless_answer_is_cut_off() -> None:
    sent = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 20 * MAX_BODY_BYTES:
            writer.write(b"x" * 2**16)
            sent += 2**16
            await writer.drain()

    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}", timeout=20) as exchange:
        reply = await exchange.get("/models")
        await asyncio.sleep(0.05)
    assert isinstance(reply, TransportFailure)
    assert reply.failure == "oversized"
    assert sent < 4 * MAX_BODY_BYTES  # it was stopped, not swallowed


async def test_a_large_body_is_sent_and_a_large_answer_read() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(3_000_000)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    body = bytes(range(256)) * 11718 + b"x" * 192
    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}", timeout=20) as exchange:
        reply = await exchange.post("/chat", body)
    assert isinstance(reply, Reply)
    assert reply.body == body


async def test_a_file_is_uploaded_in_pieces_as_a_form(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8_192  # 2 MiB
    (tmp_path / "ask.jsonl").write_bytes(content)
    received: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        received.extend((head, await reader.readexactly(length)))
        writer.write(GOOD)
        await writer.drain()

    form = MultipartFile(path=tmp_path / "ask.jsonl", name="negwb-1.jsonl", fields={"purpose": "batch"})
    progress: list[tuple[int, int]] = []
    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}", key="k") as client:
        reply = await client.upload("/files", form, on_sent=lambda sent, total: progress.append((sent, total)))
    assert isinstance(reply, Reply)
    head, body = received
    assert f"Content-Type: {form.content_type}\r\n".encode() in head
    assert head.count(b"Content-Type") == 1
    assert b"Authorization: Bearer k\r\n" in head
    purpose, file = body.split(f"--{form.boundary}".encode())[1:3]
    assert purpose == b'\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    assert b'name="file"; filename="negwb-1.jsonl"' in file
    assert file.partition(b"\r\n\r\n")[2] == content + b"\r\n"
    assert len(progress) > 30
    assert progress[-1] == (len(body), len(body))


async def test_a_file_that_cannot_be_read_is_no_failure_of_the_connection(tmp_path: Path) -> None:
    async with HttpClient("http://127.0.0.1:9") as client:
        with pytest.raises(NegwbError, match="cannot read"):
            await client.upload("/files", MultipartFile(path=tmp_path / "missing", name="x"))


async def test_a_download_is_passed_on_chunk_by_chunk_up_to_its_limit() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        status = b"200 OK" if path == b"/good" else b"409 Conflict"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 6000000\r\n\r\n")
        for _ in range(6):
            writer.write(b"x" * 1_000_000)
            await writer.drain()

    written: list[int] = []
    progress: list[tuple[int, int]] = []
    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}", timeout=20) as client:
        good = await client.download(
            "/good",
            lambda chunk: written.append(len(chunk)),
            max_bytes=6_000_000,
            on_received=lambda *step: progress.append(step),
        )
        assert progress[-1] == (6_000_000, 6_000_000)
        assert isinstance(good, Reply)
        assert (good.body, sum(written)) == (b"", 6_000_000)  # more than a reply may have in memory
        assert max(written) <= 2**20
        cut = await client.download("/good", lambda chunk: None, max_bytes=5_000_000)
        assert isinstance(cut, TransportFailure)
        assert cut.failure == "oversized"
        written.clear()
        bad = await client.download("/bad", lambda chunk: written.append(len(chunk)), max_bytes=6_000_000)
        assert isinstance(bad, TransportFailure)  # an error text of 6 MB
        assert written == []


@pytest.mark.parametrize(
    ("max_bytes", "cut", "failure"),
    [(3_000_000, None, ""), (2_999_999, None, "oversized"), (3_000_000, -20, "encoding")],
)
async def test_a_compressed_download_is_decompressed_within_its_limit(
    max_bytes: int, cut: int | None, failure: str
) -> None:
    content = b"caption\n" * 375_000
    sent = gzip.compress(content)[:cut]

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(sent) + sent)
        await writer.drain()

    written: list[bytes] = []
    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}") as client:
        reply = await client.download("/content", written.append, max_bytes=max_bytes)
    if failure:
        assert isinstance(reply, TransportFailure)
        assert reply.failure == failure
    else:
        assert b"".join(written) == content
    assert max(map(len, written)) <= 2**20


async def test_a_path_may_have_a_query_of_its_own() -> None:
    lines: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(GOOD)
        await writer.drain()

    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}/v1?api-version=1") as client:
        await client.get("/batches?limit=100&after=b_1")
    assert lines == [b"GET /v1/batches?api-version=1&limit=100&after=b_1 HTTP/1.1"]


async def test_a_download_of_single_bytes_times_out() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}", timeout=0.3) as client:
        reply = await client.download("/content", lambda chunk: None, max_bytes=10**6)
    assert isinstance(reply, TransportFailure)
    assert reply.failure == "timeout"


async def test_an_error_of_the_writer_is_not_swallowed() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GOOD)
        await writer.drain()

    def write(chunk: bytes) -> None:
        raise NegwbError("the disk is full")

    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(NegwbError, match="full"):
            await client.download("/content", write, max_bytes=100)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A folder with cert.pem and key.pem for localhost."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem"
    arguments = [*command.split(), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(arguments, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


async def test_tls_works_and_an_unknown_certificate_is_rejected(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(GOOD)

    async with serving(handler, context) as port:
        async with HttpClient(f"https://localhost:{port}") as wary:
            refused = await wary.get("/models")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        async with HttpClient(f"https://localhost:{port}") as exchange:
            replies = [await exchange.get("/models") for _ in range(2)]
    assert isinstance(refused, TransportFailure)
    assert "certificate" in refused.detail.lower()
    assert all(isinstance(reply, Reply) and reply.body == b"hi" for reply in replies)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("", "http://127.0.0.1"),
        ("http://[", ""),
        ("http://user:pass@other.example/v1?key=abcdefgh", "http://other.example/v1"),
        ("//other.example/sk-abcdefgh", "http://other.example/[key]"),
        ("https://127.0.0.1/v1", "https://127.0.0.1/v1"),
        ("ftp://127.0.0.1/v1", "ftp://127.0.0.1/v1"),
    ],
)
async def test_a_redirect_elsewhere_is_named_and_not_followed(location: str, target: str) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 307 .\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    async with serving(handler) as port, HttpClient(f"http://127.0.0.1:{port}/v1") as exchange:
        reply = await exchange.get("/models")
    assert isinstance(reply, Reply)
    assert reply.status == 307
    assert reply.target.startswith(target) if target else not reply.target
