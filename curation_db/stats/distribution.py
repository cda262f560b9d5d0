"""Balance: how cues, positions, types and concepts are spread, over all proposals and over the accepted ones.

A text-only model must not be able to tell negated captions by what they are made of, so the spread is shown beside a
target. Reads only; two passes over the candidates (2.5 s for a million), so never on the way to the next card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from curation_db.stats.targets import POSITIONS, TRAITS, Shares, Targets

SHOWN: Final = 10
"""Values of one trait that are told apart; the others are counted together."""


@dataclass(frozen=True, slots=True)
class ValueShare:
    """One value of a trait."""

    value: str | None
    """None: the candidates that have no such value."""
    accepted: int
    proposed: int
    """Of all candidates in play: those that an edit replaced are left out."""
    target: float | None
    """The share that it should have among the accepted; None: nobody said."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One trait's spread."""

    trait: str
    accepted: int
    """Accepted candidates in all."""
    proposed: int
    distinct: int
    """Values that occur; the lack of one is no value."""
    parts: tuple[ValueShare, ...]
    """What has a target first, in its order; then the most frequent among the accepted; at most `SHOWN` without one."""
    rest: ValueShare | None
    """All other values together."""


def balances(connection: Connection, targets: Targets) -> tuple[Balance, ...]:
    """The spread of each of `TRAITS`."""
    few = tuple(trait for trait in TRAITS if trait != "concept")  # apart: of concepts there are many
    counted = _counted(connection, few) | _counted(connection, ("concept",))
    return tuple(spread(trait, counted[trait], targets.get(trait, {})) for trait in TRAITS)


def _counted(connection: Connection, traits: Sequence[str]) -> dict[str, dict[str | None, tuple[int, int]]]:
    """For each trait: value to (accepted, proposed), from one pass."""
    columns = ", ".join(f"c.{TRAITS[trait]}" for trait in traits)
    rows = connection.execute(
        text(f"""SELECT {columns}, sum(s.state = 'accepted'), count(*)
                 FROM candidate c JOIN candidate_state s ON s.candidate_id = c.id
                 WHERE s.state != 'superseded' GROUP BY {columns}""")
    )
    counted: dict[str, dict[str | None, tuple[int, int]]] = {trait: {} for trait in traits}
    for *values, accepted, proposed in rows:
        for trait, value in zip(traits, values, strict=True):
            before = counted[trait].get(value, (0, 0))
            counted[trait][value] = before[0] + accepted, before[1] + proposed
    return counted


def spread(trait: str, counted: Mapping[str | None, tuple[int, int]], target: Shares) -> Balance:
    """A balance from counts: value to (accepted, proposed)."""
    free = sorted((value for value in counted if value not in target), key=lambda each: _frequency(each, counted))
    if trait == "position":
        free.sort(key=lambda each: POSITIONS.index(each) if each in POSITIONS else len(POSITIONS))
    parts = [ValueShare(value, *counted.get(value, (0, 0)), share) for value, share in target.items()]
    parts += [ValueShare(value, *counted[value], None) for value in free[:SHOWN]]
    others = [counted[value] for value in free[SHOWN:]]
    left = ValueShare(f"{len(others):,} others", sum(a for a, _ in others), sum(p for _, p in others), None)
    return Balance(
        trait,
        sum(accepted for accepted, _ in counted.values()),
        sum(proposed for _, proposed in counted.values()),
        len(counted.keys() - {None}),
        tuple(parts),
        left if others else None,
    )


def _frequency(value: str | None, counted: Mapping[str | None, tuple[int, int]]) -> tuple[int, int, str]:
    accepted, proposed = counted[value]
    return -accepted, -proposed, value or ""
