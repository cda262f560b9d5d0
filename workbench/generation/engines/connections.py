"""Many connections to one server at a cost that does not grow with their number.

httpcore's pool looks at every connection several times for every request (some 5 ms of CPU at 128 of them); of a pool
with one connection that costs nothing. So here every connection is such a pool, and the one used last is used next:
when a server takes fewer requests, the others grow cold and end.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Final

import httpx

_KEEPALIVE_SECONDS: Final = 60.0
_ONE: Final = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEPALIVE_SECONDS)


class Connections(httpx.AsyncBaseTransport):
    """A transport of any number of connections; how many at a time is the caller's business."""

    def __init__(self, *, proxy: str | None = None) -> None:
        self._ssl: ssl.SSLContext = httpx.create_ssl_context()  # 20 ms: once for all
        self._proxy = proxy
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._all: list[httpx.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request over a connection that is free."""
        transport = self._idle.pop() if self._idle else self._open()
        try:
            response = await transport.handle_async_request(request)
        except BaseException:
            self._idle.append(transport)  # its pool has closed what broke
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Lent(response.stream, transport, self._idle)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._all:
            await transport.aclose()

    def _open(self) -> httpx.AsyncHTTPTransport:
        transport = httpx.AsyncHTTPTransport(verify=self._ssl, limits=_ONE, proxy=self._proxy)
        self._all.append(transport)
        return transport


class _Lent(httpx.AsyncByteStream):
    """A response's body; gives its connection back when it is closed."""

    def __init__(
        self, body: httpx.AsyncByteStream, transport: httpx.AsyncHTTPTransport, idle: list[httpx.AsyncHTTPTransport]
    ) -> None:
        self._body = body
        self._transport: httpx.AsyncHTTPTransport | None = transport
        self._idle = idle

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.__aiter__()

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            if self._transport is not None:
                self._idle.append(self._transport)
                self._transport = None
