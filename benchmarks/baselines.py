"""What can be scored without looking: guesses from the boxes alone.

A benchmark on which these do well rewards something other than reading. Each gives a score per box in the order
presented. Boxes that it scores equally it takes at random (`benchmarks.protocols.blind_credit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from benchmarks.task import Baseline, Box


def smaller_box(boxes: Sequence[Box]) -> list[float]:
    """The box with the smaller area: right for 252 of NegRefCOCOg's 440."""
    return [-box.width * box.height for box in boxes]


def narrower_box(boxes: Sequence[Box]) -> list[float]:
    """The box with the smaller width."""
    return [-box.width for box in boxes]


def rightmost_box(boxes: Sequence[Box]) -> list[float]:
    """The box whose centre lies furthest to the right."""
    return [box.x + box.width / 2 for box in boxes]


def first_box(boxes: Sequence[Box]) -> list[float]:
    """The first box presented, as a constant model ends up with under the published rule: all of NegRefCOCOg's 440."""
    return [-float(place) for place in range(len(boxes))]


REGION_BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "smaller box": smaller_box,
        "narrower box": narrower_box,
        "right-most box": rightmost_box,
        "first box": first_box,
    }
)
"""By the names that results and reports use."""
