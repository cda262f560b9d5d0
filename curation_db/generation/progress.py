"""How far a generation is: the counts that a run tells about once a second, as JSON in its row. Pure.

What is read back is hostile like any other data: `StageProgress.from_dict` takes what it knows and what has a shape
that can be shown, and leaves out the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

_MOST_NAMES: Final = 200
"""Stages, reasons, engines that are taken from one progress."""
_MOST_LETTERS: Final = 1_000
_MOST: Final = 2**62
"""More than this is no count of ours."""
STAGE_COUNTS: Final = ("asked", "answered", "failed", "remembered")
"""What is counted in each stage: asked of the engine, answered by it, without an answer, known from an earlier run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """Counts so far."""

    items_total: int | None = None
    """Captions or questions that this run is about; None: not counted yet."""
    items_done: int = 0
    kept: int = 0
    dropped: int = 0
    failed: int = 0
    requests: int = 0
    """Sent to servers."""
    answers: int = 0
    remembered: int = 0
    """Answers that an earlier run was given."""
    tokens: int = 0
    cost: float = 0.0
    """In the currency of the engines' prices."""
    items_per_s: float = 0.0
    requests_per_s: float = 0.0
    eta_s: float | None = None
    """Seconds that are left, where it can be told."""
    in_flight: int = 0
    """Questions that are being answered now."""
    stages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Stage to its `STAGE_COUNTS`."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why nothing came of an item, to how many."""
    capacity: Mapping[str, int] = field(default_factory=dict)
    """Engine to how many questions it takes at a time now."""
    note: str = ""
    """What it is doing, in a line."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: object) -> StageProgress:
        """What can be made of `told`; nothing that it says raises."""
        said: Mapping[Any, Any] = told if isinstance(told, Mapping) else {}
        total = said.get("items_total")
        eta = _number(said.get("eta_s"))
        return cls(
            items_total=None if _number(total) is None else _count(total),
            items_done=_count(said.get("items_done")),
            kept=_count(said.get("kept")),
            dropped=_count(said.get("dropped")),
            failed=_count(said.get("failed")),
            requests=_count(said.get("requests")),
            answers=_count(said.get("answers")),
            remembered=_count(said.get("remembered")),
            tokens=_count(said.get("tokens")),
            cost=max(0.0, _number(said.get("cost")) or 0.0),
            items_per_s=max(0.0, _number(said.get("items_per_s")) or 0.0),
            requests_per_s=max(0.0, _number(said.get("requests_per_s")) or 0.0),
            eta_s=None if eta is None else max(0.0, eta),
            in_flight=_count(said.get("in_flight")),
            stages={name: _stage(counts) for name, counts in _named(said.get("stages"))},
            reasons={name: _count(count) for name, count in _named(said.get("reasons"))},
            capacity={name: _count(count) for name, count in _named(said.get("capacity"))},
            note=str(said.get("note") or "")[:_MOST_LETTERS],
        )


def _stage(counts: object) -> dict[str, int]:
    told = counts if isinstance(counts, Mapping) else {}
    return {name: _count(told.get(name)) for name in STAGE_COUNTS}


def _named(told: object) -> list[tuple[str, Any]]:
    if not isinstance(told, Mapping):
        return []
    return [(str(name)[:_MOST_LETTERS], value) for name, value in list(told.items())[:_MOST_NAMES]]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or _number(value) is None:
        return 0
    return min(max(0, int(value)), _MOST)
