"""Twins: two images and two captions, each caption true of one image; right only if all four comparisons are.

A model that prefers one text whatever the image, or one image whatever the text, has nothing right, and one that flips
the sign of a negation has less than chance. The four scores split into effects as in a 2 x 2 analysis of variance
(Thrush et al., Winoground, CVPR 2022, call the parts text score, image score and group score). Does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class TwinEffects(NamedTuple):
    """Effects on the four scores; the answer is right if `interaction` is larger than both others in absolute value."""

    text: float
    """Preference for the first text, whatever the image."""
    image: float
    """Preference for the first image, whatever the text."""
    interaction: float
    """Half of what the right pairs have more than the wrong pairs; negative if the sign is flipped."""


def effects(scores: Sequence[float]) -> TwinEffects:
    """Return the effects.

    Args:
        scores: First image with first and second text, second image with first and second text.
    """
    first_first, first_second, second_first, second_second = scores
    return TwinEffects(
        (first_first + second_first - first_second - second_second) / 4,
        (first_first + first_second - second_first - second_second) / 4,
        (first_first + second_second - first_second - second_first) / 4,
    )


def texts_right(scores: Sequence[float]) -> bool:
    """Return whether each image scores higher with its own text; False for a tie and for NaN."""
    first_first, first_second, second_first, second_second = scores
    return first_first > first_second and second_second > second_first


def images_right(scores: Sequence[float]) -> bool:
    """Return whether each text scores higher with its own image; False for a tie and for NaN."""
    first_first, first_second, second_first, second_second = scores
    return first_first > second_first and second_second > first_second


def has_tie(scores: Sequence[float]) -> bool:
    """Return whether two scores that are compared are equal."""
    first_first, first_second, second_first, second_second = scores
    pairs = ((first_first, first_second), (second_second, second_first))
    crossed = ((first_first, second_first), (second_second, first_second))
    return any(one == other for one, other in (*pairs, *crossed))


def mean_effects(rows: Sequence[Sequence[float]]) -> TwinEffects | None:
    """Return the mean effects over items without NaN; None if there is none."""
    sound = [effects(scores) for scores in rows if not any(map(math.isnan, scores))]
    if not sound:
        return None
    return TwinEffects(*(math.fsum(values) / len(sound) for values in zip(*sound, strict=True)))
