"""Index of lint findings and judge conflicts per candidate ("marks"), so that they can be searched.

A conflict is marked when verdicts are stored. The lint takes a third of a millisecond per candidate, so an import does
not wait for it: `LintIndexer` runs afterwards in small batches, and can be stopped and resumed at any time. The child
of an edit is indexed in the transaction of the edit. An import of captions or objects of an image queues the image's
candidates for indexing again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from curation_db.language.token_counter import CLIP_LIMIT
from curation_db.lint.inputs import candidate_rows, lint_subjects
from curation_db.lint.linter import DEFAULTS, LINT_VERSION, RULES, LintSettings, Rule, lint
from curation_db.storage.sqlite import IN_IDS, json_array
from curation_db.storage.store import Store

CONFLICT: Final = "conflict"
"""Mark: on the same question one judge answers yes and another no."""
INDEXED_RULES: Final = tuple(rule for rule in Rule if not RULES[rule].needs_corpus)
"""The rules that need only the candidate and its image."""
BATCH: Final = 50
"""Candidates per transaction, which takes about 20 ms."""

_NOTE_NAME: Final = "marked"
_DISAGREE = text(f"""
    INSERT INTO candidate_mark(mark, candidate_id)
    SELECT '{CONFLICT}', candidate_id FROM verdict
    WHERE candidate_id {IN_IDS} AND p IS NOT NULL
    GROUP BY candidate_id, question HAVING max(p) >= 0.5 AND min(p) < 0.5 ON CONFLICT DO NOTHING
""")
_UNMARK = text(f"DELETE FROM candidate_mark WHERE mark = :mark AND candidate_id {IN_IDS}")
_DELETE_UNKNOWN = text("DELETE FROM candidate_mark WHERE mark NOT IN (SELECT value FROM json_each(:known))")
_MARK = text("INSERT INTO candidate_mark(mark, candidate_id) VALUES (:mark, :id)")
_DUE = text("SELECT candidate_id FROM mark_due ORDER BY candidate_id LIMIT :count")
_DONE = text(f"DELETE FROM mark_due WHERE candidate_id {IN_IDS}")
_QUEUE = text(f"""
    INSERT INTO mark_due(candidate_id) SELECT id FROM candidate WHERE image_id {IN_IDS} AND id <= :upto
    ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class IndexProgress:
    upto: int = 0
    """Id of the last indexed candidate."""
    newest: int = 0
    """Id of the newest candidate."""
    due: int = 0
    """Number of candidates queued for indexing again."""

    @property
    def done(self) -> bool:
        """Whether the index is up to date."""
        return self.upto >= self.newest and not self.due

    @property
    def share(self) -> float:
        """Completed share, from 0 to 1."""
        return 1.0 if self.done else min(1.0, self.upto / self.newest) if self.newest else 0.0


class LintIndexer:
    """Indexes lint findings batch by batch; a new indexer resumes where the last one stopped."""

    def __init__(self, store: Store, checks: LintSettings = DEFAULTS) -> None:
        self._store, self._checks = store, checks
        self._limit = checks.text_limit.key

    @property
    def progress(self) -> IndexProgress:
        """The current progress, read from the record."""
        with self._store.read() as connection:
            return index_progress(connection, self._limit)

    def step(self, count: int = BATCH) -> bool:
        """Index the next `count` candidates; return False if there are none.

        Raises:
            RecordError: The record is busy; nothing was written.
        """
        if self.progress.done:  # the usual case; it needs no write lock
            return False
        with self._store.write() as connection:
            upto = _upto(connection, self._limit)
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
            if _read_note(connection).get("version") != LINT_VERSION:
                _delete_unknown(connection)
            index_candidates(connection, ids, self._checks)
            _write_note(connection, upto, self._limit)
        return bool(ids)


def index_progress(connection: Connection, limit: str | None = None) -> IndexProgress:
    """Read the progress: two look-ups and a count of the queue.

    Args:
        limit: Key of the token limit that the marks must have; None: any.
    """
    newest = connection.execute(text("SELECT coalesce(max(id), 0) FROM candidate")).scalar_one()
    due = connection.execute(text("SELECT count(*) FROM mark_due")).scalar_one()
    return IndexProgress(_upto(connection, limit), int(newest), int(due))


def not_indexed(connection: Connection, ids: Sequence[int]) -> frozenset[int]:
    """Return which of these candidates this lint version has not indexed, or has to index again."""
    upto = _upto(connection)
    due = text(f"SELECT candidate_id FROM mark_due WHERE candidate_id {IN_IDS}")
    waiting = connection.execute(due, {"ids": json_array(ids)}).scalars()
    return frozenset((*waiting, *(number for number in ids if number > upto)))


def index_candidates(connection: Connection, ids: Sequence[int], checks: LintSettings = DEFAULTS) -> None:
    """Replace the lint marks of these candidates; a rule that is off is indexed, too."""
    listed = json_array(ids)
    for rule in INDEXED_RULES:
        connection.execute(_UNMARK, {"mark": str(rule), "ids": listed})
    marks = [
        {"mark": str(finding.rule), "id": number}
        for number, subject in lint_subjects(connection, candidate_rows(connection, ids)).items()
        for finding in lint(subject, INDEXED_RULES, settings=checks)
        if not finding.ok
    ]
    if marks:
        connection.execute(_MARK, marks)


def mark_conflicts(connection: Connection, ids: Iterable[int]) -> None:
    """Mark a conflict on those of these candidates whose judges disagree; call it after verdicts are stored.

    A conflict mark is never removed, because verdicts are never deleted.
    """
    connection.execute(_DISAGREE, {"ids": json_array(ids)})


def queue_for_indexing(connection: Connection, image_ids: Iterable[int]) -> None:
    """Queue the indexed candidates of these images for indexing again, after new captions or objects were imported."""
    if upto := _upto(connection):
        connection.execute(_QUEUE, {"ids": json_array(sorted(set(image_ids))), "upto": upto})


def _read_note(connection: Connection) -> dict[str, Any]:
    statement = text("SELECT value FROM record_note WHERE name = :name")
    value = connection.execute(statement, {"name": _NOTE_NAME}).scalar()
    return dict(json.loads(value)) if value else {}


def _upto(connection: Connection, limit: str | None = None) -> int:
    """Return the id of the last candidate that this lint version has indexed, with this token limit (None: any)."""
    note = _read_note(connection)
    same_limit = limit is None or note.get("limit", CLIP_LIMIT.key) == limit
    return int(note["upto"]) if note.get("version") == LINT_VERSION and same_limit else 0


def _write_note(connection: Connection, upto: int, limit: str) -> None:
    connection.execute(
        text("""INSERT INTO record_note(name, value) VALUES (:name, :value)
                ON CONFLICT(name) DO UPDATE SET value = excluded.value"""),
        {"name": _NOTE_NAME, "value": json.dumps({"version": LINT_VERSION, "upto": upto, "limit": limit})},
    )


def _delete_unknown(connection: Connection) -> None:
    """Delete the marks of rules that this version does not have; no other code deletes them."""
    connection.execute(_DELETE_UNKNOWN, {"known": json_array([*map(str, INDEXED_RULES), CONFLICT])})
