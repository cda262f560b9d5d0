"""What goes wrong in front of a person: one line, a hint, and an exit code that scripts can rely on.

    NegwbError
    ├── UsageError      2  the call or the settings are off
    └── NothingToDo     5  no data, or all of it is done

Errors of the record (`curation_db.errors`) end with exit code 3; anything else is a bug of ours and ends with 1.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How `negwb` ends."""

    OK = 0
    UNEXPECTED = 1
    """A bug of ours, or an input of which some rows were refused."""
    USAGE = 2
    DATABASE = 3
    NETWORK = 4
    NOTHING_TO_DO = 5
    FAILED = 6
    """A training or a benchmark failed; a generation reached its budget."""
    INTERRUPTED = 130
    """By Ctrl-C. After SIGTERM a command ends with 143, after SIGHUP with 129 (`workbench.console.interruption`)."""


class NegwbError(Exception):
    """An error for the person: what, where, and what to do."""

    exit_code = ExitCode.UNEXPECTED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(NegwbError):
    """The call or the settings are off."""

    exit_code = ExitCode.USAGE


class NothingToDo(NegwbError):
    """There is no data for this, or all of it is done."""

    exit_code = ExitCode.NOTHING_TO_DO
