"""HTTP client of the engines: one request and its whole reply, within a time limit and a size limit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from workbench.errors import UsageError
from workbench.generation.engines.http.errors import plain_line, plain_url
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

    async def _send_in_time(self, method: str, path: str, body: bytes | None) -> Reply | TransportFailure:
        import httpcore  # noqa: PLC0415

        try:
            async with asyncio.timeout(self.timeout):
                return await self._send(method, path, body)
        except TimeoutError:
            return TransportFailure(RequestFailure.TIMEOUT, f"no complete answer within {self.timeout:g} s")
        except httpcore.ConnectTimeout:
            return TransportFailure(RequestFailure.CONNECTION, "the server does not accept connections")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
            return TransportFailure(RequestFailure.CONNECTION, plain_line(str(error) or type(error).__name__, self.key))

    async def _send(self, method: str, path: str, body: bytes | None) -> Reply | TransportFailure:
        import httpcore  # noqa: PLC0415

        url = self._urls.get(path) or self._urls.setdefault(path, httpcore.URL(self.url + path))
        length = [(b"Content-Length", str(len(body)).encode())] if body is not None else []
        request = httpcore.Request(
            method, url, headers=self._headers + length, content=body or b"", extensions=self._extensions
        )
        async with self._connections.response(request) as response:
            chunks, size = [], 0
            async for chunk in response.aiter_stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    return TransportFailure(
                        RequestFailure.TOO_LONG, f"the server sends more than {MAX_BODY_BYTES >> 20} MiB"
                    )
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
