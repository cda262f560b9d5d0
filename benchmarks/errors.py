"""Error of benchmarks: a message and a hint. The commands convert it to exit code 6."""

from __future__ import annotations

from curation_db.errors import HintedError


class BenchError(HintedError):
    """The benchmark cannot be run, downloaded or read; no partial result is stored."""

    def __init__(self, message: str, *, hint: str = "", fetch_command: str = "") -> None:
        super().__init__(message, hint=hint)
        self.fetch_command = fetch_command
        """The command that downloads what is missing; "": none."""
