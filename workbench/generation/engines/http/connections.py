"""Many connections to one server at a cost per request that does not grow with their number.

httpcore's pool scans all its connections several times per request (about 5 ms of CPU at 128 connections); with one
connection per pool the scan is free. So each connection here is a pool of its own, and the most recently used one is
used next: when a server takes fewer requests, the others time out. The client of httpx is not used: cookies and
authentication are not needed, and it would double the cost.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpcore

from workbench.generation.engines.http.plain_tcp import PlainTcpBackend

_KEEPALIVE_SECONDS: Final = 60.0


class Connections:
    """Any number of connections; the caller limits how many are in use."""

    def __init__(self, *, secure: bool, proxy: httpcore.Proxy | None = None) -> None:
        self._ssl = _ssl_context() if secure else None
        self._proxy = proxy
        self._backend = PlainTcpBackend() if not secure and proxy is None else None
        self._idle: list[httpcore.AsyncConnectionPool] = []
        self._all: list[httpcore.AsyncConnectionPool] = []

    @asynccontextmanager
    async def response(self, request: httpcore.Request) -> AsyncIterator[httpcore.Response]:
        """Send `request` and yield the response, whose body is not yet read."""
        connection = self._idle.pop() if self._idle else self._open()
        try:
            response = await connection.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            self._idle.append(connection)  # a pool replaces its broken connection

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._all:
            await connection.aclose()

    def _open(self) -> httpcore.AsyncConnectionPool:
        connection = httpcore.AsyncConnectionPool(
            ssl_context=self._ssl,
            proxy=self._proxy,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=self._backend,
        )
        self._all.append(connection)
        return connection


def _ssl_context() -> ssl.SSLContext:
    """Return httpx's SSL context, with the certificates from the environment; 20 ms, once for all connections."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()
