"""Many candidates' events at once. Most histories are alike, so each different one is folded once.

A history is told without what differs from candidate to candidate: an undo names the place in the history, not the
number, of what it takes back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, text

from curation_db.fold import Happened, Overlap, Standing, fold
from curation_db.words import Kind, Role

T = TypeVar("T")
BATCH = 5_000
"""Candidates that one statement names."""
COLUMNS = "candidate_id, seq, actor, role, kind, verdict, undo_of, gold"
_OF_THESE = text(f"""
    SELECT {COLUMNS}, blind FROM event WHERE candidate_id IN (SELECT value FROM json_each(:ids))
    ORDER BY candidate_id, seq
""")


class Said(NamedTuple):
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


History = tuple[Said, ...]


def history_of(rows: Sequence[Any], *, blind: bool = False) -> History:
    """One candidate's history from its rows of `COLUMNS`; `blind`: they have that column too."""
    places = {row[1]: place for place, row in enumerate(rows, 1)} if len(rows) > 1 else {}
    return tuple(
        Said(row[2], row[3], row[4], row[5], places.get(row[6]), bool(row[7]), bool(row[8]) if blind else False)
        for row in rows
    )


def histories(connection: Connection, ids: Sequence[int]) -> Iterator[tuple[int, History]]:
    """The histories of these candidates, of those that have any, by id."""
    rows = connection.execute(_OF_THESE, {"ids": as_json(ids)}).all()
    for number, group in groupby(rows, key=itemgetter(0)):
        yield number, history_of(list(group), blind=True)


def happened(history: History) -> list[Happened]:
    """The history as the fold takes it, numbered by place."""
    return [
        Happened(place, said.actor, Role(said.role), Kind(said.kind), Kind(said.verdict) if said.verdict else None,
                 said.undoes, said.gold)
        for place, said in enumerate(history, 1)
    ]  # fmt: skip


@lru_cache(maxsize=16_384)
def folded(history: History, overlap: str) -> Standing:
    """What the history comes to."""
    return fold(happened(history), Overlap.parse(overlap))


def as_json(ids: Sequence[int]) -> str:
    """Ids as a statement takes them, for `json_each`."""
    return json.dumps(list(ids), separators=(",", ":"))


def batches(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """`rows` in pieces that a statement can take."""
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
