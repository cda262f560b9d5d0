"""Baselines that use only the boxes, or only the captions, without the image.

A benchmark on which baselines do well measures something other than understanding the text. Each baseline returns a
score per option, in the presented order. Ties are resolved at random (`benchmarks.protocols.baseline_credit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from benchmarks.task import Baseline, Box
from curation_db.language import negation_cues


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


def longest_caption(captions: Sequence[str]) -> list[float]:
    return [float(len(caption)) for caption in captions]


def shortest_caption(captions: Sequence[str]) -> list[float]:
    return [-float(len(caption)) for caption in captions]


def caption_with_cue(captions: Sequence[str]) -> list[float]:
    """Prefer captions with a negation cue: right for all of a benchmark whose true captions are the negated ones."""
    return [float(negation_cues.first_cue(caption) is not None) for caption in captions]


def caption_without_cue(captions: Sequence[str]) -> list[float]:
    """Prefer captions without a negation cue: right for nearly all of CC-Neg, whose negated captions are all false."""
    return [-score for score in caption_with_cue(captions)]


def first_caption(captions: Sequence[str]) -> list[float]:
    """Prefer the first caption, as a constant model does where the published rule resolves ties by the order."""
    return [-float(place) for place in range(len(captions))]


CAPTION_BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "longest caption": longest_caption,
        "shortest caption": shortest_caption,
        "a negation cue": caption_with_cue,
        "no negation cue": caption_without_cue,
    }
)
"""Baselines of captions tasks, by their names in results and reports."""
FIRST_CAPTION: Mapping[str, Baseline] = MappingProxyType({"first caption": first_caption})
"""The baseline of a constant model, for published rules that resolve a tie by the order of the options."""
