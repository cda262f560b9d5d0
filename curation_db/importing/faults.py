"""What the JSON reader could not read, as the pipeline tells of it."""

from __future__ import annotations

from curation_db.importing.json_stream import Fault
from curation_db.importing.rows import Reason, Reject, excerpt


def told_of(fault: Fault) -> Reject:
    """A fault as a listed row."""
    reason = Reason.TRUNCATED if fault.truncated else Reason.MALFORMED
    return Reject(reason, fault.message, fault.where or "the file", fault.offset, excerpt(fault.excerpt))
