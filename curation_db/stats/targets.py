"""Targets: the intended share of each cue, position, negation type or concept among the accepted candidates.

Pure, and fast to import, because every command reads the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from curation_db.enums import NegationType

Shares = Mapping[str, float]
Targets = Mapping[str, Shares]
"""Trait to the target share of each of its values."""

TRAITS: Final = {
    "cue": "cue",
    "position": "cue_position",
    "type": "negation_type",
    "concept": "concept",
}
"""Trait to the column of the table `candidate`."""
_SLACK: Final = 1e-6
POSITIONS: Final = ("beginning", "middle", "end")
_VALUES: Final = {"position": frozenset(POSITIONS), "type": frozenset(map(str, NegationType))}
"""Values of the traits with a closed list."""


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
"""Distributions of benchmarks, counted over their items: 440 of NegRefCOCOg."""


def resolve_target(trait: str, setting: Any) -> Shares:
    """Return the target shares of a setting: the name of a benchmark, "none", or a table of shares.

    Raises:
        ValueError: Unknown trait, name or value, or invalid shares.
    """
    if trait not in TRAITS:
        raise ValueError(f"there is no target for {trait!r}; known: {', '.join(TRAITS)}")
    if isinstance(setting, str):
        return _preset(trait, setting)
    if not isinstance(setting, Mapping):
        raise ValueError(f"{trait} = {setting!r}: a table of shares, or one of: {', '.join(_names(trait))}")
    for value, share in setting.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"{trait}: {value} = {share!r} is not a share from 0 to 1")
        if trait in _VALUES and value not in _VALUES[trait]:
            raise ValueError(f"{trait}: unknown value {value!r}; known: {', '.join(sorted(_VALUES[trait]))}")
    if sum(setting.values()) > 1 + _SLACK:
        raise ValueError(f"{trait}: the shares sum to {sum(setting.values()):.2f}, more than 1")
    return MappingProxyType({value: float(share) for value, share in setting.items()})


def _preset(trait: str, name: str) -> Shares:
    if name == "none":
        return {}
    if trait not in PRESETS.get(name, {}):
        raise ValueError(f"{trait} = {name!r}: a table of shares, or one of: {', '.join(_names(trait))}")
    return PRESETS[name][trait]


def _names(trait: str) -> list[str]:
    return [*(name for name, targets in PRESETS.items() if trait in targets), "none"]
