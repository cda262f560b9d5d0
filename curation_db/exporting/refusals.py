"""Why an export is not made; each leaves everything as it was. The command turns them into exit codes."""

from __future__ import annotations


class ExportRefused(Exception):
    """The export cannot be made as asked for."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NothingChosen(ExportRefused):
    """No pair is in the states that were asked for."""


class NameTaken(ExportRefused):
    """There is an export of that name; frozen sets are never overwritten."""
