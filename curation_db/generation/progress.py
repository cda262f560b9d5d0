"""Progress of a generation run: counts that the run stores as JSON in its row about once a second. Pure.

Stored JSON is untrusted: `StageProgress.from_dict` takes known fields of a valid type and ignores the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from curation_db.foreign_json import finite_number

_MAX_NAMES: Final = 200
"""Maximum number of stages, of reasons and of engines that are read."""
_MAX_TEXT_LENGTH: Final = 1_000
_MAX_COUNT: Final = 2**62
"""Larger counts are cut to this."""
STAGE_COUNTS: Final = ("asked", "answered", "failed", "remembered")
"""Counts per stage: requests to the engine, answers, requests without an answer, answers of an earlier run."""
VERDICT_COUNTS: Final = ("judged", "unclear")
"""Further counts of a stage with judges: their answers, also of an earlier run; those that are neither yes nor no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """Counts of a run so far."""

    items_total: int | None = None
    """Captions or questions of this run; None: not counted yet."""
    items_done: int = 0
    items_kept: int = 0
    """Items with a candidate."""
    dropped: int = 0
    failed: int = 0
    requests: int = 0
    """Requests sent to servers."""
    answers: int = 0
    remembered: int = 0
    """Answers reused from an earlier run."""
    tokens: int = 0
    cost: float = 0.0
    """In the currency of the engines' prices."""
    items_per_s: float = 0.0
    requests_per_s: float = 0.0
    eta_s: float | None = None
    """Estimated seconds left; None: unknown."""
    in_flight: int = 0
    """Requests in flight now."""
    stages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """`STAGE_COUNTS` and `VERDICT_COUNTS` by stage."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Number of items without a candidate, by reason."""
    capacity: Mapping[str, int] = field(default_factory=dict)
    """Present number of concurrent requests, by engine."""
    note: str = ""
    """What the run does now, in one line."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-compatible dict, whose key of `items_kept` is "kept"."""
        values = asdict(self)
        return {"kept": values.pop("items_kept"), **values}

    @classmethod
    def from_dict(cls, value: object) -> StageProgress:
        """Read the valid fields of `value`; never raises."""
        values: Mapping[Any, Any] = value if isinstance(value, Mapping) else {}
        total = values.get("items_total")
        eta = finite_number(values.get("eta_s"))
        return cls(
            items_total=None if finite_number(total) is None else _count(total),
            items_done=_count(values.get("items_done")),
            items_kept=_count(values.get("kept")),
            dropped=_count(values.get("dropped")),
            failed=_count(values.get("failed")),
            requests=_count(values.get("requests")),
            answers=_count(values.get("answers")),
            remembered=_count(values.get("remembered")),
            tokens=_count(values.get("tokens")),
            cost=max(0.0, finite_number(values.get("cost")) or 0.0),
            items_per_s=max(0.0, finite_number(values.get("items_per_s")) or 0.0),
            requests_per_s=max(0.0, finite_number(values.get("requests_per_s")) or 0.0),
            eta_s=None if eta is None else max(0.0, eta),
            in_flight=_count(values.get("in_flight")),
            stages={name: _stage(counts) for name, counts in _named(values.get("stages"))},
            reasons={name: _count(count) for name, count in _named(values.get("reasons"))},
            capacity={name: _count(count) for name, count in _named(values.get("capacity"))},
            note=str(values.get("note") or "")[:_MAX_TEXT_LENGTH],
        )


def _stage(value: object) -> dict[str, int]:
    counts = value if isinstance(value, Mapping) else {}
    names = (*STAGE_COUNTS, *(name for name in VERDICT_COUNTS if name in counts))
    return {name: _count(counts.get(name)) for name in names}


def _named(value: object) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return []
    return [(str(name)[:_MAX_TEXT_LENGTH], entry) for name, entry in list(value.items())[:_MAX_NAMES]]


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or finite_number(value) is None:
        return 0
    return min(max(0, int(value)), _MAX_COUNT)
