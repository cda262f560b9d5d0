"""Marks: what a machine found about each candidate, so that it can be searched: rules of the lint, judges in conflict.

Conflict is marked when verdicts come in. The lint costs a third of a millisecond a candidate, so an import does not
wait for it: it is worked out afterwards in small batches (`LintIndexer`), which anybody may begin and stop at any
time. An edit's child is marked with the edit. What a later import says about a picture sends its candidates through
again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from curation_db.lint.inputs import candidate_rows, lint_subjects
from curation_db.lint.linter import LINT_VERSION, RULES, Rule, lint
from curation_db.storage.sqlite import IN_IDS, json_array
from curation_db.storage.store import Store

CONFLICT: Final = "conflict"
"""The judges disagree on a question: to one and the same, one says yes and another no."""
INDEXED_RULES: Final = tuple(rule for rule in Rule if not RULES[rule].needs_corpus)
"""The rules that look at one candidate and its picture."""
BATCH: Final = 50
"""Candidates per transaction: some twenty milliseconds."""

_NOTED: Final = "marked"
_DISAGREE = text(f"""
    INSERT INTO candidate_mark(mark, candidate_id)
    SELECT '{CONFLICT}', candidate_id FROM verdict
    WHERE candidate_id {IN_IDS} AND p IS NOT NULL
    GROUP BY candidate_id, question HAVING max(p) >= 0.5 AND min(p) < 0.5 ON CONFLICT DO NOTHING
""")
_UNMARK = text(f"DELETE FROM candidate_mark WHERE mark = :mark AND candidate_id {IN_IDS}")
_FORGET = text("DELETE FROM candidate_mark WHERE mark NOT IN (SELECT value FROM json_each(:known))")
_MARK = text("INSERT INTO candidate_mark(mark, candidate_id) VALUES (:mark, :id)")
_DUE = text("SELECT candidate_id FROM mark_due ORDER BY candidate_id LIMIT :count")
_DONE = text(f"DELETE FROM mark_due WHERE candidate_id {IN_IDS}")
_SEND_AGAIN = text(f"""
    INSERT INTO mark_due(candidate_id) SELECT id FROM candidate WHERE image_id {IN_IDS} AND id <= :upto
    ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far the marking is."""

    upto: int = 0
    """The last candidate that was looked at."""
    newest: int = 0
    """The last candidate there is."""
    due: int = 0
    """How many are to be looked at again."""

    @property
    def done(self) -> bool:
        """Whether every mark is as the record says now."""
        return self.upto >= self.newest and not self.due

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return 1.0 if self.done else min(1.0, self.upto / self.newest) if self.newest else 0.0


class LintIndexer:
    """Works the marks of the lint out, a batch at a time; the next one goes on where this one stopped."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def progress(self) -> IndexProgress:
        """How far it is."""
        with self._store.read() as connection:
            return index_progress(connection)

    def step(self, count: int = BATCH) -> bool:
        """Mark the next candidates; False: there is nothing to do.

        Raises:
            RecordError: the record is busy; nothing was written.
        """
        if self.progress.done:  # most of the time, and without the write lock
            return False
        with self._store.write() as connection:
            upto = _upto(connection)
            ids = list(connection.execute(_DUE, {"count": count}).scalars())
            if ids:
                connection.execute(_DONE, {"ids": json_array(ids)})
            else:
                ids = list(
                    connection.execute(
                        text("SELECT id FROM candidate WHERE id > :upto ORDER BY id LIMIT :count"),
                        {"upto": upto, "count": count},
                    ).scalars()
                )
                upto = ids[-1] if ids else upto
            if _told(connection).get("version") != LINT_VERSION:
                _forget_unknown(connection)
            index_candidates(connection, ids)
            _note(connection, upto)
        return bool(ids)


def index_progress(connection: Connection) -> IndexProgress:
    """How far the marking is: two look-ups and a count of what is due."""
    newest = connection.execute(text("SELECT coalesce(max(id), 0) FROM candidate")).scalar_one()
    due = connection.execute(text("SELECT count(*) FROM mark_due")).scalar_one()
    return IndexProgress(_upto(connection), int(newest), int(due))


def not_indexed(connection: Connection, ids: Sequence[int]) -> frozenset[int]:
    """Those of these candidates at which the rules of this version have not looked, or are to look again."""
    upto = _upto(connection)
    due = text(f"SELECT candidate_id FROM mark_due WHERE candidate_id {IN_IDS}")
    waiting = connection.execute(due, {"ids": json_array(ids)}).scalars()
    return frozenset((*waiting, *(number for number in ids if number > upto)))


def index_candidates(connection: Connection, ids: Sequence[int]) -> None:
    """Look at these candidates now: an edit's child, or the next batch."""
    listed = json_array(ids)
    for rule in INDEXED_RULES:
        connection.execute(_UNMARK, {"mark": str(rule), "ids": listed})
    found = [
        {"mark": str(finding.rule), "id": number}
        for number, subject in lint_subjects(connection, candidate_rows(connection, ids)).items()
        for finding in lint(subject, INDEXED_RULES)
        if not finding.ok
    ]
    if found:
        connection.execute(_MARK, found)


def mark_conflicts(connection: Connection, ids: Iterable[int]) -> None:
    """Mark those of these candidates whose judges disagree, after verdicts about them came in; none ever agree again.

    Verdicts are never taken away.
    """
    connection.execute(_DISAGREE, {"ids": json_array(ids)})


def queue_for_indexing(connection: Connection, image_ids: Iterable[int]) -> None:
    """Something came in about these pictures: their candidates that were marked are to be looked at again."""
    if upto := _upto(connection):
        connection.execute(_SEND_AGAIN, {"ids": json_array(sorted(set(image_ids))), "upto": upto})


def _told(connection: Connection) -> dict[str, int]:
    value = connection.execute(text("SELECT value FROM record_note WHERE name = :name"), {"name": _NOTED}).scalar()
    return dict(json.loads(value)) if value else {}


def _upto(connection: Connection) -> int:
    """The last candidate that the rules of this version have looked at."""
    told = _told(connection)
    return int(told["upto"]) if told.get("version") == LINT_VERSION else 0


def _note(connection: Connection, upto: int) -> None:
    connection.execute(
        text("""INSERT INTO record_note(name, value) VALUES (:name, :value)
                ON CONFLICT(name) DO UPDATE SET value = excluded.value"""),
        {"name": _NOTED, "value": json.dumps({"version": LINT_VERSION, "upto": upto})},
    )


def _forget_unknown(connection: Connection) -> None:
    """Marks of rules that this version does not have: nothing else would take them away."""
    connection.execute(_FORGET, {"known": json_array([*map(str, INDEXED_RULES), CONFLICT])})
