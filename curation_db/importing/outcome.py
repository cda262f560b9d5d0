"""What became of a batch of rows: the counts, the refusals, and where the refused pictures stood."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from curation_db.importing.rows import At, Reason, RefusedRow, Reject, reject


@dataclass(slots=True)
class Outcome:
    """What became of a batch; counted when the transaction is committed."""

    counts: Counter[str] = field(default_factory=Counter)
    """By the names of `ImportReport`'s fields."""
    rejects: list[Reject] = field(default_factory=list)
    refused: list[At] = field(default_factory=list)
    """Where the refused pictures stood."""

    def refuse(self, at: At, reason: Reason, message: str, *, hint: str = "") -> None:
        """Note that the row at `at` was refused."""
        self.rejects.append(reject(at, RefusedRow(reason, message, hint=hint)))

    def refuse_picture(self, at: At, why: RefusedRow) -> None:
        """Note that the picture in the row at `at` was refused: its id is another picture's."""
        self.rejects.append(reject(at, why))
        self.refused.append(at)
