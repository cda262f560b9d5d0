"""HTTP client of the engines: one request and its whole reply, within a time limit and a size limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urldefrag, urlencode, urljoin, urlsplit, urlunsplit

from workbench.errors import UsageError
from workbench.generation.engines.http.body import (
    MAX_BODY_BYTES,
    BodyEncodingError,
    BodyTooLong,
    StreamedBody,
    decompressed,
)
from workbench.generation.engines.http.credentials import Secrets, api_key, read_headers, read_query, secret_options
from workbench.generation.engines.http.errors import plain_line
from workbench.generation.engines.http.multipart import PIECE_BYTES, MultipartFile
from workbench.generation.engines.http.proxies import proxy_for
from workbench.generation.engines.requests import RequestFailure
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.server_address import is_secret_parameter, plain_url, secrets_of, split_url

if TYPE_CHECKING:
    import httpcore

    from workbench.generation.engines.http.connections import Connections

_CONNECT_SECONDS: Final = 10.0
_MAX_REDIRECTS: Final = 3
_REPEATING: Final = (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT)
_CHANGING_TO_GET: Final = (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND)
_SAFE_IN_PATH: Final = "/%:@!$&'()*+,;=~"


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """Decompressed and without secrets."""
    target: str = ""
    """Address of a redirect that was not followed, for display."""


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """Why there is no complete reply."""

    failure: RequestFailure
    detail: str = ""


def open_client(settings: EngineSettings, url: str = "") -> HttpClient:
    """Return a client with the credentials of the engine, for its first server or for `url`.

    Raises:
        UsageError: an invalid address or credential, or a proxy that cannot be used.
    """
    headers, header_secrets = read_headers(settings)
    query, query_secrets = read_query(settings)
    return HttpClient(
        url or settings.url,
        key=api_key(settings),
        timeout=settings.timeout,
        headers=headers,
        query=query,
        secrets=(*header_secrets, *query_secrets, *secret_options(settings.options)),
    )


@dataclass(slots=True)
class HttpClient:
    """Client of one server; keeps its connections open."""

    url: str
    """May have a query, which every request gets."""
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    """Seconds for one request, from the first byte sent to the last byte received; a slow stream does not extend it."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers; they replace those of the client."""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further query parameters."""
    secrets: Collection[str] = field(default=(), repr=False)
    """Secrets besides the key and those in the address and the query."""
    masking: Secrets = field(init=False, repr=False)
    _headers: list[tuple[bytes, bytes]] = field(init=False, repr=False)
    _origin: httpcore.Origin = field(init=False, repr=False)
    _connections: Connections = field(init=False, repr=False)
    _extensions: dict[str, Any] = field(init=False, repr=False)
    _urls: dict[str, httpcore.URL] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        from workbench.generation.engines.http.connections import Connections  # noqa: PLC0415 -- with httpcore: 0.1 s

        parts = split_url(self.url)
        try:
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.netloc.isascii()
            _ = parts.port
        except ValueError:
            valid = False
        if not valid:
            raise UsageError(
                f"invalid server address: {plain_url(self.url) or 'none'}", hint="for example http://localhost:8000/v1"
            )
        if "@" in parts.netloc:
            raise UsageError(
                f"the address {plain_url(self.url)} contains a user name or a password",
                hint="put the API key into an environment variable and set key_env to its name",
            )
        secret_parameters = (value for name, value in self.query.items() if is_secret_parameter(name, value))
        self.masking = Secrets((self.key, *self.secrets, *secret_parameters, *secrets_of(self.url)))
        headers = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "negwb",
            **({"Authorization": f"Bearer {self.key}"} if self.key else {}),
        }
        replaced = {name.lower() for name in self.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in replaced} | dict(self.headers)
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._origin = self._url("").origin
        self._connections = Connections(
            secure=parts.scheme == "https", proxy=proxy_for(parts.scheme, parts.hostname or "")
        )
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

    async def upload(
        self, path: str, form: MultipartFile, *, on_sent: Callable[[int, int], None] = lambda sent, total: None
    ) -> Reply | TransportFailure:
        """Send a file with a POST request, piece by piece; `timeout` is the time for each piece and for the reply.

        Args:
            on_sent: Called with the number of bytes sent so far and their total.

        Raises:
            NegwbError: the file cannot be read.
        """
        total, pieces = form.pieces()
        time_limit = asyncio.timeout(self.timeout)

        async def sent_pieces() -> AsyncIterator[bytes]:
            sent = 0
            for piece in pieces:
                yield piece
                sent += len(piece)
                self._extend(time_limit)
                on_sent(sent, total)

        return await self._send_in_time(
            "POST", path, sent_pieces(), length=total, content_type=form.content_type, time_limit=time_limit
        )

    async def download(
        self,
        path: str,
        write: Callable[[bytes], None],
        *,
        max_bytes: int,
        on_received: Callable[[int, int], None] = lambda received, total: None,
    ) -> Reply | TransportFailure:
        """Pass the body of a good reply to `write`, chunk by chunk, and return the reply without it.

        `timeout` is the time for each 64 KiB: a slow server is waited for, one that sends a byte at a time is not.

        Args:
            on_received: Called with the number of bytes so far and their total, 0 if the server does not send it.

        Raises:
            Exception: what `write` raises; it must not be an OSError, which counts as a failure of the connection.
        """
        time_limit = asyncio.timeout(self.timeout)
        extended_at = 0

        def count(received: int, total: int) -> None:
            nonlocal extended_at
            if received - extended_at >= PIECE_BYTES:
                extended_at = received
                self._extend(time_limit)
            on_received(received, total)

        return await self._send_in_time(
            "GET", path, None, write=write, on_received=count, max_bytes=max_bytes, time_limit=time_limit
        )

    def _extend(self, time_limit: asyncio.Timeout) -> None:
        time_limit.reschedule(asyncio.get_running_loop().time() + self.timeout)

    async def _send_in_time(
        self,
        method: str,
        path: str,
        body: bytes | AsyncIterator[bytes] | None,
        *,
        time_limit: asyncio.Timeout | None = None,
        **options: Any,
    ) -> Reply | TransportFailure:
        import httpcore  # noqa: PLC0415

        try:
            async with time_limit or asyncio.timeout(self.timeout):
                return await self._send(method, path, body, **options)
        except TimeoutError:
            return TransportFailure(RequestFailure.TIMEOUT, f"no complete answer within {self.timeout:g} s")
        except httpcore.ConnectTimeout:
            return TransportFailure(RequestFailure.CONNECTION, "the server does not accept connections")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
            detail = self.masking.mask(str(error) or type(error).__name__)
            return TransportFailure(RequestFailure.CONNECTION, plain_line(detail, self.key))

    async def _send(
        self, method: str, path: str, body: bytes | AsyncIterator[bytes] | None, **options: Any
    ) -> Reply | TransportFailure:
        """Send one request; follow redirects, unless the body comes in pieces, which cannot be sent again."""
        url = self._url(path)
        redirects = 0
        while True:
            reply = await self._send_to(url, method, body, **options)
            if isinstance(reply, TransportFailure) or not 300 <= reply.status < 400:
                return reply
            target = _target(url, reply.headers.get("location", ""))
            following = self._following(target, url, method, reply.status)
            if following is None or redirects == _MAX_REDIRECTS or isinstance(body, AsyncIterator):
                return replace(reply, target=self.masking.mask(plain_url(target)))
            if reply.status == HTTPStatus.PERMANENT_REDIRECT:
                self._urls[path] = following
            url, redirects = following, redirects + 1

    def _following(self, target: str, url: httpcore.URL, method: str, status: int) -> httpcore.URL | None:
        """Return the URL of a redirect if it is followed: on the same origin, with the same method and body.

        The key is sent to no other host. After 301 and 302 clients send GET instead of POST, so these count for GET
        only.
        """
        import httpcore  # noqa: PLC0415

        if status not in _REPEATING and not (method == "GET" and status in _CHANGING_TO_GET):
            return None
        try:
            following = httpcore.URL(quote(urldefrag(target).url, safe=_SAFE_IN_PATH + "?#[]"))
            elsewhere = following.origin != self._origin
        except (KeyError, ValueError):  # KeyError: a scheme without a known port
            return None
        return None if elsewhere or following.target == url.target else following

    def _url(self, path: str) -> httpcore.URL:
        """Return the URL of a path below the server's address, with the address's query and the further parameters."""
        import httpcore  # noqa: PLC0415

        if path not in self._urls:
            parts = urlsplit(self.url)
            below, _, own_query = path.partition("?")
            query = "&".join(filter(None, (parts.query, own_query, urlencode(self.query))))
            address = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + below, query, ""))
            self._urls[path] = httpcore.URL(quote(address, safe=_SAFE_IN_PATH + "?[]"))
        return self._urls[path]

    async def _send_to(
        self,
        url: httpcore.URL,
        method: str,
        body: bytes | AsyncIterator[bytes] | None,
        *,
        length: int | None = None,
        content_type: str = "",
        write: Callable[[bytes], None] | None = None,
        on_received: Callable[[int, int], None] = lambda received, total: None,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> Reply | TransportFailure:
        """Send one request; `length` is that of a body in pieces, `write` takes the body of a good reply."""
        import httpcore  # noqa: PLC0415

        headers = self._headers
        if content_type:
            headers = [(name, value) for name, value in headers if name.lower() != b"content-type"]
            headers.append((b"Content-Type", content_type.encode()))
        if isinstance(body, bytes):
            length = len(body)
        if length is not None:
            headers = [*headers, (b"Content-Length", str(length).encode())]
        request = httpcore.Request(
            method, url, headers=headers, content=b"" if body is None else body, extensions=self._extensions
        )
        async with self._connections.response(request) as response:
            headers_received = _read_headers(response.headers)
            encoding = headers_received.get("content-encoding", "")
            try:
                if write is not None and response.status == 200:
                    streamed = StreamedBody(encoding, write, max_bytes)
                    length_text = headers_received.get("content-length", "")
                    received, total = 0, int(length_text) if length_text.isdecimal() else 0
                    async for chunk in response.aiter_stream():
                        streamed.feed(chunk)
                        received += len(chunk)
                        on_received(received, total)
                    streamed.finish()
                    return Reply(response.status, headers_received, b"")
                content = decompressed(await _read_whole(response), encoding)
            except BodyTooLong:
                return _too_big(MAX_BODY_BYTES if write is None or response.status != 200 else max_bytes)
            except BodyEncodingError as error:
                return TransportFailure(RequestFailure.ENCODING, str(error))
        return Reply(response.status, headers_received, self.masking.mask_body(content))


def _target(url: httpcore.URL, location: str) -> str:
    """Return the address that a redirect names; empty if it is invalid."""
    try:
        return urljoin(bytes(url).decode("ascii"), location)
    except ValueError:
        return ""


async def _read_whole(response: httpcore.Response) -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLong
    return b"".join(chunks)


def _too_big(limit: int) -> TransportFailure:
    return TransportFailure(RequestFailure.OVERSIZED, f"the server sends more than {limit >> 20:,} MiB")


def _read_headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
