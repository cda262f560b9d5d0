"""Plain TCP for httpcore: a request in one write, closed and failing connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpcore
import pytest

from workbench.generation.engines.http.plain_tcp import PlainTcpBackend

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(handle: Handle) -> AsyncIterator[httpcore.AsyncNetworkStream]:
    """A stream to a server on loopback that handles its connection with `handle`."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        stream = await PlainTcpBackend().connect_tcp("127.0.0.1", server.sockets[0].getsockname()[1], timeout=10)
        try:
            yield stream
        finally:
            await stream.aclose()


async def test_headers_and_body_arrive_in_one_piece() -> None:
    async def echo_first_piece(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(1000))
        writer.close()

    async with connected(echo_first_piece) as stream:
        await stream.write(b"headers ")
        await stream.write(b"body")
        assert await stream.read(1000) == b"headers body"
        assert await stream.read(1000) == b""


async def test_a_large_body_is_sent_while_it_is_written() -> None:
    size = 3_000_000

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        content = await reader.readexactly(size)
        writer.write(b"%d" % len(content))
        writer.close()

    async with connected(count) as stream:
        for _ in range(30):
            await stream.write(b"x" * 100_000)
        assert await stream.read(1000) == b"3000000"


async def test_an_idle_connection_is_readable_when_the_server_has_written_or_closed() -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def late_message(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await writer.drain()
        await done.wait()
        writer.close()

    async with connected(late_message) as stream:
        assert not stream.get_extra_info("is_readable")
        go.set()
        while not stream.get_extra_info("is_readable"):  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert (await stream.read(1000)).startswith(b"HTTP/1.1 408")
        assert not stream.get_extra_info("is_readable")
        done.set()
        while not stream.get_extra_info("is_readable"):  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_an_answer_before_the_request_is_complete_is_read() -> None:
    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"413")
        writer.close()

    async with connected(refuse) as stream:
        await stream.write(b"x" * 1000)
        assert await stream.read(1000) == b"413"


async def test_a_refused_connection_is_an_error_of_httpcore() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(httpcore.ConnectError):
        await PlainTcpBackend().connect_tcp("127.0.0.1", port)


async def test_a_reset_connection_is_an_error_of_httpcore() -> None:
    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with connected(reset) as stream:
        with pytest.raises(httpcore.ReadError):
            for _ in range(50):  # the kernel reports the reset after the first write at the latest
                await stream.write(b"x" * 100_000)
                if not await stream.read(1000):
                    raise httpcore.ReadError("closed")
