"""True share behind a share that was counted with an imperfect judge, from the judge's errors on a labelled sample.

A judge with sensitivity Se (it finds right what is right) and specificity Sp (it finds wrong what is wrong) counts the
share p = P Se + (1 - P)(1 - Sp) where the true share is P. Pure functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from curation_db.stats.intervals import LEVEL, Interval


@dataclass(frozen=True, slots=True)
class JudgeErrors:
    """Answers of a judge on items with a label from people."""

    right_as_right: int
    """Right items that the judge finds right."""
    right: int
    wrong_as_wrong: int
    """Wrong items that the judge finds wrong."""
    wrong: int

    @property
    def informative(self) -> bool:
        """Whether both kinds of items were labelled and the judge is better than a coin: Se + Sp > 1."""
        if not self.right or not self.wrong:
            return False
        return self.right_as_right / self.right + self.wrong_as_wrong / self.wrong > 1


def corrected_share(correct: int, n: int, errors: JudgeErrors, *, level: float = LEVEL) -> Interval | None:
    """Return the true share (Rogan & Gladen 1978) with its interval (Lang & Reiczigel 2014); None: not informative.

    P = (p + Sp - 1) / (Se + Sp - 1), in 0..1. The interval (Preventive Veterinary Medicine 113:13-22) includes the
    sampling errors of p, Se and Sp. It adds z^2 observations to p and 2 to Se and Sp, one of them right:
    P' is P of the adjusted shares, d = 2 z^2 (P' Se'(1 - Se') / nSe' - (1 - P') Sp'(1 - Sp') / nSp') its shift, and
    var = (p'(1 - p') / n' + P'^2 Se'(1 - Se') / nSe' + (1 - P')^2 Sp'(1 - Sp') / nSp') / (Se' + Sp' - 1)^2.
    The limits are P' + d -+ z sqrt(var), in 0..1.

    Args:
        correct: Number of items that the judge finds right, of `n`.
        errors: From a sample of labelled items that the judge's answer did not choose.
    """
    if not errors.informative:
        return None
    if not 0 <= correct <= n or n < 1:
        raise ValueError(f"{correct} of {n} is not a share")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    sensitivity, specificity = errors.right_as_right / errors.right, errors.wrong_as_wrong / errors.wrong
    estimate = _within((correct / n + specificity - 1) / (sensitivity + specificity - 1))
    counted = n + z * z
    p = (correct + z * z / 2) / counted
    se, sp = (errors.right_as_right + 1) / (errors.right + 2), (errors.wrong_as_wrong + 1) / (errors.wrong + 2)
    of_se, of_sp = se * (1 - se) / (errors.right + 2), sp * (1 - sp) / (errors.wrong + 2)
    gain = se + sp - 1
    if gain <= 0:  # the added observations of a tiny sample leave no information
        return Interval(estimate, 0.0, 1.0)
    share = (p + sp - 1) / gain
    shift = 2 * z * z * (share * of_se - (1 - share) * of_sp)
    half = z * math.sqrt(p * (1 - p) / counted + share**2 * of_se + (1 - share) ** 2 * of_sp) / gain
    low, high = _within(share + shift - half), _within(share + shift + half)
    return Interval(estimate, min(low, estimate), max(high, estimate))


def _within(share: float) -> float:
    return min(max(share, 0.0), 1.0)
