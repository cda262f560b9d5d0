"""One request to a server and its whole reply, within a time and a size. The one place that knows httpx."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from workbench.errors import UsageError
from workbench.generation.asks import Failure
from workbench.generation.engines.server_words import plain, plain_url

if TYPE_CHECKING:
    import httpx

    from workbench.generation.engines.connections import Connections

MOST_BYTES: Final = 2**22
"""Of a reply's body. An answer of a thousand words with log-probabilities has a quarter of that."""
_CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoReply:
    """Why nothing (whole) came back."""

    failure: Failure
    detail: str = ""


@dataclass(slots=True)
class Exchange:
    """A server at an address; keeps its connections open."""

    url: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    """Seconds for one request, from the first byte sent to the last received: a drip does not extend it."""
    _headers: httpx.Headers = field(init=False, repr=False)
    _connections: Connections = field(init=False, repr=False)
    _extensions: dict[str, Any] = field(init=False, repr=False)
    _urls: dict[str, httpx.URL] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        import httpx  # noqa: PLC0415 -- 0.1 s that only generating needs

        from workbench.generation.engines.connections import Connections  # noqa: PLC0415

        self.url = self.url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                f"not the address of a server: {plain_url(self.url) or 'none'}", hint="such as http://localhost:8000/v1"
            )
        if "@" in parts.netloc:
            raise UsageError(
                f"the address {plain_url(self.url)} holds a name or a password, which settings never do",
                hint="put the API key into an environment variable and name it: key_env = ...",
            )
        self._headers = httpx.Headers(
            {
                "Host": parts.netloc,
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "negwb",
                **({"Authorization": f"Bearer {self.key}"} if self.key else {}),
            }
        )
        self._connections = Connections(proxy=_proxy(parts.scheme, parts.hostname))
        wait = {"connect": min(_CONNECT_SECONDS, self.timeout), "read": None, "write": None, "pool": None}
        self._extensions = {"timeout": wait}  # the whole is timed here

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    async def post(self, path: str, body: bytes) -> Reply | NoReply:
        """Send a JSON body. Never raises."""
        return await self._whole("POST", path, body)

    async def get(self, path: str) -> Reply | NoReply:
        """Ask for something. Never raises."""
        return await self._whole("GET", path, None)

    async def _whole(self, method: str, path: str, body: bytes | None) -> Reply | NoReply:
        import httpx  # noqa: PLC0415

        try:
            async with asyncio.timeout(self.timeout):
                return await self._exchanged(method, path, body)
        except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout):
            return NoReply(Failure.TIMEOUT, f"no whole answer in {self.timeout:g} s")
        except httpx.DecodingError:
            return NoReply(Failure.MALFORMED, "the answer cannot be unpacked")
        except httpx.ConnectTimeout:
            return NoReply(Failure.CONNECTION, "the server does not take connections")
        except (httpx.HTTPError, OSError) as error:
            return NoReply(Failure.CONNECTION, plain(str(error) or type(error).__name__, self.key))

    async def _exchanged(self, method: str, path: str, body: bytes | None) -> Reply | NoReply:
        import httpx  # noqa: PLC0415

        url = self._urls.get(path) or self._urls.setdefault(path, httpx.URL(self.url + path))
        request = httpx.Request(method, url, headers=self._headers, content=body, extensions=self._extensions)
        # Not by way of a client: what it adds (redirects, cookies, logins) is not wanted, and costs as much again.
        response = await self._connections.handle_async_request(request)
        try:
            kept, size = [], 0
            async for chunk in response.aiter_bytes():
                kept.append(chunk)
                size += len(chunk)
                if size > MOST_BYTES:
                    return NoReply(Failure.TOO_LONG, f"the server sends more than {MOST_BYTES >> 20} MiB")
            return Reply(response.status_code, response.headers, b"".join(kept))
        finally:
            await response.aclose()


def _proxy(scheme: str, host: str) -> str | None:
    """The proxy that the environment names; this machine is never behind one."""
    if host == "localhost" or _loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
