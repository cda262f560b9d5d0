"""Fetches the files of a remote corpus, one at a time in each process, with retries and continued downloads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.data.download import DownloadStopped, RequestLimits, download, make_client
from benchmarks.data.download_session import DownloadSession
from benchmarks.errors import BenchError
from curation_db.importing.rows import InputError

_MOST_BYTES: Final = 64 << 30
_IDENTITY: Final = ("etag", "last-modified", "content-length")
_HINT: Final = "what was done is kept; repeat the command to try again"


@dataclass(frozen=True, slots=True)
class HttpFetcher:
    """The fetcher of `curation_db.corpus_audit.run` for HTTP and HTTPS."""

    limits: RequestLimits = field(
        default_factory=lambda: RequestLimits(most_bytes=_MOST_BYTES, user_agent="negwb audit (one file at a time)")
    )

    def stamp(self, address: str) -> str:
        """Return what the server states about the version of the file.

        Raises:
            InputError: The server does not answer, or has no such file.
        """
        import httpx  # noqa: PLC0415 -- 90 ms

        try:
            with make_client(self.limits) as http:
                answer = http.head(address)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise InputError(f"no answer: {str(error) or type(error).__name__}", hint=_HINT) from None
        if answer.status_code in {404, 410}:
            raise InputError(f"HTTP {answer.status_code}")
        # Some servers refuse HEAD; then the address alone identifies the file.
        return "; ".join(answer.headers.get(name, "") for name in _IDENTITY) if answer.is_success else ""

    def get(self, address: str, path: Path) -> None:
        """Write the file to `path`.

        Raises:
            InputError: All tries failed.
        """
        try:
            with make_client(self.limits) as http, DownloadSession(self.limits.patience_s) as session:
                download(http, [address], path, lambda part: None, limits=self.limits, session=session)
        except (BenchError, DownloadStopped) as error:
            raise InputError(str(error) or "the download was stopped", hint=_HINT) from None
