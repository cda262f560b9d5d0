"""Queue orderings: a stored priority per candidate and ordering policy, least first.

A policy is a signal ("conflict"), a weighted sum of signals ("0.7*conflict + 0.3*lint"), "oldest", or "mistaken", whose
priorities are the margins of a trained model (`margins`) and which comes first to accepted pairs. Two policies are
stored for every candidate when it is inserted. Any other policy is computed in the background (`Refresher`) once it is
requested; until then the queue falls back on "oldest". Nothing in this module runs between two cards.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from curation_db.lint.linter import DEFAULTS, LintSettings
from curation_db.queue.margins import MISTAKEN
from curation_db.queue.priority_signals import CorpusCounts, PrioritySignal, corpus_counts, signals_of
from curation_db.storage.store import Store

CONFLICT = "conflict"
"""Candidates on which the judges disagree first, then those they are least sure of, then by age."""
OLDEST = "oldest"
"""In the order of insertion."""

ORDERINGS = (CONFLICT, OLDEST)
"""Policies that are stored for every candidate."""
DEFAULT_ORDERING = CONFLICT
BATCH = 50
"""Candidates per background transaction: about 20 ms with the lint checks, otherwise a few milliseconds."""
GROWTH = 1.1
"""A policy on rarity is recomputed once the number of candidates has grown by this factor."""

# The spread of the judges' probabilities counts first; a mean near one half breaks ties. Both lie in 0..1. Each
# question is scored by itself, and the one with the largest disagreement counts. Rounding makes equal values equal.
_CONFLICT = text("""
    UPDATE queue_entry SET priority = coalesce((
        SELECT round(min(p) - max(p) - 0.1 * (1 - 2 * abs(avg(p) - 0.5)), 9) AS apart FROM verdict v
        WHERE v.candidate_id = queue_entry.candidate_id AND p IS NOT NULL GROUP BY v.question
        ORDER BY apart LIMIT 1), 0)
    WHERE ordering = 'conflict' AND candidate_id = :candidate
""")
_TERM = re.compile(r"(?:([0-9]*\.?[0-9]+)\s*\*\s*)?([a-z][a-z-]*)")
_NOTE_PREFIX = "ordering:"


@dataclass(frozen=True, slots=True)
class Policy:
    weights: tuple[tuple[PrioritySignal, float], ...] = ()
    """Weight by signal; the weights sum to 1. Empty: the oldest first, or the margins."""
    mistaken: bool = False
    """Whether accepted pairs are served again, the lowest margin first, before the open candidates."""

    @classmethod
    def parse(cls, expression: str) -> Policy:
        """Parse "oldest", "mistaken", a signal, or weighted signals joined by +; normalise the weights to a sum of 1.

        Raises:
            ValueError: `expression` is none of these.
        """
        if expression.strip() == OLDEST:
            return cls()
        if expression.strip() == MISTAKEN:
            return cls(mistaken=True)
        weights: dict[PrioritySignal, float] = {}
        for part in expression.split("+"):
            term = _TERM.fullmatch(part.strip())
            if term is None or term[2] not in list(PrioritySignal):
                known = ", ".join([OLDEST, MISTAKEN, *PrioritySignal])
                raise ValueError(
                    f"order {expression!r}: {part.strip()!r} is none of {known}; as in 0.7*conflict + 0.3*lint"
                )
            signal, weight = PrioritySignal(term[2]), float(term[1] or 1)
            weights[signal] = weights.get(signal, 0.0) + weight
        total = math.fsum(weights.values())
        if not total > 0 or not math.isfinite(total):
            raise ValueError(f"order {expression!r}: the weights must sum to more than 0")
        return cls(tuple((signal, weights[signal] / total) for signal in PrioritySignal if weights.get(signal)))

    @property
    def name(self) -> str:
        """The name of the policy in the record and on screens; equal policies have equal names."""
        if not self.weights:
            return MISTAKEN if self.mistaken else OLDEST
        if len(self.weights) == 1:
            return str(self.weights[0][0])
        return " + ".join(f"{weight:.4g}*{signal}" for signal, weight in self.weights)

    @property
    def needs_refresh(self) -> bool:
        """Whether the priorities are computed in the background; others are stored with the candidates or margins."""
        return bool(self.weights) and self.name not in ORDERINGS


def refresh_priorities(connection: Connection, candidate_ids: Iterable[int]) -> None:
    """Recompute the stored priorities of these candidates after new verdicts."""
    ids = list(candidate_ids)
    if not ids:
        return
    connection.execute(_CONFLICT, [{"candidate": number} for number in ids])
    for policy, done in _requested_policies(connection).items():
        # the background work recomputes them; until then they keep their old priorities
        _note(connection, policy, replace(done, upto=min(done.upto, min(ids) - 1)))


@dataclass(frozen=True, slots=True)
class RefreshProgress:
    """How far the priorities of a policy are computed."""

    upto: int = 0
    """Id of the last candidate with a computed priority."""
    newest: int = 0
    """Id of the last candidate in the record."""

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return 1.0 if self.upto >= self.newest else self.upto / self.newest


class Refresher:
    """Computes the priorities of a policy batch by batch. Any process may stop at any time; the next one continues."""

    def __init__(self, store: Store, policy: Policy, checks: LintSettings = DEFAULTS) -> None:
        """`checks` selects the lint warnings that count for the signal "lint"."""
        self._store, self._policy, self._checks = store, policy, checks
        self._wanted = frozenset(signal for signal, _ in policy.weights)
        self._corpus_counts: CorpusCounts | None = None
        """Computed once per pass over all candidates, because it reads every row."""

    @property
    def progress(self) -> RefreshProgress:
        """How far the policy is computed."""
        with self._store.read() as connection:
            done = _done(connection, self._policy)
            return RefreshProgress(done.upto, _newest(connection))

    def step(self, count: int = BATCH) -> bool:
        """Compute the priorities of the next candidates; return False when there is nothing to do.

        Raises:
            RecordError: the record is busy; nothing was written.
        """
        if not self._policy.needs_refresh:
            return False
        if self._corpus_counts is None:
            with self._store.read() as connection:
                self._corpus_counts = corpus_counts(connection, self._wanted)
        with self._store.write() as connection:
            done, newest = _done(connection, self._policy), _newest(connection)
            if done.upto >= newest and not (self._depends_on_corpus() and newest > done.counted * GROWTH):
                self._corpus_counts = None
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
            values = signals_of(connection, ids, self._wanted, self._corpus_counts, self._checks)
            _store_priorities(connection, self._policy, ids, values)
            _note(connection, self._policy, _Done(ids[-1] if ids else newest, newest if upto == 0 else done.counted))
        return True

    def _depends_on_corpus(self) -> bool:
        """Return whether a priority depends on how many other candidates share the cue or concept."""
        return any(
            signal in (PrioritySignal.RARE_CUE, PrioritySignal.RARE_CONCEPT) for signal, _ in self._policy.weights
        )


@dataclass(frozen=True, slots=True)
class _Done:
    upto: int = 0
    counted: int = 0
    """Id of the last candidate in the record when the pass began."""


def _requested_policies(connection: Connection) -> dict[Policy, _Done]:
    rows = connection.execute(
        text("SELECT name, value FROM record_note WHERE name LIKE :like"), {"like": f"{_NOTE_PREFIX}%"}
    ).all()
    return {Policy.parse(row.name.removeprefix(_NOTE_PREFIX)): _Done(**json.loads(row.value)) for row in rows}


def _done(connection: Connection, policy: Policy) -> _Done:
    if not policy.needs_refresh:
        newest = _newest(connection)
        return _Done(newest, newest)
    value = connection.execute(
        text("SELECT value FROM record_note WHERE name = :name"), {"name": _NOTE_PREFIX + policy.name}
    ).scalar()
    return _Done(**json.loads(value)) if value else _Done()


def _note(connection: Connection, policy: Policy, done: _Done) -> None:
    value = json.dumps({"upto": done.upto, "counted": done.counted})
    connection.execute(
        text("""INSERT INTO record_note(name, value) VALUES (:name, :value)
                ON CONFLICT(name) DO UPDATE SET value = excluded.value"""),
        {"name": _NOTE_PREFIX + policy.name, "value": value},
    )


def _newest(connection: Connection) -> int:
    return int(connection.execute(text("SELECT coalesce(max(id), 0) FROM candidate")).scalar_one())


def _store_priorities(
    connection: Connection, policy: Policy, ids: Sequence[int], values: Mapping[int, Mapping[PrioritySignal, float]]
) -> None:
    """Store the priorities of these candidates under the policy, each in its present group."""
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
