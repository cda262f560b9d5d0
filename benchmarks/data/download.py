"""Downloads files over HTTP so that they arrive whole or not at all.

What is there stays in NAME.part and is continued with Range by the next try or the next call; a file gets its name
only after the caller's check. Polite: few connections, a pause, a User-Agent, waits as long as the server asks if that
is not long. A server that sends nothing, too little or the wrong thing is given up soon
(`benchmarks.data.download_session`). Interrupting is safe at any moment. httpx is imported when a client is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from benchmarks.data.download_session import BenchCall
from benchmarks.errors import BenchError
from curation_db.retry_delay import Backoff, retry_after

if TYPE_CHECKING:
    import httpx

Check = Callable[[Path], None]
"""Raises ValueError with the reason if the file is not what was wanted."""

_PARTIAL: Final = 206
_RANGE_NOT_SATISFIABLE: Final = 416
_MISSING: Final = frozenset({404, 410})
_WORTH_ANOTHER_TRY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """How patiently and how gently."""

    tries: int = 4
    """For each file and source."""
    backoff_s: float = 1.0
    """Longest random wait before the second try; doubled for each further one."""
    longest_wait_s: float = 20.0
    """A server that asks for a longer wait is given up."""
    timeout_s: float = 10.0
    """Without a byte."""
    connect_s: float = 5.0
    """To reach the server at all."""
    patience_s: float = 25.0
    """Without a whole file, of all downloads of a call."""
    slowest: float = 1024.0
    """Bytes per second of one file."""
    slow_after_s: float = 8.0
    """So long the bytes of a file may come slower than that."""
    wrong_files: int = 8
    """Files in a row with which a server failed although it answers; missing ones are not counted."""
    unreachable_after: int = 3
    """Tries in a row of one file that get no answer, while nobody else gets one either: then nobody asks again."""
    pause_s: float = 0.05
    """After each file, per connection."""
    connections: int = 4
    most_bytes: int = 64 << 20
    """Of one file."""
    user_agent: str = "negwb (benchmark data; resumes, few connections)"

    @property
    def backoff(self) -> Backoff:
        """The waits between two tries."""
        return Backoff(base=self.backoff_s, longest=self.longest_wait_s)


class Unreachable(BenchError):
    """No source answers; asking for further files would only cost time."""


class _Missing(BenchError):
    """The server has no such file; it may have others."""


class DownloadStopped(Exception):
    """Somebody wants out; what was downloaded is kept."""


class _Again(Exception):
    """This try failed, another may do."""

    def __init__(self, reason: str, wait_s: float | None = None, *, answered: bool = True) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.answered = answered


def client(manners: RequestLimits) -> httpx.Client:
    """A client for any number of threads."""
    import httpx  # noqa: PLC0415 -- 90 ms, and only who fetches needs it

    return httpx.Client(
        headers={"User-Agent": manners.user_agent, "Accept-Encoding": "identity"},
        timeout=httpx.Timeout(manners.timeout_s, connect=min(manners.connect_s, manners.timeout_s)),
        limits=httpx.Limits(max_connections=manners.connections),
        follow_redirects=True,
        max_redirects=5,
    )


def download(
    http: httpx.Client, urls: Sequence[str], target: Path, check: Check, *, manners: RequestLimits, call: BenchCall
) -> int:
    """Puts what one of `urls` serves at `target` once `check` accepts it; returns how many bytes came.

    `call` is shared by the downloads of one call, so that a server that one gives up is not asked by the others.

    Raises:
        Unreachable: no source is worth asking, now or for other files.
        BenchError: every source failed for good; the line has the last reason.
        Stopped: the call was stopped.
    """
    reason = "no source is given"
    for url in urls:
        try:
            received = _from_source(http, url, target, check, manners, call)
        except BenchError as error:
            reason = error.message
        else:
            call.came(_host(url))
            return received
    if call.expired:
        why = f" ({call.last_trouble})" if call.last_trouble else ""
        raise Unreachable(f"no file came for {call.patience_s:g} s{why}")
    if urls and all(_host(url) in call.given_up for url in urls):
        raise Unreachable(reason)
    raise BenchError(reason)


def _from_source(
    http: httpx.Client, url: str, target: Path, check: Check, manners: RequestLimits, call: BenchCall
) -> int:
    """`download` from one source.

    Raises:
        BenchError: it failed for good.
    """
    host = _host(url)
    unheard, before = 0, call.answers(host)
    for attempt in range(manners.tries):
        if call.stop.is_set():
            raise DownloadStopped
        if host in call.given_up:
            raise BenchError(call.given_up[host])
        if call.expired:
            raise Unreachable(f"{url}: no file came for {call.patience_s:g} s")
        try:
            return _attempt(http, url, target, check, manners, call)
        except _Again as again:
            call.last_trouble = reason = f"{url}: {again}"
            unheard, before = _unheard(again, unheard, before, call.answers(host)), call.answers(host)
            if unheard >= manners.unreachable_after:
                call.given_up[host] = f"{host} does not answer ({again})"
            elif (asked := again.wait_s or 0.0) > manners.longest_wait_s:
                call.given_up[host] = f"{host} asks to wait {asked:,.0f} s ({again})"
            elif attempt + 1 < manners.tries:
                call.wait(manners.backoff.delay(attempt, again.wait_s))
        except _Missing:
            raise
        except BenchError as error:
            call.last_trouble = reason = error.message
            break
    if not unheard and call.went_wrong(host) >= manners.wrong_files:
        call.given_up.setdefault(host, f"{host} answers wrongly, {manners.wrong_files} times in a row ({reason})")
    raise BenchError(call.given_up.get(host, reason))


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _unheard(again: _Again, unheard: int, before: int, now: int) -> int:
    """Tries in a row without an answer to anybody, this one counted."""
    if again.answered:
        return 0
    return 1 if now > before else unheard + 1


def _attempt(http: httpx.Client, url: str, target: Path, check: Check, manners: RequestLimits, call: BenchCall) -> int:
    import httpx  # noqa: PLC0415

    part = target.with_name(target.name + ".part")
    answered = False

    def heard() -> None:
        nonlocal answered
        answered = True
        call.answered(_host(url))

    try:
        received = _receive(http, url, part, manners, call, heard)
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise _Again(str(error) or type(error).__name__, answered=answered) from error
    except (httpx.InvalidURL, httpx.HTTPError) as error:
        raise BenchError(f"{url}: {error}") from error
    try:
        check(part)
    except ValueError as error:
        part.unlink()  # whole but wrong: continuing it would not help
        raise _Again(str(error)) from error
    part.replace(target)
    return received


def _receive(
    http: httpx.Client, url: str, part: Path, manners: RequestLimits, call: BenchCall, heard: Callable[[], None]
) -> int:
    """Brings `part` to its full length; returns how many bytes came."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with http.stream("GET", url, headers=headers, extensions={"trace": call.trace}) as response:
        heard()
        if response.status_code == _RANGE_NOT_SATISFIABLE:
            return _past_the_end(response, part, have)
        _refuse(response, url)
        start = _start(response, have)
        announced = response.headers.get("Content-Length", "")
        received = _write(response, part, start, manners, call)
    if announced.isdigit() and received < int(announced):
        raise _Again(f"only {received} of {announced} bytes came")
    return received


def _past_the_end(response: httpx.Response, part: Path, have: int) -> int:
    """A range that cannot be had: the part is whole already, or it belongs to another file."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if total.isdigit() and int(total) == have:
        return 0
    part.unlink()
    raise _Again("the part did not fit the file")


def _refuse(response: httpx.Response, url: str) -> None:
    if response.status_code in _WORTH_ANOTHER_TRY:
        raise _Again(f"HTTP {response.status_code}", retry_after(response.headers))
    if response.status_code in _MISSING:
        raise _Missing(f"{url}: HTTP {response.status_code}")
    if not response.is_success:
        raise BenchError(f"{url}: HTTP {response.status_code}")


def _start(response: httpx.Response, have: int) -> int:
    """Where the body belongs: a server may send the whole file, or a part that nobody asked for."""
    if response.status_code != _PARTIAL:
        return 0
    first = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if first != str(have):
        raise _Again(f"bytes from {first or 'nowhere'} came instead of those from {have}")
    return have


def _write(response: httpx.Response, part: Path, start: int, manners: RequestLimits, call: BenchCall) -> int:
    received, began = 0, call.now()
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        for chunk in response.iter_bytes():
            file.write(chunk)
            received += len(chunk)
            if call.stop.is_set():
                raise DownloadStopped
            took = call.now() - began
            if took > manners.slow_after_s and received < took * manners.slowest:
                raise _Again(f"only {received:,} bytes came in {took:.0f} s")
            if start + received > manners.most_bytes:
                part.unlink()
                raise BenchError(f"{response.url}: more than {manners.most_bytes} bytes")
    return received
