"""What can go wrong with the record.

    RecordError
    ├── NotARecord       the file is not a negwb database
    ├── NewerRecord      a newer negwb wrote it
    ├── RecordBusy       another process holds it too long
    ├── RecordUnwritable the disk is full or read-only
    ├── DiskError       the disk did not read or write what was asked
    ├── CorruptRecord    the file is damaged
    ├── ForeignSchema    the file is not built as negwb builds it
    ├── RecordInUse      somebody is at work in it who must leave first
    ├── LinkedRecord     the file has a second name (a hard link)
    ├── Overtaken        another person has changed the card since it was shown
    │   └── NoLongerQueued    ... by a decision, and the card does not ask any more
    ├── RetiredAnnotator the name is out of use
    ├── UnusableName     no annotator can have the name
    └── RecordReplaced   while it was open, another file or another version of negwb took its place

Each carries one line for the person and a hint on what to do; none leaves anything half written.
"""

from __future__ import annotations


class RecordError(Exception):
    """The record cannot do what was asked; nothing was written."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotARecord(RecordError):
    """The file is no negwb database."""


class NewerRecord(RecordError):
    """The file was written by a newer negwb."""


class UnreleasedSchema(RecordError):
    """The file was written by a development version before the first release."""


class RecordBusy(RecordError):
    """Another process held the record for longer than we wait."""


class RecordUnwritable(RecordError):
    """The disk is full, or the file or its folder is read-only."""


class DiskError(RecordError):
    """The system could not read or write the file (an I/O error). The record itself may be whole."""


class CorruptRecord(RecordError):
    """The file is damaged."""


class ForeignSchema(RecordError):
    """The file has the mark and the schema version of negwb's databases, but other tables, triggers or constraints."""


class RecordInUse(RecordError):
    """Somebody is at work in the record, and what was asked must not happen under their hands."""


class LinkedRecord(RecordError):
    """The file has more than one name: its log belongs to one of them only."""


class CardChanged(RecordError):
    """Another person has changed the card since it was shown, so that the answer does not apply to it any more."""


class NoLongerQueued(CardChanged):
    """Somebody else has decided about the card since it was shown, and it does not ask for this person any more."""


class RetiredAnnotator(RecordError):
    """A session was to begin under a name that is retired."""


class UnusableName(RecordError):
    """A name that no annotator can have."""


class RecordReplaced(RecordError):
    """What was opened is not there any more: the file was replaced or deleted, or a newer negwb changed its schema."""
