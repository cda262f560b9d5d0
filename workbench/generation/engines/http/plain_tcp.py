"""TCP without TLS for httpcore, on asyncio itself: it costs less CPU time than httpcore's own
backend, which goes through anyio (1.9 instead of 2.3 ms for a request of the speed bench, with all other work).

A request is written in one piece: httpcore writes headers and body separately, which costs two system calls and can
cost two packets.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import httpcore

_MAX_BUFFERED: Final = 1 << 16
"""Bytes of a request that wait for the rest of it."""
_HAPPY_EYEBALLS_S: Final = 0.25
"""Seconds after which the next address of a host is tried too (RFC 8305)."""


class PlainTcpBackend(httpcore.AsyncNetworkBackend):
    """Opens connections without TLS."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- the interface of httpcore
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: there is no connection.
        """
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(host, port, happy_eyeballs_delay=_HAPPY_EYEBALLS_S)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return _PlainTcpStream(reader, writer)

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)


class _PlainTcpStream(httpcore.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._buffered: list[bytes] = []
        self._size = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        with suppress(OSError):  # the server may have answered before it closed the connection
            await self._flush()
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._buffered.append(buffer)
        self._size += len(buffer)
        if self._size < _MAX_BUFFERED:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._flush()
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def _flush(self) -> None:
        if not self._buffered:
            return
        content = b"".join(self._buffered)
        self._buffered.clear()
        self._size = 0
        self._writer.write(content)
        await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        raise NotImplementedError("used only for http:// without a proxy")

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # an idle connection that is readable was closed by the server
            unread: bytearray = self._reader._buffer  # type: ignore[attr-defined]
            return bool(unread) or self._reader.at_eof() or self._writer.transport.is_closing()
        return self._writer.get_extra_info("socket") if info == "socket" else None
