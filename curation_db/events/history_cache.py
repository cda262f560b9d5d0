"""Histories of many candidates. Most histories are equal, so each different one is folded once and cached.

A history contains nothing that differs between candidates with the same decisions: an undo refers to the position of
its target in the history, not to the event number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from curation_db.enums import Kind, Role
from curation_db.events.state import CandidateStatus, FoldEvent, Overlap, fold
from curation_db.storage.sqlite import IN_IDS, json_array

BATCH = 5_000
"""Candidates per statement (`sqlite.batches`)."""
COLUMNS = ("candidate_id", "seq", "actor", "role", "kind", "verdict", "undo_of", "gold")
"""Columns of `event` in the order of `history_from_rows`. The further fields of `HistoryEvent` may follow."""
_SELECT_EVENTS = text(f"""
    SELECT {", ".join(COLUMNS)}, blind FROM event WHERE candidate_id {IN_IDS}
    ORDER BY candidate_id, seq
""")


class HistoryEvent(NamedTuple):
    """Event without the fields that differ between candidates."""

    actor: str
    role: str
    kind: str
    verdict: str | None
    undoes: int | None
    """Position (from 1) in the history of the event that this one undoes."""
    gold: bool = False
    """Answer to a gold item: no vote."""
    blind: bool = False
    reason: str | None = None
    stream: str | None = None
    quick: bool = False
    """The decision took less than `hasty.HASTY_MS`."""


History = tuple[HistoryEvent, ...]
_ROW_END = 2 + len(HistoryEvent._fields)


def history_from_rows(rows: Sequence[Any]) -> History:
    """Return one candidate's history.

    Args:
        rows: columns `COLUMNS`, then further fields of `HistoryEvent` in their order, then any others.
    """
    if len(rows) == 1:  # most candidates; an undo has an event before it
        (row,) = rows
        return (HistoryEvent(row[2], row[3], row[4], row[5], None, *row[7:_ROW_END]),)
    positions = {row[1]: position for position, row in enumerate(rows, 1)}
    return tuple(HistoryEvent(row[2], row[3], row[4], row[5], positions.get(row[6]), *row[7:_ROW_END]) for row in rows)


def histories(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[int, History]]:
    """Yield (id, history) for those of the candidates that have events, in ascending order."""
    rows = connection.execute(_SELECT_EVENTS, {"ids": json_array(ids)}).all()
    for number, group in groupby(rows, key=itemgetter(0)):
        yield number, history_from_rows(list(group))


def fold_events(history: History) -> list[FoldEvent]:
    """Return the history as input of the fold, numbered by position."""
    return [
        _fold_event(position, event.actor, event.role, event.kind, event.verdict, event.undoes, event.gold)
        for position, event in enumerate(history, 1)
    ]


@lru_cache(maxsize=16_384)
def cached_fold(history: History, overlap: str) -> CandidateStatus:
    """Return the fold of the history under `overlap`, from the cache if it is there."""
    return fold(fold_events(history), Overlap.parse(overlap))


def overlap_sql(*, at: str = "") -> str:
    """Return a SQL expression: the overlap of the candidate `c`, now or `at` (a SQL expression) an event number."""
    until = f" AND o.since <= {at}" if at else ""
    return f"""coalesce((SELECT o.overlap FROM overlap_change o WHERE o.candidate_id = c.id{until}
                         ORDER BY o.since DESC LIMIT 1), c.overlap)"""


def events_of(connection: Connection, candidate_id: int) -> list[FoldEvent]:
    """Return a candidate's events in order."""
    rows = connection.execute(
        text("""SELECT seq, actor, role, kind, verdict, undo_of, gold FROM event
                WHERE candidate_id = :id ORDER BY seq"""),
        {"id": candidate_id},
    )
    return [_fold_event(*row) for row in rows]


def _fold_event(
    seq: int, actor: str, role: str, kind: str, verdict: str | None, undo_of: int | None, gold: bool = False
) -> FoldEvent:
    return FoldEvent(seq, actor, Role(role), Kind(kind), Kind(verdict) if verdict else None, undo_of, bool(gold))
