"""Distribution of cues, positions, negation types and concepts, among all proposals and among the accepted ones.

A text-only model must not be able to recognise negated captions by such surface traits, so the distribution is shown
beside a target. Reads only; two passes over the candidates (2.5 s for a million), so not for the path to the next card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from curation_db.stats.targets import POSITIONS, TRAITS, Shares, Targets

SHOWN: Final = 10
"""Number of values of a trait that are listed; the others are summed up."""


@dataclass(frozen=True, slots=True)
class ValueShare:
    value: str | None
    """None: candidates without a value."""
    accepted: int
    proposed: int
    """All candidates with this value except superseded ones."""
    target: float | None
    """Target share among the accepted candidates; None: no target."""


@dataclass(frozen=True, slots=True)
class Balance:
    trait: str
    accepted: int
    proposed: int
    distinct: int
    """Number of different values, without None."""
    parts: tuple[ValueShare, ...]
    """First the values with a target, in its order; then the `SHOWN` most frequent others among the accepted."""
    rest: ValueShare | None
    """Sum of all other values."""


def balances(connection: Connection, targets: Targets) -> tuple[Balance, ...]:
    """Compute the distribution of each of `TRAITS`."""
    few = tuple(trait for trait in TRAITS if trait != "concept")  # concepts need a pass of their own: they are many
    counted = _counted(connection, few) | _counted(connection, ("concept",))
    return tuple(spread(trait, counted[trait], targets.get(trait, {})) for trait in TRAITS)


def _counted(connection: Connection, traits: Sequence[str]) -> dict[str, dict[str | None, tuple[int, int]]]:
    """Count in one pass, for each trait, value to (accepted, proposed)."""
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
    """Build a balance from counts of value to (accepted, proposed)."""
    untargeted = sorted((value for value in counted if value not in target), key=lambda each: _frequency(each, counted))
    if trait == "position":
        untargeted.sort(key=lambda each: POSITIONS.index(each) if each in POSITIONS else len(POSITIONS))
    parts = [ValueShare(value, *counted.get(value, (0, 0)), share) for value, share in target.items()]
    parts += [ValueShare(value, *counted[value], None) for value in untargeted[:SHOWN]]
    others = [counted[value] for value in untargeted[SHOWN:]]
    rest = ValueShare(f"{len(others):,} others", sum(a for a, _ in others), sum(p for _, p in others), None)
    return Balance(
        trait,
        sum(accepted for accepted, _ in counted.values()),
        sum(proposed for _, proposed in counted.values()),
        len(counted.keys() - {None}),
        tuple(parts),
        rest if others else None,
    )


def _frequency(value: str | None, counted: Mapping[str | None, tuple[int, int]]) -> tuple[int, int, str]:
    accepted, proposed = counted[value]
    return -accepted, -proposed, value or ""
