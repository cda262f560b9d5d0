"""Acceptance rates of groups of candidates, and the cost of an accepted one. Pure functions.

The cost of a prompt version is that of all its requests, also those whose items gave no candidate. Its candidates
share it equally, so a group of candidates costs its part of the candidates. The cost is known. How many candidates
people accept is estimated from audit labels.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from curation_db.stats.intervals import Interval, wilson


class Dimension(StrEnum):
    """What candidates are grouped by; the value names a field of `Cell`."""

    PROPOSER = "proposer"
    PROMPT = "prompt"
    CUE = "cue"
    TYPE = "type"
    PIPELINE = "pipeline"
    POSITION = "position"


_NEVER_FOLDED: Final = (Dimension.PROPOSER, Dimension.PROMPT)


class Cell(NamedTuple):
    """Candidates that agree in all dimensions. Empty: not known, or no cue was found."""

    proposer: str
    """Model."""
    prompt: str
    """Version of the prompt set."""
    cue: str
    type: str
    """Negation type."""
    pipeline: str
    position: str
    """Of the cue in the caption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    candidates: int = 0
    audited: int = 0
    """Candidates with an audit label."""
    accepted: int = 0
    """Accepted ones among `audited`."""
    reviewed: int = 0
    """Candidates outside the audit that people decided."""
    reviewed_accepted: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            candidates=self.candidates + other.candidates,
            audited=self.audited + other.audited,
            accepted=self.accepted + other.accepted,
            reviewed=self.reviewed + other.reviewed,
            reviewed_accepted=self.reviewed_accepted + other.reviewed_accepted,
        )

    @property
    def acceptance(self) -> Interval:
        """Share of accepted audit labels with its Wilson interval."""
        return wilson(self.accepted, self.audited)

    @property
    def reviewed_acceptance(self) -> Interval:
        """Share accepted in review with its Wilson interval; no random sample."""
        return wilson(self.reviewed_accepted, self.reviewed)


@dataclass(frozen=True, slots=True)
class AcceptanceGroup:
    """One row of the table of acceptance rates."""

    values: tuple[str, ...]
    """Its value in each dimension; of folded groups only those of proposer and prompt."""
    cells: tuple[Cell, ...]
    counts: Counts
    folded: int = 0
    """Number of small groups in this row; 0: it is one group."""


def group_cells(cells: Mapping[Cell, Counts], by: Sequence[Dimension], *, fold_below: int = 0) -> list[AcceptanceGroup]:
    """Group the cells by some dimensions; sort by their values.

    Groups of one proposer and prompt version with fewer than `fold_below` audit labels are folded into one row, unless
    there is only one. Proposers and prompt versions themselves are never folded.
    """
    members: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        members[tuple(getattr(cell, dimension) for dimension in by)].append(cell)
    groups = [AcceptanceGroup(values, tuple(listed), _total(cells, listed)) for values, listed in members.items()]
    small: dict[tuple[str, ...], list[AcceptanceGroup]] = defaultdict(list)
    for group in groups:
        if group.counts.audited < fold_below:
            small[_kept(group.values, by)].append(group)
    shown = [group for group in groups if len(small[_kept(group.values, by)]) < 2 or group.counts.audited >= fold_below]
    for values, folded in small.items():
        if len(folded) > 1:
            listed = [cell for group in folded for cell in group.cells]
            shown.append(AcceptanceGroup(values, tuple(listed), _total(cells, listed), len(folded)))
    return sorted(shown, key=lambda group: (_kept(group.values, by), group.folded > 0, group.values))


def _kept(values: Sequence[str], by: Sequence[Dimension]) -> tuple[str, ...]:
    """Return the values with those of the dimensions that can be folded left empty."""
    return tuple(value if dimension in _NEVER_FOLDED else "" for value, dimension in zip(values, by, strict=True))


def _total(cells: Mapping[Cell, Counts], some: Iterable[Cell]) -> Counts:
    return sum((cells[cell] for cell in some), start=Counts())


def amount_of(
    group: AcceptanceGroup,
    cells: Mapping[Cell, Counts],
    spent: Callable[[str, str], float | None],
    sizes: Mapping[tuple[str, str], int],
) -> float | None:
    """Return the part of the spent amount that the group's candidates share; None: it is not known.

    Args:
        spent: Amount of a (proposer, prompt version), None if unknown.
        sizes: Number of candidates of each (proposer, prompt version).
    """
    total = 0.0
    for cell in group.cells:
        amount = spent(cell.proposer, cell.prompt)
        if amount is None:
            return None
        total += amount * cells[cell].candidates / sizes[cell.proposer, cell.prompt]
    return total


def per_accepted(amount: float, candidates: int, acceptance: Interval) -> Interval:
    """Return the amount per accepted candidate: amount / (candidates x acceptance).

    The amount and the number of candidates are known, so the limits of the acceptance give those of the quotient.
    Infinite where the acceptance may be 0; NaN without labels.
    """

    def quotient(share: float) -> float:
        if math.isnan(share):
            return math.nan
        accepted = candidates * share
        return amount / accepted if accepted else math.inf

    return Interval(quotient(acceptance.estimate), quotient(acceptance.high), quotient(acceptance.low))
