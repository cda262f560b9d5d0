"""Queue orders: for every ordering policy a stored priority per candidate, least first (DESIGN section 4).

A policy is a signal ("conflict"), a weighted sum of signals ("0.7*conflict + 0.3*lint"), or "oldest". Two are kept for
every candidate from the moment it comes in; any other one is worked out in the background (`Refresher`) from the day
somebody asks for it, and until then the queue falls back on the oldest. Nothing here is on the way to the next card.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from curation_db.lint.linter import DEFAULTS, LintSettings
from curation_db.queue.priority_signals import CorpusCounts, PrioritySignal, corpus_counts, signals_of
from curation_db.storage.store import Store

CONFLICT = "conflict"
"""What the judges disagree on first, then what they are least sure of, then by age."""
OLDEST = "oldest"
"""In the order of arrival."""

ORDERINGS = (CONFLICT, OLDEST)
"""Kept for every candidate."""
DEFAULT_ORDERING = CONFLICT
BATCH = 50
"""Candidates per transaction of the background work: some twenty milliseconds with the checks, else a few."""
GROWTH = 1.1
"""A policy on what is rare is worked out anew when there are so many times more candidates than last time."""

# The spread of the judges' probabilities counts first; a mean near one half breaks ties. Both lie in 0..1. Each
# question is looked at by itself; the one that they are furthest apart on counts. Rounded, so that equal is equal.
_CONFLICT = text("""
    UPDATE queue_entry SET priority = coalesce((
        SELECT round(min(p) - max(p) - 0.1 * (1 - 2 * abs(avg(p) - 0.5)), 9) AS apart FROM verdict v
        WHERE v.candidate_id = queue_entry.candidate_id AND p IS NOT NULL GROUP BY v.question
        ORDER BY apart LIMIT 1), 0)
    WHERE ordering = 'conflict' AND candidate_id = :candidate
""")
_TERM = re.compile(r"(?:([0-9]*\.?[0-9]+)\s*\*\s*)?([a-z][a-z-]*)")
_NOTED = "ordering:"


@dataclass(frozen=True, slots=True)
class Policy:
    """What comes first."""

    weights: tuple[tuple[PrioritySignal, float], ...] = ()
    """By signal; the weights sum to 1. None: the oldest."""

    @classmethod
    def parse(cls, words: str) -> Policy:
        """ "oldest", a signal, or signals with weights joined by +; the weights are brought to a sum of 1.

        Raises:
            ValueError: it is none of these.
        """
        if words.strip() == OLDEST:
            return cls()
        told: dict[PrioritySignal, float] = {}
        for part in words.split("+"):
            term = _TERM.fullmatch(part.strip())
            if term is None or term[2] not in list(PrioritySignal):
                known = ", ".join([OLDEST, *PrioritySignal])
                raise ValueError(f"order {words!r}: {part.strip()!r} is none of {known}; as in 0.7*conflict + 0.3*lint")
            signal, weight = PrioritySignal(term[2]), float(term[1] or 1)
            told[signal] = told.get(signal, 0.0) + weight
        total = math.fsum(told.values())
        if not total > 0 or not math.isfinite(total):
            raise ValueError(f"order {words!r}: the weights must sum to more than nothing")
        return cls(tuple((signal, told[signal] / total) for signal in PrioritySignal if told.get(signal)))

    @property
    def name(self) -> str:
        """The policy as it is stored and shown; equal policies have equal names."""
        if not self.weights:
            return OLDEST
        if len(self.weights) == 1:
            return str(self.weights[0][0])
        return " + ".join(f"{weight:.4g}*{signal}" for signal, weight in self.weights)

    @property
    def kept(self) -> bool:
        """Whether every candidate has its place under it from the start."""
        return self.name in ORDERINGS


def refresh_priorities(connection: Connection, candidate_ids: Iterable[int]) -> None:
    """Store the priorities of these candidates anew, after verdicts about them have come in."""
    ids = list(candidate_ids)
    if not ids:
        return
    connection.execute(_CONFLICT, [{"candidate": number} for number in ids])
    for policy, done in _asked_for(connection).items():
        # the background work goes over them again; until then they keep the places they have
        _note(connection, policy, replace(done, upto=min(done.upto, min(ids) - 1)))


@dataclass(frozen=True, slots=True)
class RefreshProgress:
    """How far a policy is worked out."""

    upto: int = 0
    """The last candidate that has its place."""
    newest: int = 0
    """The last candidate there is."""

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return 1.0 if self.upto >= self.newest else self.upto / self.newest


class Refresher:
    """Works a policy out, a batch at a time; anybody may, and may stop at any time: the next one goes on."""

    def __init__(self, store: Store, policy: Policy, checks: LintSettings = DEFAULTS) -> None:
        """`checks`: which warnings count."""
        self._store, self._policy, self._checks = store, policy, checks
        self._wanted = frozenset(signal for signal, _ in policy.weights)
        self._stands: CorpusCounts | None = None
        """Counted once for a pass over all candidates: it costs a look at every row."""

    @property
    def progress(self) -> RefreshProgress:
        """How far it is."""
        with self._store.read() as connection:
            done = _done(connection, self._policy)
            return RefreshProgress(done.upto, _newest(connection))

    def step(self, count: int = BATCH) -> bool:
        """Work out the next candidates; False: there is nothing to do.

        Raises:
            RecordError: the record is busy; nothing was written.
        """
        if self._policy.kept:
            return False
        if self._stands is None:
            with self._store.read() as connection:
                self._stands = corpus_counts(connection, self._wanted)
        with self._store.write() as connection:
            done, newest = _done(connection, self._policy), _newest(connection)
            if done.upto >= newest and not (self._ages() and newest > done.counted * GROWTH):
                self._stands = None
                return False
            upto = 0 if done.upto >= newest else done.upto
            ids = (
                connection.execute(
                    text("SELECT id FROM candidate WHERE id > :upto ORDER BY id LIMIT :count"),
                    {"upto": upto, "count": count},
                )
                .scalars()
                .all()
            )
            values = signals_of(connection, ids, self._wanted, self._stands, self._checks)
            _place(connection, self._policy, ids, values)
            _note(connection, self._policy, _Done(ids[-1] if ids else newest, newest if upto == 0 else done.counted))
        return True

    def _ages(self) -> bool:
        """Whether a candidate's place depends on how many others are like it."""
        return any(
            signal in (PrioritySignal.RARE_CUE, PrioritySignal.RARE_CONCEPT) for signal, _ in self._policy.weights
        )


@dataclass(frozen=True, slots=True)
class _Done:
    upto: int = 0
    counted: int = 0
    """The last candidate there was when the work began."""


def _asked_for(connection: Connection) -> dict[Policy, _Done]:
    rows = connection.execute(
        text("SELECT name, value FROM record_note WHERE name LIKE :like"), {"like": f"{_NOTED}%"}
    ).all()
    return {Policy.parse(row.name.removeprefix(_NOTED)): _Done(**json.loads(row.value)) for row in rows}


def _done(connection: Connection, policy: Policy) -> _Done:
    if policy.kept:
        newest = _newest(connection)
        return _Done(newest, newest)
    told = connection.execute(
        text("SELECT value FROM record_note WHERE name = :name"), {"name": _NOTED + policy.name}
    ).scalar()
    return _Done(**json.loads(told)) if told else _Done()


def _note(connection: Connection, policy: Policy, done: _Done) -> None:
    value = json.dumps({"upto": done.upto, "counted": done.counted})
    connection.execute(
        text("""INSERT INTO record_note(name, value) VALUES (:name, :value)
                ON CONFLICT(name) DO UPDATE SET value = excluded.value"""),
        {"name": _NOTED + policy.name, "value": value},
    )


def _newest(connection: Connection) -> int:
    return int(connection.execute(text("SELECT coalesce(max(id), 0) FROM candidate")).scalar_one())


def _place(
    connection: Connection, policy: Policy, ids: Sequence[int], values: Mapping[int, Mapping[PrioritySignal, float]]
) -> None:
    """Give these candidates their places under the policy, in the group in which each is."""
    if not ids:
        return
    rows = [
        {"id": number, "name": policy.name, "p": -math.fsum(weight * values[number][s] for s, weight in policy.weights)}
        for number in ids
        if number in values
    ]
    connection.execute(text("DELETE FROM queue_entry WHERE candidate_id = :id AND ordering = :name"), rows)
    connection.execute(
        text("""INSERT INTO queue_entry(ordering, group_id, priority, candidate_id)
                SELECT :name, group_id, :p, candidate_id FROM queue_entry
                WHERE candidate_id = :id AND ordering = 'oldest'"""),
        rows,
    )
