"""Aggregation of the judges' verdicts. Pure.

An answer that is neither yes nor no is unclear. It never counts as "absent", which is the worst defect of the published
script; only `JudgeRule.OFFICIAL` reproduces it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Final

from workbench.generation.engines.probabilities import logistic
from workbench.generation.engines.yes_no_parsing import official_yes
from workbench.generation.models import JudgeVerdict
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import JudgeRule, Prior

_CLIP: Final = 1e-6
"""Probabilities are clipped to [_CLIP, 1 - _CLIP] before the logit."""


def is_present(recipe: Recipe, verdicts: Sequence[JudgeVerdict]) -> bool | None:
    """Decide whether the concept is present, by the recipe's rule; None: all verdicts are unclear."""
    if recipe.rule is JudgeRule.OFFICIAL:
        # a typed decision has no text: its more probable answer is used
        return any(official_yes(one.text) if one.text else (one.p or 0.0) >= 0.5 for one in verdicts)
    clear = [p for one in verdicts if (p := effective_probability(recipe, one)) is not None]
    if not clear:
        return None
    match recipe.rule:
        case JudgeRule.ANY:
            return any(p >= recipe.threshold for p in clear)
        case JudgeRule.ALL:
            return all(p >= recipe.threshold for p in clear)
    return fmean(clear) >= recipe.threshold


def effective_probability(recipe: Recipe, verdict: JudgeVerdict) -> float | None:
    """Return P(present) as the rule uses it: None if unclear; with `Prior.CORRECT`, logit(p) - logit(prior)."""
    if verdict.p is None or math.isnan(verdict.p):
        return None
    if verdict.label_mass is not None and verdict.label_mass < recipe.least_label_mass:
        return None
    if recipe.prior is not Prior.CORRECT or verdict.prior is None:
        return verdict.p
    return logistic(_logit(verdict.p) - _logit(verdict.prior))


def _logit(p: float) -> float:
    clipped = min(max(p, _CLIP), 1 - _CLIP)
    return math.log(clipped / (1 - clipped))
