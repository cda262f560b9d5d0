"""Many connections to one server at a cost per request that does not grow with their number.

httpcore's pool scans all its connections several times per request (about 5 ms of CPU at 128 connections), so it is not
used. The most recently used connection is used next: when a server takes fewer requests, the others time out. Through a
proxy each connection is a pool of its own, because the pool knows how to use a proxy. The client of httpx is not used:
cookies and authentication are not needed, and it would double the cost.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpcore

from workbench.generation.engines.http.plain_tcp import PlainTcpBackend

_KEEPALIVE_SECONDS: Final = 60.0
_Connection = httpcore.AsyncHTTPConnection | httpcore.AsyncConnectionPool


class Connections:
    """Any number of connections; the caller limits how many are in use."""

    def __init__(self, *, secure: bool, proxy: httpcore.Proxy | None = None) -> None:
        self._ssl = _ssl_context() if secure else None
        self._proxy = proxy
        self._backend = PlainTcpBackend() if not secure and proxy is None else None
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()

    @asynccontextmanager
    async def response(self, request: httpcore.Request) -> AsyncIterator[httpcore.Response]:
        """Send `request` and yield the response, whose body is not yet read."""
        connection = await self._take(request.url.origin)
        try:
            response = await connection.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            if _is_reusable(connection):
                self._idle.append(connection)
            else:
                self._all.discard(connection)
                await connection.aclose()

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._all:
            await connection.aclose()

    async def _take(self, origin: httpcore.Origin) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if isinstance(connection, httpcore.AsyncConnectionPool) or not connection.has_expired():
                return connection
            self._all.discard(connection)
            await connection.aclose()
        connection = self._open(origin)
        self._all.add(connection)
        return connection

    def _open(self, origin: httpcore.Origin) -> _Connection:
        if self._proxy is None:
            return httpcore.AsyncHTTPConnection(
                origin, ssl_context=self._ssl, keepalive_expiry=_KEEPALIVE_SECONDS, network_backend=self._backend
            )
        return httpcore.AsyncConnectionPool(
            ssl_context=self._ssl,
            proxy=self._proxy,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        )


def _is_reusable(connection: _Connection) -> bool:
    if isinstance(connection, httpcore.AsyncConnectionPool):
        return True  # it replaces its broken connection
    return connection.is_idle() and not connection.is_closed()


def _ssl_context() -> ssl.SSLContext:
    """Return httpx's SSL context, with the certificates from the environment; 20 ms, once for all connections."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()
