"""One request to a server and its whole reply, within a time and a size. The one place that knows httpx."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from workbench.errors import UsageError
from workbench.generation.asks import Failure
from workbench.generation.engines.server_words import plain, plain_url

if TYPE_CHECKING:
    import httpx

MOST_BYTES: Final = 2**22
"""Of a reply's body. An answer of a thousand words with log-probabilities has a quarter of that."""
_CONNECT_SECONDS: Final = 10.0
_KEEPALIVE_SECONDS: Final = 60.0


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
    connections: int = 32
    _client: httpx.AsyncClient = field(init=False, repr=False)

    def __post_init__(self) -> None:
        import httpx  # noqa: PLC0415 -- 0.1 s that only generating needs

        self.url = self.url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                f"not the address of a server: {plain_url(self.url) or 'none'}", hint="such as http://localhost:8000/v1"
            )
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "negwb"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            limits=httpx.Limits(
                max_connections=self.connections,
                max_keepalive_connections=self.connections,
                keepalive_expiry=_KEEPALIVE_SECONDS,
            ),
            timeout=httpx.Timeout(None, connect=min(_CONNECT_SECONDS, self.timeout)),  # the whole is timed here
            trust_env=not _is_here(parts.hostname),  # a proxy of the house does not know this machine
            follow_redirects=False,  # the key goes where the person said, nowhere else
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

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
        request = self._client.build_request(method, self.url + path, content=body)
        response = await self._client.send(request, stream=True)
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


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
