"""What the judges come to together. Pure.

An answer that is neither yes nor no is unclear. It never counts as "absent": that is the published script's worst
defect, and only `JudgeRule.OFFICIAL` keeps to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Final

from workbench.generation.engines.yes_no_parsing import official_yes
from workbench.generation.models import JudgeVerdict
from workbench.generation.recipe import Recipe
from workbench.workspace.engine_settings import JudgeRule, Prior

_LEAST: Final = 1e-6
"""Probabilities are kept this far from 0 and 1 where their logit is taken."""


def is_present(recipe: Recipe, said: Sequence[JudgeVerdict]) -> bool | None:
    """Whether the concept is in the picture, by the recipe's rule; None: no judge said yes or no."""
    if recipe.rule is JudgeRule.OFFICIAL:
        # a typed decision says nothing in words: its likelier word stands for them
        return any(official_yes(one.text) if one.text else (one.p or 0.0) >= 0.5 for one in said)
    clear = [p for one in said if (p := effective_probability(recipe, one)) is not None]
    if not clear:
        return None
    match recipe.rule:
        case JudgeRule.ANY:
            return any(p >= recipe.threshold for p in clear)
        case JudgeRule.ALL:
            return all(p >= recipe.threshold for p in clear)
    return fmean(clear) >= recipe.threshold


def effective_probability(recipe: Recipe, said: JudgeVerdict) -> float | None:
    """P(present) as the rule sees it: None where unclear, without the prior's part where that is to be corrected."""
    if said.p is None or math.isnan(said.p):
        return None
    if said.label_mass is not None and said.label_mass < recipe.least_label_mass:
        return None
    if recipe.prior is not Prior.CORRECT or said.prior is None:
        return said.p
    return _logistic(_logit(said.p) - _logit(said.prior))


def _logit(p: float) -> float:
    kept = min(max(p, _LEAST), 1 - _LEAST)
    return math.log(kept / (1 - kept))


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))
