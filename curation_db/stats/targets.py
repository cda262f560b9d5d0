"""Targets: which share of the accepted candidates should have which cue, position, type or concept.

Pure, and cheap to import: settings are read by every command.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from curation_db.enums import NegationType

Shares = Mapping[str, float]
Targets = Mapping[str, Shares]
"""Trait to the share that each of its values should have."""

TRAITS: Final = {
    "cue": "cue",
    "position": "cue_position",
    "type": "negation_type",
    "concept": "concept",
}
"""What is looked at, and the candidate's column."""
_SLACK: Final = 1e-6
POSITIONS: Final = ("beginning", "middle", "end")
_VALUES: Final = {"position": frozenset(POSITIONS), "type": frozenset(map(str, NegationType))}
"""Of the traits whose values are a closed list."""


def _shares(counted: Mapping[str, int]) -> Shares:
    return MappingProxyType({value: number / sum(counted.values()) for value, number in counted.items()})


PRESETS: Final[Mapping[str, Targets]] = MappingProxyType(
    {
        "negrefcocog": {
            "cue": _shares({"not": 199, "no": 143, "without": 97, "nothing": 1}),
            "position": _shares({"beginning": 48, "middle": 204, "end": 188}),
        },
    }
)
"""A benchmark's own spread, counted over its items: NegRefCOCOg's 440."""


def resolve_target(trait: str, told: Any) -> Shares:
    """A target as it is written in settings: a benchmark's name, or a table of shares.

    Raises:
        ValueError: no such trait, name or value, or shares that cannot be.
    """
    if trait not in TRAITS:
        raise ValueError(f"there is no target for {trait!r}: known are {', '.join(TRAITS)}")
    if isinstance(told, str):
        return _preset(trait, told)
    if not isinstance(told, Mapping):
        raise ValueError(f"{trait} = {told!r}: a table of shares, or one of: {', '.join(_names(trait))}")
    for value, share in told.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"{trait}: {value} = {share!r} is no share from 0 to 1")
        if trait in _VALUES and value not in _VALUES[trait]:
            raise ValueError(f"{trait}: no {trait} is {value!r}: known are {', '.join(sorted(_VALUES[trait]))}")
    if sum(told.values()) > 1 + _SLACK:
        raise ValueError(f"{trait}: the shares come to {sum(told.values()):.2f}, more than 1")
    return MappingProxyType({value: float(share) for value, share in told.items()})


def _preset(trait: str, name: str) -> Shares:
    if name == "none":
        return {}
    if trait not in PRESETS.get(name, {}):
        raise ValueError(f"{trait} = {name!r}: a table of shares, or one of: {', '.join(_names(trait))}")
    return PRESETS[name][trait]


def _names(trait: str) -> list[str]:
    return [*(name for name, targets in PRESETS.items() if trait in targets), "none"]
