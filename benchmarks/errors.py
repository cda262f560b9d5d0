"""What goes wrong with a benchmark: one line for the person and a hint on what to do.

The commands of the top floor turn it into their own error with exit code 6.
"""

from __future__ import annotations


class BenchError(Exception):
    """The benchmark cannot be run, fetched or read; nothing is left half written."""

    def __init__(self, message: str, *, hint: str = "", fetch_command: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fetch_command = fetch_command
        """The command that mends it by a download; "": none does."""
