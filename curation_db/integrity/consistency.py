"""Comparison of the derived data with the events: every state and every queue entry.

One merge pass over candidates, events and queue entries, each read in the order of candidate ids, compares a million
candidates in well under a minute and in little memory. Equal histories are folded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Stream
from curation_db.events.history_cache import COLUMNS, History, cached_fold, history_from_rows, overlap_sql
from curation_db.events.state import CandidateStatus
from curation_db.queue.groups import annotators_key, passes_key, queue_slot
from curation_db.queue.ordering import ORDERINGS
from curation_db.storage.database_file import Progress

_BATCH = 5_000
_MAX_EXAMPLES = 3

_CANDIDATES = f"""
    SELECT c.id, {overlap_sql()}, c.audit, CASE c.pipeline WHEN 'edit' THEN c.generator END, s.candidate_id,
           s.state, s.accepts, s.rejects, s.unsures, s.wanted, s.flagged, s.notes, s.last_seq, k.answer
    FROM candidate c LEFT JOIN candidate_state s ON s.candidate_id = c.id LEFT JOIN gold k ON k.candidate_id = c.id
    ORDER BY c.id
"""
_EVENTS = f"SELECT {', '.join(COLUMNS)} FROM event INDEXED BY event_candidate ORDER BY candidate_id, seq"
_ENTRIES = "SELECT candidate_id, ordering, group_id FROM queue_entry ORDER BY candidate_id"


GroupKey = tuple[str, str, str]
"""Key of a queue group: stream, voters, passes."""


@dataclass(slots=True)
class Mismatches:
    """Candidates that are wrong in one way."""

    ids: list[int] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    """Descriptions of the first few."""

    def add(self, candidate_id: int, description: str) -> None:
        self.ids.append(candidate_id)
        if len(self.examples) < _MAX_EXAMPLES:
            self.examples.append(f"candidate {candidate_id}: {description}")


@dataclass(slots=True)
class Comparison:
    candidates: int = 0
    events: int = 0
    states: Mismatches = field(default_factory=Mismatches)
    """The stored state or counts differ from the fold, or there is no row."""
    queue: Mismatches = field(default_factory=Mismatches)
    """The candidate is in the wrong queue group, or not exactly once in every ordering that is kept for all."""
    strays: int = 0
    """Events and queue entries of missing candidates."""

    @property
    def wrong(self) -> list[int]:
        """The candidates that `rebuild` must correct."""
        return sorted({*self.states.ids, *self.queue.ids})

    @property
    def is_consistent(self) -> bool:
        return not (self.states.ids or self.queue.ids or self.strays)


def compare(connection: Connection, *, progress: Progress | None = None) -> Comparison:
    """Fold every candidate again and compare the result with the stored rows.

    Args:
        connection: a read transaction.
    """
    comparison = Comparison()
    annotators: dict[str, int] = {
        row.name: row.id for row in connection.execute(text("SELECT name, id FROM annotator"))
    }
    groups: dict[int, GroupKey] = {
        row[0]: (row[1], row[2], row[3])
        for row in connection.execute(text("SELECT id, stream, voters, passes FROM queue_group"))
    }
    total = int(connection.execute(text("SELECT count(*) FROM candidate")).scalar_one())
    events, entries = _RowsById(_stream(connection, _EVENTS)), _RowsById(_stream(connection, _ENTRIES))
    for row in _stream(connection, _CANDIDATES):
        history = events.of(row[0])
        status, fields = _expected_state(history_from_rows(history), row[1])
        _check_state(comparison.states, row, (*fields, history[-1][1] if history else 0))
        known = Kind(row[-1]) if row[-1] else None
        group = _expected_group(status, audit=bool(row[2]), editor=row[3], known=known, annotators=annotators)
        _check_queue(comparison.queue, row[0], group, entries.of(row[0]), groups)
        comparison.candidates += 1
        comparison.events += len(history)
        if progress is not None and comparison.candidates % _BATCH == 0:
            progress(comparison.candidates, total)
    comparison.strays = events.count_skipped() + entries.count_skipped()
    if progress is not None:
        progress(total, total)
    return comparison


def _stream(connection: Connection, statement: str) -> Iterator[Any]:
    result = connection.execution_options(yield_per=_BATCH).exec_driver_sql(statement)
    for part in result.partitions():
        yield from part


class _RowsById:
    """Rows in the order of their first column, returned for one id after the other."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows
        self._next = next(rows, None)
        self._skipped = 0

    def of(self, candidate_id: int) -> list[Any]:
        """Return the rows of `candidate_id`, which must increase from call to call."""
        matching: list[Any] = []
        row = self._next
        while row is not None and row[0] <= candidate_id:
            if row[0] == candidate_id:
                matching.append(row)
            else:
                self._skipped += 1
            row = next(self._rows, None)
        self._next = row
        return matching

    def count_skipped(self) -> int:
        """Count the rows that no call returned, including those after the last id."""
        remaining = sum(1 for _ in self._rows) + (self._next is not None)
        return self._skipped + remaining


@lru_cache(maxsize=16_384)
def _expected_state(history: History, overlap: str) -> tuple[CandidateStatus, tuple[Any, ...]]:
    """Return the fold and its columns of `candidate_state`."""
    status = cached_fold(history, overlap)
    # fmt: off
    fields = (
        str(status.state), status.accepts, status.rejects, status.unsures, status.wanted, int(status.flagged),
        status.notes,
    )
    # fmt: on
    return status, fields


def _check_state(mismatches: Mismatches, row: Any, expected: tuple[Any, ...]) -> None:
    stored = tuple(row[5:-1])
    if row[4] is None:
        mismatches.add(row[0], "it has no state")
    elif stored != expected:
        mismatches.add(row[0], f"stored {_describe_state(stored)}, expected {_describe_state(expected)}")


def _describe_state(fields: tuple[Any, ...]) -> str:
    state, accepts, rejects, unsures, wanted, flagged, notes, last = fields
    return (
        f"{state} ({accepts} for, {rejects} against, {unsures} unsure, {wanted} wanted,"
        f" {'flagged, ' if flagged else ''}{notes} notes, event {last})"
    )


def _expected_group(
    status: CandidateStatus, *, audit: bool, editor: str | None, known: Kind | None, annotators: dict[str, int]
) -> GroupKey:
    """Return the queue group of a candidate, as `state_table.update_state` chooses it."""
    if known is None and status.wanted and not status.voters and not status.passes and editor is None:
        return _FRESH_AUDIT if audit else _FRESH_REVIEW
    stream, voters, passes = queue_slot(status, audit=audit, editor=editor, known=known)
    return (
        stream,
        annotators_key(annotators[name] for name in voters if name in annotators),
        passes_key({annotators[name]: times for name, times in passes.items() if name in annotators}),
    )


_FRESH_AUDIT: GroupKey = (str(Stream.AUDIT), annotators_key(()), passes_key({}))
_FRESH_REVIEW: GroupKey = (str(Stream.REVIEW), annotators_key(()), passes_key({}))
_ORDERINGS = frozenset(ORDERINGS)


def _check_queue(
    mismatches: Mismatches, candidate_id: int, expected: GroupKey, entries: list[Any], groups: dict[int, GroupKey]
) -> None:
    names = {entry[1] for entry in entries}
    # other orderings are computed in the background, so a candidate may lack them
    if len(entries) != len(names) or not names >= _ORDERINGS:
        orderings = ", ".join(sorted(str(entry[1]) for entry in entries)) or "no ordering"
        mismatches.add(candidate_id, f"it is queued in {orderings}")
    elif any(groups.get(entry[2]) != expected for entry in entries):
        stored = next(group for entry in entries if (group := groups.get(entry[2])) != expected)
        mismatches.add(candidate_id, f"it is queued in group {stored}, expected {expected}")
