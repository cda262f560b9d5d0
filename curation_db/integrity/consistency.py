"""Whether what the record materialises is what its events say: every state, every place in the queue.

One pass over candidates, events and queue entries side by side, each read in the order of the candidates' ids, so a
million candidates are compared in well under a minute and in little memory. Equal histories are folded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Stream
from curation_db.events.history_cache import COLUMNS, History, cached_fold, history_from_rows, overlap_sql
from curation_db.events.state import CandidateStatus
from curation_db.queue.groups import annotators_key, passes_key, queue_slot
from curation_db.queue.ordering import ORDERINGS

Progress = Callable[[int, int], None]
_BATCH = 5_000
_EXAMPLES = 3

_CANDIDATES = f"""
    SELECT c.id, {overlap_sql()}, c.audit, CASE c.pipeline WHEN 'edit' THEN c.generator END, s.candidate_id,
           s.state, s.accepts, s.rejects, s.unsures, s.wanted, s.flagged, s.notes, s.last_seq, k.answer
    FROM candidate c LEFT JOIN candidate_state s ON s.candidate_id = c.id LEFT JOIN gold k ON k.candidate_id = c.id
    ORDER BY c.id
"""
_EVENTS = f"SELECT {', '.join(COLUMNS)} FROM event INDEXED BY event_candidate ORDER BY candidate_id, seq"
_ENTRIES = "SELECT candidate_id, ordering, group_id FROM queue_entry ORDER BY candidate_id"


GroupKey = tuple[str, str, str]
"""A queue group by its key: stream, voters, passes."""


@dataclass(slots=True)
class Mismatches:
    """How many candidates are wrong in one way, and which."""

    what: str
    ids: list[int] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def add(self, candidate_id: int, said: str) -> None:
        """One more."""
        self.ids.append(candidate_id)
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"candidate {candidate_id}: {said}")


@dataclass(slots=True)
class Comparison:
    """What the pass found."""

    candidates: int = 0
    events: int = 0
    states: Mismatches = field(default_factory=lambda: Mismatches("state"))
    """State or counts are not the fold's, or there is no row."""
    queue: Mismatches = field(default_factory=lambda: Mismatches("queue"))
    """Not in the queue's right group, or not once in every ordering that is kept for all."""
    strays: int = 0
    """Events and queue entries of candidates that are not there."""

    @property
    def wrong(self) -> list[int]:
        """The candidates to be rebuilt."""
        return sorted({*self.states.ids, *self.queue.ids})

    @property
    def is_consistent(self) -> bool:
        """Whether all of it is as it must be."""
        return not (self.states.ids or self.queue.ids or self.strays)


def compare(connection: Connection, *, progress: Progress | None = None) -> Comparison:
    """Fold every candidate anew and compare; `progress` is told the candidates done and all of them."""
    found = Comparison()
    people: dict[str, int] = {row.name: row.id for row in connection.execute(text("SELECT name, id FROM annotator"))}
    groups: dict[int, GroupKey] = {
        row[0]: (row[1], row[2], row[3])
        for row in connection.execute(text("SELECT id, stream, voters, passes FROM queue_group"))
    }
    total = int(connection.execute(text("SELECT count(*) FROM candidate")).scalar_one())
    events, entries = _RowsById(_stream(connection, _EVENTS)), _RowsById(_stream(connection, _ENTRIES))
    for row in _stream(connection, _CANDIDATES):
        history = events.of(row[0])
        standing, fields = _expected_state(history_from_rows(history), row[1])
        _check_state(found.states, row, (*fields, history[-1][1] if history else 0))
        known = Kind(row[-1]) if row[-1] else None
        place = _expected_group(standing, audit=bool(row[2]), editor=row[3], known=known, people=people)
        _check_queue(found.queue, row[0], place, entries.of(row[0]), groups)
        found.candidates += 1
        found.events += len(history)
        if progress is not None and found.candidates % _BATCH == 0:
            progress(found.candidates, total)
    found.strays = events.rest() + entries.rest()
    if progress is not None:
        progress(total, total)
    return found


def _stream(connection: Connection, statement: str) -> Iterator[Any]:
    result = connection.execution_options(yield_per=_BATCH).exec_driver_sql(statement)
    for part in result.partitions():
        yield from part


class _RowsById:
    """Rows in the order of their first column, handed out for one id after the other."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows
        self._next = next(rows, None)
        self._skipped = 0

    def of(self, wanted: int) -> list[Any]:
        """The rows of `wanted`, which only grows from call to call."""
        found: list[Any] = []
        row = self._next
        while row is not None and row[0] <= wanted:
            if row[0] == wanted:
                found.append(row)
            else:
                self._skipped += 1
            row = next(self._rows, None)
        self._next = row
        return found

    def rest(self) -> int:
        """How many rows nobody asked for, with those behind the last id."""
        left = sum(1 for _ in self._rows) + (self._next is not None)
        return self._skipped + left


@lru_cache(maxsize=16_384)
def _expected_state(history: History, overlap: str) -> tuple[CandidateStatus, tuple[Any, ...]]:
    """The standing, and the columns that it is written to."""
    told = cached_fold(history, overlap)
    # fmt: off
    fields = (
        str(told.state), told.accepts, told.rejects, told.unsures, told.wanted, int(told.flagged), told.notes,
    )
    # fmt: on
    return told, fields


def _check_state(tally: Mismatches, row: Any, expected: tuple[Any, ...]) -> None:
    if row[4] is None:
        tally.add(row[0], "it has no state")
    elif tuple(row[5:-1]) != expected:
        tally.add(
            row[0], f"{_describe_state(tuple(row[5:-1]))} is stored, its events come to {_describe_state(expected)}"
        )


def _describe_state(fields: tuple[Any, ...]) -> str:
    state, accepts, rejects, unsures, wanted, flagged, notes, last = fields
    return (
        f"{state} ({accepts} for, {rejects} against, {unsures} unsure, {wanted} wanted,"
        f" {'flagged, ' if flagged else ''}{notes} notes, event {last})"
    )


def _expected_group(
    standing: CandidateStatus, *, audit: bool, editor: str | None, known: Kind | None, people: dict[str, int]
) -> GroupKey:
    """The group a candidate belongs to (as `standing.refold` puts it there)."""
    if known is None and standing.wanted and not standing.voters and not standing.passes and editor is None:
        return _FRESH_AUDIT if audit else _FRESH_REVIEW
    stream, voters, passes = queue_slot(standing, audit=audit, editor=editor, known=known)
    return (
        stream,
        annotators_key(people[name] for name in voters if name in people),
        passes_key({people[name]: times for name, times in passes.items() if name in people}),
    )


_FRESH_AUDIT: GroupKey = (str(Stream.AUDIT), annotators_key(()), passes_key({}))
_FRESH_REVIEW: GroupKey = (str(Stream.REVIEW), annotators_key(()), passes_key({}))
_ORDERINGS = frozenset(ORDERINGS)


def _check_queue(
    tally: Mismatches, number: int, expected: GroupKey, entries: list[Any], groups: dict[int, GroupKey]
) -> None:
    names = {entry[1] for entry in entries}
    # other orderings are worked out in the background, so a candidate may lack them
    if len(entries) != len(names) or not names >= _ORDERINGS:
        listed = ", ".join(sorted(str(entry[1]) for entry in entries)) or "no ordering"
        tally.add(number, f"it is queued in {listed}")
    elif any(groups.get(entry[2]) != expected for entry in entries):
        stored = next(place for entry in entries if (place := groups.get(entry[2])) != expected)
        tally.add(number, f"it is queued among {stored}, and belongs to {expected}")
