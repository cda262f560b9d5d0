"""The table of a comparison of recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.console.tables import Listing

_COLUMNS = {
    "negated": "negated %",
    "affirmative": "affirmative %",
    "u": "U",
    "u_difference": "U - U of negwb",
    "retrieval_r1": "R@1 %",
}


def as_table(figures: Mapping[str, Any]) -> Listing:
    """Return one row per arm, the base model first; an interval is written as mean [low, high]."""
    base = figures["base"]
    u = base["affirm"] + base["negref"] - 100
    first = (
        "base",
        "",
        f"{base['negref']:.1f}",
        f"{base['affirm']:.1f}",
        f"{u:.1f}",
        "",
        f"{base['retrieval_r1']:.1f}",
    )
    rows = [
        (name, f"{arm['lr']:g}", *(_cell(arm[column]) if column in arm else "" for column in _COLUMNS))
        for name, arm in figures["arms"].items()
    ]
    title = (
        f"recipes in the demo world: {figures['steps']} steps of {figures['batch']} pairs, {figures['seeds']} seeds, "
        "mean [95 % t interval over seeds]"
    )
    return Listing(title, ("recipe", "lr", *_COLUMNS.values()), [first, *rows])


def _cell(interval: Mapping[str, float | None]) -> str:
    if interval["low"] is None:
        return f"{interval['mean']:.1f}"
    return f"{interval['mean']:.1f} [{interval['low']:.1f}, {interval['high']:.1f}]"
