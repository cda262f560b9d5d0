"""Many candidates' events at once. Most histories are alike, so each different one is folded once.

A history is told without what differs from candidate to candidate: an undo names the place in the history, not the
number, of what it takes back.
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
"""Candidates that one statement names (`dialect.batches`)."""
COLUMNS = ("candidate_id", "seq", "actor", "role", "kind", "verdict", "undo_of", "gold")
"""Of an event, in the order in which `history_of` takes them. The further fields of `HistoryEvent` may follow."""
_SELECT_EVENTS = text(f"""
    SELECT {", ".join(COLUMNS)}, blind FROM event WHERE candidate_id {IN_IDS}
    ORDER BY candidate_id, seq
""")


class HistoryEvent(NamedTuple):
    """An event without what differs from candidate to candidate."""

    actor: str
    role: str
    kind: str
    verdict: str | None
    undoes: int | None
    """Place (from 1) in the candidate's history of the event that this one takes back."""
    gold: bool = False
    """The right answer is known: this is one, and no vote."""
    blind: bool = False
    reason: str | None = None
    stream: str | None = None
    quick: bool = False
    """The decision took less time than a look at the card does (`hasty`)."""


History = tuple[HistoryEvent, ...]
_ROW_END = 2 + len(HistoryEvent._fields)


def history_from_rows(rows: Sequence[Any]) -> History:
    """One candidate's history from its rows: `COLUMNS`, then fields of `HistoryEvent` in their order, then anything."""
    places = {row[1]: place for place, row in enumerate(rows, 1)} if len(rows) > 1 else {}
    return tuple(HistoryEvent(row[2], row[3], row[4], row[5], places.get(row[6]), *row[7:_ROW_END]) for row in rows)


def histories(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[int, History]]:
    """The histories of these candidates, of those that have any, by id."""
    rows = connection.execute(_SELECT_EVENTS, {"ids": json_array(ids)}).all()
    for number, group in groupby(rows, key=itemgetter(0)):
        yield number, history_from_rows(list(group))


def fold_events(history: History) -> list[FoldEvent]:
    """The history as the fold takes it, numbered by place."""
    return [
        _fold_event(place, said.actor, said.role, said.kind, said.verdict, said.undoes, said.gold)
        for place, said in enumerate(history, 1)
    ]


@lru_cache(maxsize=16_384)
def cached_fold(history: History, overlap: str) -> CandidateStatus:
    """What the history comes to."""
    return fold(fold_events(history), Overlap.parse(overlap))


def overlap_sql(candidate: str = "c", *, at: str = "") -> str:
    """SQL: the overlap of the candidate of this alias, now or `at` the event number of this expression."""
    until = f" AND o.since <= {at}" if at else ""
    return f"""coalesce((SELECT o.overlap FROM overlap_change o WHERE o.candidate_id = {candidate}.id{until}
                         ORDER BY o.since DESC LIMIT 1), {candidate}.overlap)"""


def events_of(connection: Connection, candidate_id: int, *, until: int | None = None) -> list[FoldEvent]:
    """A candidate's events in order; `until`: those up to this sequence number."""
    rows = connection.execute(
        text("""SELECT seq, actor, role, kind, verdict, undo_of, gold FROM event
                WHERE candidate_id = :id AND (:until IS NULL OR seq <= :until) ORDER BY seq"""),
        {"id": candidate_id, "until": until},
    )
    return [_fold_event(*row) for row in rows]


def _fold_event(
    seq: int, actor: str, role: str, kind: str, verdict: str | None, undo_of: int | None, gold: bool = False
) -> FoldEvent:
    """An event's columns as the fold takes them."""
    return FoldEvent(seq, actor, Role(role), Kind(kind), Kind(verdict) if verdict else None, undo_of, bool(gold))
