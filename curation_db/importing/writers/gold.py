"""Known answers that come with a table: its candidates become gold (`curation_db.gold`)."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from sqlalchemy import Connection

from curation_db import dialect
from curation_db.gold import Known
from curation_db.gold_marks import mark
from curation_db.importing.rows import At, Reason, RefusedRow, Reject, reject


class GoldRow(NamedTuple):
    """A candidate of the batch whose answer is known."""

    key: str
    digest: bytes
    """Of its text: the answer is to that and to no other."""
    answer: Known
    at: At


def mark_rows(
    connection: Connection, source_id: int, origin: str, rows: list[GoldRow]
) -> tuple[Counter[str], list[Reject]]:
    """Make the rows' candidates gold, whether they are new or not; returns counts by `ImportReport`'s fields."""
    columns = ("id", "key", "raw_sha256")
    found = dialect.select_in(
        connection, "candidate", columns, "key", [row.key for row in rows], source_id=source_id
    )  # fmt: skip
    ids = {(old.key, old.raw_sha256): old.id for old in found}
    known = {ids[row.key, row.digest]: row for row in rows if (row.key, row.digest) in ids}
    done = mark(connection, {number: row.answer for number, row in known.items()}, origin)
    told = [
        reject(known[number].at, RefusedRow(Reason.DUPLICATE, "another answer is known to this candidate"))
        for number in done.other
    ]
    return Counter(gold=done.new, gold_in_audit=done.audit), told
