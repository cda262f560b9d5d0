"""What httpcore sends and reads through, for asyncio alone.

httpcore writes a request's head and body one after the other, each of them a call of the system that may cost more
than everything else about the request. Here what is written goes out when an answer is wanted, in one piece.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, Final

import httpcore

_PLENTY: Final = 2**18
"""Bytes that may lie here unread before the other side has to wait."""


class Backend(httpcore.AsyncNetworkBackend):
    """Opens connections of asyncio."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's name
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See `httpcore.AsyncNetworkBackend`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                transport, stream = await loop.create_connection(Stream, host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for option in socket_options or ():
            transport.get_extra_info("socket").setsockopt(*option)
        return stream

    async def sleep(self, seconds: float) -> None:
        """See `httpcore.AsyncNetworkBackend`."""
        await asyncio.sleep(seconds)


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection; one reader at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._here = bytearray()
        self._unsent: list[bytes] = []
        self._ended = False
        self._broken: Exception | None = None
        self._wanted: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._here += data
        if len(self._here) > _PLENTY and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`."""
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._ended, self._broken = True, exc
        self._wake()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- see above
        """See `httpcore.AsyncNetworkStream`."""
        self._flush()
        if not self._here and not self._ended:
            self._wanted = asyncio.get_running_loop().create_future()
            try:
                await self._wanted
            finally:
                self._wanted = None
        if not self._here and self._broken is not None:
            raise httpcore.ReadError(str(self._broken)) from self._broken
        read = bytes(self._here[:max_bytes])
        del self._here[:max_bytes]
        if self._transport is not None and not self._ended and len(self._here) <= _PLENTY:
            self._transport.resume_reading()  # nothing, where it goes on anyway
        return read

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- see above
        """See `httpcore.AsyncNetworkStream`."""
        self._unsent.append(buffer)

    async def aclose(self) -> None:
        """See `httpcore.AsyncNetworkStream`."""
        if self._transport is not None:
            self._transport.abort() if self._ended else self._transport.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- see above
    ) -> httpcore.AsyncNetworkStream:
        """See `httpcore.AsyncNetworkStream`."""
        self._flush()
        loop = asyncio.get_running_loop()
        assert self._transport is not None
        try:
            self._transport = await loop.start_tls(
                self._transport, self, ssl_context, server_hostname=server_hostname, ssl_handshake_timeout=timeout
            )
        except (TimeoutError, OSError) as error:  # errors of TLS are of the second kind
            raise httpcore.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        """See `httpcore.AsyncNetworkStream`."""
        if info == "is_readable":  # asked while nothing is awaited: then it means that the other side has left
            return self._ended or bool(self._here)
        return self._transport.get_extra_info(info) if self._transport is not None else None

    def _flush(self) -> None:
        if self._unsent and self._transport is not None and not self._ended:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)
