"""Downloads files over HTTP; a file appears only when it is complete and checked.

Partial data are stored in NAME.part, and the next try or call continues them with a Range request. Downloads use few
connections, a pause after each file and a User-Agent, and obey Retry-After up to a limit. A server that sends nothing,
too little or wrong files is given up soon (`benchmarks.data.download_session`). A download can be interrupted at any
time. httpx is imported with the first client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from benchmarks.data.download_session import DownloadSession
from benchmarks.errors import BenchError
from curation_db.retry_delay import Backoff, retry_after

if TYPE_CHECKING:
    import httpx

Check = Callable[[Path], None]
"""Raises ValueError with the reason if the file is not valid."""

_PROGRESS_BYTES: Final = 4 << 20
"""Bytes of one file after which the deadline starts anew: a large file takes longer than `patience_s`."""
_PARTIAL: Final = 206
_RANGE_NOT_SATISFIABLE: Final = 416
_NOT_FOUND: Final = frozenset({404, 410})
_RETRYABLE: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """Timeouts, retries and rates of downloads."""

    tries: int = 4
    """Tries per file and source."""
    backoff_s: float = 1.0
    """Longest random wait before the second try; doubled for each further try."""
    longest_wait_s: float = 20.0
    """A server that asks for a longer wait is given up."""
    timeout_s: float = 10.0
    """Longest time without a byte."""
    connect_s: float = 5.0
    """Longest time to connect."""
    patience_s: float = 25.0
    """Longest time in which no download of the session completes."""
    slowest: float = 1024.0
    """Lowest rate of one file, in bytes per second."""
    slow_after_s: float = 8.0
    """Time after which a lower rate ends the try."""
    wrong_files: int = 8
    """Failed files in a row after which a server that answers is given up; missing files are not counted."""
    unreachable_after: int = 3
    """Tries of one file in a row without an answer after which a server is given up, if no other file gets one."""
    pause_s: float = 0.05
    """Pause after each file, per connection."""
    connections: int = 4
    most_bytes: int = 64 << 20
    """Largest image; annotation files have a limit of their own."""
    user_agent: str = "negwb (benchmark data; resumes, few connections)"

    @property
    def backoff(self) -> Backoff:
        """The wait times between tries."""
        return Backoff(base=self.backoff_s, longest=self.longest_wait_s)


class ServerUnreachable(BenchError):
    """No source answers, so further files are not requested."""


class FileGone(BenchError):
    """The servers do not have this file; they may have others."""


class DownloadStopped(Exception):
    """The session was stopped; partial data are stored."""


class _RetryableError(Exception):
    """This try failed; another one may succeed."""

    def __init__(self, reason: str, wait_s: float | None = None, *, answered: bool = True) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.answered = answered


def make_client(limits: RequestLimits) -> httpx.Client:
    """Return a client for any number of threads."""
    import httpx  # noqa: PLC0415 -- 90 ms, needed for downloads only

    return httpx.Client(
        headers={"User-Agent": limits.user_agent, "Accept-Encoding": "identity"},
        timeout=httpx.Timeout(limits.timeout_s, connect=min(limits.connect_s, limits.timeout_s)),
        limits=httpx.Limits(max_connections=limits.connections),
        follow_redirects=True,
        max_redirects=5,
    )


def download(
    http: httpx.Client,
    urls: Sequence[str],
    target: Path,
    check: Check,
    *,
    limits: RequestLimits,
    session: DownloadSession,
) -> int:
    """Download a file from the first of `urls` that serves a valid one.

    Args:
        urls: Addresses of the file, in order of preference.
        target: Path of the file.
        check: Raises ValueError if the file is not valid.
        session: Shared by several downloads, so that a server that one of them gives up is not asked by the others.

    Returns:
        The number of bytes received.

    Raises:
        ServerUnreachable: No server answers, so no other file can be downloaded either.
        FileGone: No source has the file.
        BenchError: All sources failed; the message has the last reason.
        DownloadStopped: The session was stopped.
    """
    reason, gone = "no source is given", 0
    for url in urls:
        try:
            received = _download_from(http, url, target, check, limits, session)
        except BenchError as error:
            reason = error.message
            gone += isinstance(error, FileGone)
        else:
            session.file_received(_host(url))
            return received
    if session.expired:
        why = f" ({session.last_problem})" if session.last_problem else ""
        raise ServerUnreachable(f"no file was received for {session.patience_s:g} s{why}")
    if urls and all(_host(url) in session.given_up for url in urls):
        raise ServerUnreachable(reason)
    raise FileGone(reason) if urls and gone == len(urls) else BenchError(reason)


def _download_from(
    http: httpx.Client, url: str, target: Path, check: Check, limits: RequestLimits, session: DownloadSession
) -> int:
    """Download from one source.

    Raises:
        BenchError: All tries failed.
    """
    host = _host(url)
    unanswered, before = 0, session.answer_count(host)
    for attempt in range(limits.tries):
        if session.stop.is_set():
            raise DownloadStopped
        if host in session.given_up:
            raise BenchError(session.given_up[host])
        if session.expired:
            raise ServerUnreachable(f"{url}: no file was received for {session.patience_s:g} s")
        try:
            return _attempt(http, url, target, check, limits, session)
        except _RetryableError as again:
            session.last_problem = reason = f"{url}: {again}"
            unanswered, before = (
                _unanswered_tries(again, unanswered, before, session.answer_count(host)),
                session.answer_count(host),
            )
            if unanswered >= limits.unreachable_after:
                session.given_up[host] = f"{host} does not answer ({again})"
            elif (wait_s := again.wait_s or 0.0) > limits.longest_wait_s:
                session.given_up[host] = f"{host} asks to wait {wait_s:,.0f} s ({again})"
            elif attempt + 1 < limits.tries:
                session.wait(limits.backoff.delay(attempt, again.wait_s))
        except FileGone:
            raise
        except BenchError as error:
            session.last_problem = reason = error.message
            break
    if not unanswered and session.count_failure(host) >= limits.wrong_files:
        session.given_up.setdefault(host, f"{host} sent {limits.wrong_files} wrong answers in a row ({reason})")
    raise BenchError(session.given_up.get(host, reason))


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _unanswered_tries(again: _RetryableError, unanswered: int, before: int, now: int) -> int:
    """Return the number of tries in a row, with this one, without any answer of the host."""
    if again.answered:
        return 0
    return 1 if now > before else unanswered + 1


def _attempt(
    http: httpx.Client, url: str, target: Path, check: Check, limits: RequestLimits, session: DownloadSession
) -> int:
    import httpx  # noqa: PLC0415

    part = target.with_name(target.name + ".part")
    answered = False

    def on_answer() -> None:
        nonlocal answered
        answered = True
        session.count_answer(_host(url))

    try:
        received = _receive(http, url, part, limits, session, on_answer)
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise _RetryableError(str(error) or type(error).__name__, answered=answered) from error
    except (httpx.InvalidURL, httpx.HTTPError) as error:
        raise BenchError(f"{url}: {error}") from error
    try:
        check(part)
    except ValueError as error:
        part.unlink()  # complete but invalid, so it is not continued
        raise _RetryableError(str(error)) from error
    part.replace(target)
    return received


def _receive(
    http: httpx.Client,
    url: str,
    part: Path,
    limits: RequestLimits,
    session: DownloadSession,
    on_answer: Callable[[], None],
) -> int:
    """Complete the file `part`; return the number of bytes received."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with http.stream("GET", url, headers=headers, extensions={"trace": session.trace}) as response:
        on_answer()
        if response.status_code == _RANGE_NOT_SATISFIABLE:
            return _complete_part(response, part, have)
        _raise_for_status(response, url)
        start = _body_offset(response, have)
        announced = response.headers.get("Content-Length", "")
        received = _write(response, part, start, limits, session)
    if announced.isdigit() and received < int(announced):
        raise _RetryableError(f"only {received} of {announced} bytes were received")
    return received


def _complete_part(response: httpx.Response, part: Path, have: int) -> int:
    """Handle an invalid range: the part is complete, or belongs to another file."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if total.isdigit() and int(total) == have:
        return 0
    part.unlink()
    raise _RetryableError("the part did not fit the file")


def _raise_for_status(response: httpx.Response, url: str) -> None:
    if response.status_code in _RETRYABLE:
        raise _RetryableError(f"HTTP {response.status_code}", retry_after(response.headers))
    if response.status_code in _NOT_FOUND:
        raise FileGone(f"{url}: HTTP {response.status_code}")
    if not response.is_success:
        raise BenchError(f"{url}: HTTP {response.status_code}")


def _body_offset(response: httpx.Response, have: int) -> int:
    """Return the byte at which the body begins: 0 if the server ignores the range; an error for another range."""
    if response.status_code != _PARTIAL:
        return 0
    first = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if first != str(have):
        raise _RetryableError(f"the server sent bytes from {first or 'nowhere'} instead of {have}")
    return have


def _write(response: httpx.Response, part: Path, start: int, limits: RequestLimits, session: DownloadSession) -> int:
    received, began, renewed = 0, session.now(), 0
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        for chunk in response.iter_bytes():
            file.write(chunk)
            received += len(chunk)
            if session.stop.is_set():
                raise DownloadStopped
            took = session.now() - began
            if took > limits.slow_after_s and received < took * limits.slowest:
                raise _RetryableError(f"only {received:,} bytes were received in {took:.0f} s")
            if received - renewed >= _PROGRESS_BYTES:
                session.renew_deadline()
                renewed = received
            if start + received > limits.most_bytes:
                part.unlink()
                raise BenchError(f"{response.url}: more than {limits.most_bytes} bytes")
    return received
