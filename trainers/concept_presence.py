"""How much better an image fits a concept than other objects: a score of the concept's presence under CLIP.

A cosine alone does not tell: its level differs between images and between texts. Zero-shot classification (Radford et
al. 2021, section 3.1.2) compares the texts of one image instead, and the modified z-score (Iglewicz & Hoaglin 1993,
How to Detect and Handle Outliers, section 3) gives the comparison a unit:

    z = (cos(v, t) - median_j cos(v, t_j)) / (1.4826 median_j |cos(v, t_j) - median_k cos(v, t_k)|)

with v the image, t "a photo of a dog", and t_j the same with K other objects. Most objects are absent from an image, so
the median is the level of an absent object, and the few that are present move neither it nor the spread. If the
concept is absent and like another object, z > 1.645 has a probability of about 5 % (normal quantile).

A softmax over the objects would suppress a concept beside other objects of the image, and "a photo without a dog" is
what CLIP does not understand.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

_NORMAL_MAD: Final = 1.4826
"""Standard deviation of a normal distribution, in units of its median absolute deviation."""


def presence_score(image: Tensor, concept: Tensor, others: Tensor) -> float:
    """Return z of the module's formula; NaN if the features are not finite, or the other objects all fit alike.

    Args:
        image: Unit features, shape (D,).
        concept: Unit features of the concept's prompt, shape (D,).
        others: Unit features of the prompts of other objects, shape (K, D), K >= 1.
    """
    cosine = float(concept.double() @ image.double())
    levels = others.double() @ image.double()  # (K,)
    level = levels.quantile(0.5)  # of an even K the mean of both; Tensor.median returns the lower one
    spread = _NORMAL_MAD * float((levels - level).abs().quantile(0.5))
    if not (math.isfinite(cosine) and math.isfinite(spread) and bool(torch.isfinite(levels).all()) and spread > 0):
        return math.nan
    return (cosine - float(level)) / spread
