"""Questions about pictures on their way into the record; see `writer` for what holds of all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from curation_db import dialect
from curation_db.importing.rows import QuestionRow, Reason, RefusedRow, Reject, prepared, reject

_COLUMNS = ("source_id", "key", "image_id", "text", "answer", "agreed", "answers", "question_type")


def insert_questions(
    connection: Connection, source_id: int, images: Mapping[str, int], rows: Sequence[QuestionRow]
) -> tuple[Counter[str], list[Reject]]:
    """Insert the questions that are new; `images` are the ids of pictures by key.

    Returns the counts, by the names of `ImportReport`'s fields, and what was refused.
    """
    sent, sources, wrong = [], [], []
    counts: Counter[str] = Counter()
    for row in rows:
        try:
            shown, _ = prepared(row.text)
            if row.image not in images:
                raise RefusedRow(Reason.UNKNOWN_IMAGE, f"no image {row.image} in the file or in the record")
        except RefusedRow as why:
            wrong.append(reject(row.at, why))
            continue
        counts["cleaned"] += shown != row.text
        told = (source_id, row.key, images[row.image], shown, row.answer, row.agreed, row.answers, row.question_type)
        sent.append(told)
        sources.append(row)
    new = dialect.insert_many(connection, "visual_question", _COLUMNS, sent)
    counts["questions"] += new
    if new < len(sent):
        changed = _changed(connection, source_id, sent, sources)
        counts["unchanged"] += len(sent) - new - len(changed)
        wrong += changed
    return counts, wrong


def _changed(
    connection: Connection, source_id: int, sent: Sequence[tuple[object, ...]], rows: Sequence[QuestionRow]
) -> list[Reject]:
    """Those whose key the record has with other content."""
    keys = [row.key for row in rows]
    found = dialect.select_in(connection, "visual_question", _COLUMNS, "key", keys, source_id=source_id)
    old = {row.key: tuple(row) for row in found}
    return [_refused(row, old[row.key], told) for row, told in zip(rows, sent, strict=True) if old[row.key] != told]


def _refused(row: QuestionRow, old: tuple[object, ...], told: tuple[object, ...]) -> Reject:
    what = {2: "picture", 3: "text"}
    other = next((name for place, name in what.items() if old[place] != told[place]), "count of answers")
    return reject(row.at, RefusedRow(Reason.DUPLICATE, f"question {row.key} is there with another {other}"))
