"""Exceptions of the record, all derived from `RecordError`. After each of them nothing is half written."""

from __future__ import annotations


class HintedError(Exception):
    """An error with a message of one line (what and where) and a hint (what the person can do)."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RecordError(HintedError):
    """The operation on the record failed; nothing was written."""


class NotARecord(RecordError):
    """The file is not a negwb database, or does not exist."""


class NewerRecord(RecordError):
    """A newer negwb wrote the file."""


class UnreleasedSchema(RecordError):
    """A development version before the first release wrote the file."""


class RecordBusy(RecordError):
    """Another process held the record's lock for longer than the time limit."""


class RecordUnwritable(RecordError):
    """The disk is full, or the file or its folder is read-only."""


class DiskError(RecordError):
    """The system could not read or write the file (an I/O error). The record itself may be intact."""


class CorruptRecord(RecordError):
    """The file is damaged."""


class ForeignSchema(RecordError):
    """The file has negwb's application ID and schema version, but other tables, triggers or constraints."""


class RecordInUse(RecordError):
    """A live session uses the record, which forbids the operation."""


class LinkedRecord(RecordError):
    """The file has a second name (a hard link); its log belongs to only one of them."""


class CardChanged(RecordError):
    """Another person has changed the card since it was shown, so the decision no longer applies to it."""


class NoLongerQueued(CardChanged):
    """Another person has decided about the card since it was shown, and it no longer needs this person's decision."""


class RetiredAnnotator(RecordError):
    """The name of the annotator is retired, so no session can start under it."""


class UnusableName(RecordError):
    """The name is not allowed for an annotator."""


class RecordReplaced(RecordError):
    """The opened file was replaced, moved or deleted, or a newer negwb has changed its schema."""
