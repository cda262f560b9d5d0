"""Baselines that use only the boxes, without image and text.

A benchmark on which baselines do well measures something other than understanding the text. Each baseline returns a
score per box, in the presented order. Ties are resolved at random (`benchmarks.protocols.baseline_credit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from benchmarks.task import Baseline, Box


def smaller_box(boxes: Sequence[Box]) -> list[float]:
    """Prefer the box with the smaller area: right for 252 of the 440 items of NegRefCOCOg."""
    return [-box.width * box.height for box in boxes]


def narrower_box(boxes: Sequence[Box]) -> list[float]:
    """Prefer the box with the smaller width."""
    return [-box.width for box in boxes]


def rightmost_box(boxes: Sequence[Box]) -> list[float]:
    """Prefer the box whose centre is furthest to the right."""
    return [box.x + box.width / 2 for box in boxes]


def first_box(boxes: Sequence[Box]) -> list[float]:
    """Prefer the first box, as a constant model does under the published rule: right for all 440 of NegRefCOCOg."""
    return [-float(place) for place in range(len(boxes))]


REGION_BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "smaller box": smaller_box,
        "narrower box": narrower_box,
        "right-most box": rightmost_box,
        "first box": first_box,
    }
)
"""Baselines by their names in results and reports."""
