"""Many connections to one server at a cost that does not grow with their number.

httpcore's pool looks at every connection several times for every request (some 5 ms of CPU at 128 of them); of a pool
with one connection that costs nothing. So here every connection is such a pool, and the one used last is used next:
when a server takes fewer requests, the others grow cold and end. httpx itself stays away from the requests: what its
client adds (redirects, cookies, logins, decoding) is not wanted, and costs as much again.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpcore

_KEEPALIVE_SECONDS: Final = 60.0


class Connections:
    """Any number of connections; how many at a time is the caller's business."""

    def __init__(self, *, secure: bool, proxy: str | None = None) -> None:
        self._ssl = _ssl_context() if secure else None
        self._proxy = httpcore.Proxy(proxy) if proxy else None
        self._idle: list[httpcore.AsyncConnectionPool] = []
        self._all: list[httpcore.AsyncConnectionPool] = []

    @asynccontextmanager
    async def response(self, request: httpcore.Request) -> AsyncIterator[httpcore.Response]:
        """The response to `request`; its body is still to be read."""
        connection = self._idle.pop() if self._idle else self._open()
        try:
            response = await connection.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            self._idle.append(connection)  # where it broke, its pool opens another

    async def close(self) -> None:
        """Close all of them."""
        for connection in self._all:
            await connection.aclose()

    def _open(self) -> httpcore.AsyncConnectionPool:
        connection = httpcore.AsyncConnectionPool(
            ssl_context=self._ssl,
            proxy=self._proxy,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        )
        self._all.append(connection)
        return connection


def _ssl_context() -> ssl.SSLContext:
    """As httpx makes it, with the certificates that the environment names; 20 ms, once for all connections."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()
