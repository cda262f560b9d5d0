"""Error of benchmarks: a message and a hint. The commands convert it to exit code 6."""

from __future__ import annotations


class BenchError(Exception):
    """The benchmark cannot be run, downloaded or read; no partial result is stored."""

    def __init__(self, message: str, *, hint: str = "", fetch_command: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fetch_command = fetch_command
        """The command that downloads what is missing; "": none."""
