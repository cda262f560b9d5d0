"""HTTP client of the engines: one request and its whole reply, within a time limit and a size limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from workbench.errors import UsageError
from workbench.generation.engines.http.errors import plain_line, plain_url
from workbench.generation.engines.http.multipart import PIECE_BYTES, MultipartFile
from workbench.generation.engines.requests import RequestFailure

if TYPE_CHECKING:
    import httpcore

    from workbench.generation.engines.http.connections import Connections

MAX_BODY_BYTES: Final = 2**22
"""Largest body of a reply. An answer of 1,000 words with log-probabilities has a quarter of that."""
_CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """Why there is no complete reply."""

    failure: RequestFailure
    detail: str = ""


@dataclass(slots=True)
class HttpClient:
    """Client of one server; keeps its connections open."""

    url: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    """Seconds for one request, from the first byte sent to the last byte received; a slow stream does not extend it."""
    _headers: list[tuple[bytes, bytes]] = field(init=False, repr=False)
    _connections: Connections = field(init=False, repr=False)
    _extensions: dict[str, Any] = field(init=False, repr=False)
    _urls: dict[str, httpcore.URL] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        from workbench.generation.engines.http.connections import Connections  # noqa: PLC0415 -- with httpcore: 0.1 s

        self.url = self.url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                f"invalid server address: {plain_url(self.url) or 'none'}", hint="for example http://localhost:8000/v1"
            )
        if "@" in parts.netloc:
            raise UsageError(
                f"the address {plain_url(self.url)} contains a user name or a password",
                hint="put the API key into an environment variable and set key_env to its name",
            )
        headers = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "negwb",
            **({"Authorization": f"Bearer {self.key}"} if self.key else {}),
        }
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._connections = Connections(secure=parts.scheme == "https", proxy=_proxy(parts.scheme, parts.hostname))
        self._extensions = {
            "timeout": {"connect": min(_CONNECT_SECONDS, self.timeout)}
        }  # `timeout` covers the whole request

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def post(self, path: str, body: bytes) -> Reply | TransportFailure:
        """Send a POST request with a JSON body. Never raises."""
        return await self._send_in_time("POST", path, body)

    async def get(self, path: str) -> Reply | TransportFailure:
        """Send a GET request. Never raises."""
        return await self._send_in_time("GET", path, None)

    async def upload(
        self, path: str, form: MultipartFile, *, on_sent: Callable[[int, int], None] = lambda sent, total: None
    ) -> Reply | TransportFailure:
        """Send a file with a POST request, piece by piece; `timeout` is the time for each piece and for the reply.

        Args:
            on_sent: Called with the number of bytes sent so far and their total.

        Raises:
            NegwbError: the file cannot be read.
        """
        total, pieces = form.pieces()
        time_limit = asyncio.timeout(self.timeout)

        async def sent_pieces() -> AsyncIterator[bytes]:
            sent = 0
            for piece in pieces:
                yield piece
                sent += len(piece)
                self._extend(time_limit)
                on_sent(sent, total)

        return await self._send_in_time(
            "POST", path, sent_pieces(), length=total, content_type=form.content_type, time_limit=time_limit
        )

    async def download(self, path: str, write: Callable[[bytes], None], *, max_bytes: int) -> Reply | TransportFailure:
        """Pass the body of a good reply to `write`, chunk by chunk, and return the reply without it.

        `timeout` is the time for each 64 KiB: a slow server is waited for, one that sends a byte at a time is not.

        Raises:
            Exception: what `write` raises; it must not be an OSError, which counts as a failure of the connection.
        """
        time_limit = asyncio.timeout(self.timeout)
        received = extended_at = 0

        def count_and_write(chunk: bytes) -> None:
            nonlocal received, extended_at
            received += len(chunk)
            if received - extended_at >= PIECE_BYTES:
                extended_at = received
                self._extend(time_limit)
            write(chunk)

        return await self._send_in_time(
            "GET", path, None, write=count_and_write, max_bytes=max_bytes, time_limit=time_limit
        )

    def _extend(self, time_limit: asyncio.Timeout) -> None:
        time_limit.reschedule(asyncio.get_running_loop().time() + self.timeout)

    async def _send_in_time(
        self,
        method: str,
        path: str,
        body: bytes | AsyncIterator[bytes] | None,
        *,
        time_limit: asyncio.Timeout | None = None,
        **options: Any,
    ) -> Reply | TransportFailure:
        import httpcore  # noqa: PLC0415

        try:
            async with time_limit or asyncio.timeout(self.timeout):
                return await self._send(method, path, body, **options)
        except TimeoutError:
            return TransportFailure(RequestFailure.TIMEOUT, f"no complete answer within {self.timeout:g} s")
        except httpcore.ConnectTimeout:
            return TransportFailure(RequestFailure.CONNECTION, "the server does not accept connections")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
            return TransportFailure(RequestFailure.CONNECTION, plain_line(str(error) or type(error).__name__, self.key))

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes | AsyncIterator[bytes] | None,
        *,
        length: int | None = None,
        content_type: str = "",
        write: Callable[[bytes], None] | None = None,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> Reply | TransportFailure:
        """Send one request; `length` is that of a body in pieces, `write` takes the body of a good reply."""
        import httpcore  # noqa: PLC0415

        url = self._urls.get(path) or self._urls.setdefault(path, httpcore.URL(self.url + path))
        headers = self._headers
        if content_type:
            headers = [(name, value) for name, value in headers if name != b"Content-Type"]
            headers.append((b"Content-Type", content_type.encode()))
        if isinstance(body, bytes):
            length = len(body)
        if length is not None:
            headers = [*headers, (b"Content-Length", str(length).encode())]
        request = httpcore.Request(
            method, url, headers=headers, content=b"" if body is None else body, extensions=self._extensions
        )
        async with self._connections.response(request) as response:
            chunks: list[bytes] = []
            size = 0
            streamed = write is not None and response.status == 200
            limit = max_bytes if streamed else MAX_BODY_BYTES
            async for chunk in response.aiter_stream():
                size += len(chunk)
                if size > limit:
                    return TransportFailure(RequestFailure.TOO_LONG, f"the server sends more than {limit >> 20:,} MiB")
                (write if streamed and write is not None else chunks.append)(chunk)
        return Reply(response.status, _read_headers(response.headers), b"".join(chunks))


def _read_headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


def _proxy(scheme: str, host: str) -> str | None:
    """Return the proxy from the environment; None for this machine."""
    if host == "localhost" or _loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
