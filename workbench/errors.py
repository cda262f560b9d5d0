"""Errors for the user: one line, a hint, and a stable exit code.

    NegwbError
    ├── UsageError      2  the command line or the settings are wrong
    └── NothingToDo     5  there is no data, or no work left

Errors of the record (`curation_db.errors`) exit with 3, unexpected errors with 1.
"""

from __future__ import annotations

from enum import IntEnum

from curation_db.errors import HintedError


class ExitCode(IntEnum):
    OK = 0
    UNEXPECTED = 1
    """An unexpected error, an import of which some rows were refused, or a generation of which some items failed."""
    USAGE = 2
    DATABASE = 3
    NETWORK = 4
    """A server cannot be reached or answers nothing, or all items of a generation failed."""
    NOTHING_TO_DO = 5
    FAILED = 6
    """A training run, a benchmark or the check of an export failed; a generation run reached its budget."""
    INTERRUPTED = 130
    """After Ctrl-C. After SIGTERM it is 143, after SIGHUP 129 (see `workbench.console.interruption`)."""


class NegwbError(HintedError):
    exit_code = ExitCode.UNEXPECTED


class UsageError(NegwbError):
    """The command line or the settings are wrong."""

    exit_code = ExitCode.USAGE


class NothingToDo(NegwbError):
    """There is no data for the command, or no work left."""

    exit_code = ExitCode.NOTHING_TO_DO
