"""Writes questions about images; a stored question is compared and never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from curation_db.importing.report import WriteOutcome
from curation_db.importing.rows import QuestionRow, RefusedRow, RejectReason, checked_text, reject
from curation_db.storage import sqlite

_COLUMNS = ("source_id", "key", "image_id", "text", "answer", "agreed", "answers", "question_type")
_NAMED_COLUMNS = {2: "image", 3: "text"}
"""What a message calls the column that differs; the others are the "count of answers"."""


def insert_questions(
    connection: Connection,
    source_id: int,
    images: Mapping[str, int],
    rows: Sequence[QuestionRow],
    outcome: WriteOutcome,
) -> None:
    """Insert the questions that are new; `images` are the ids of images by key."""
    sent: list[tuple[object, ...]] = []
    sources: list[QuestionRow] = []
    for row in rows:
        try:
            shown, _ = checked_text(row.text)
            if row.image not in images:
                raise RefusedRow(RejectReason.UNKNOWN_IMAGE, f"no image {row.image} in the file or in the record")
        except RefusedRow as why:
            outcome.rejects.append(reject(row.at, why))
            continue
        outcome.counts["cleaned"] += shown != row.text
        image_id = images[row.image]
        sent.append((source_id, row.key, image_id, shown, row.answer, row.agreed, row.answers, row.question_type))
        sources.append(row)
    new = sqlite.insert_or_ignore(connection, "visual_question", _COLUMNS, sent)
    outcome.counts["questions"] += new
    if new < len(sent):
        changed = _refuse_changed(connection, source_id, sent, sources, outcome)
        outcome.counts["unchanged"] += len(sent) - new - changed


def _refuse_changed(
    connection: Connection,
    source_id: int,
    sent: Sequence[tuple[object, ...]],
    rows: Sequence[QuestionRow],
    outcome: WriteOutcome,
) -> int:
    """Refuse the questions whose key the record has with other content; returns how many they are."""
    keys = [row.key for row in rows]
    stored = sqlite.select_in(connection, "visual_question", _COLUMNS, "key", keys, source_id=source_id)
    old = {row.key: tuple(row) for row in stored}
    changed = [(row, old[row.key], values) for row, values in zip(rows, sent, strict=True) if old[row.key] != values]
    for row, before, values in changed:
        names = (name for column, name in _NAMED_COLUMNS.items() if before[column] != values[column])
        other = next(names, "count of answers")
        outcome.refuse(row.at, RejectReason.DUPLICATE, f"question {row.key} is stored with another {other}")
    return len(changed)
