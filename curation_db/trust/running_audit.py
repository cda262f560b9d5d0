"""Bounds of a precision that hold at any time: they may be looked at after every label. Pure functions.

The evidence against "the precision is at most p0" is the e-value

    E = 1 / (1 - p0) * integral over q from p0 to 1 of (q / p0)^k ((1 - q) / (1 - p0))^e dq

of k right and e wrong labels: a likelihood ratio, averaged over a uniform prior on the alternatives (p0, 1]. At any
precision up to p0 it is a non-negative supermartingale that starts at 1, so the probability that it ever reaches
1 / delta is at most delta, whenever and however often one looks (Ville 1939; Ramdas et al. 2023, "Game-theoretic
statistics and safe anytime-valid inference"). The integral is an incomplete beta function. The price against one exact
look (`declared_looks`) is about 1.3 to 1.5 times as many labels.
"""

from __future__ import annotations

import math
from typing import Final

from curation_db.stats.intervals import LEVEL, beta_cdf

_HALVINGS: Final = 60


def log_e_value(right: int, wrong: int, p0: float) -> float:
    """Return the natural logarithm of the e-value against "the precision is at most p0"; -inf when it underflows.

    The integral is B(k + 1, e + 1) P(Q > p0) for Q ~ Beta(k + 1, e + 1).
    """
    if right < 0 or wrong < 0 or not 0 < p0 < 1:
        raise ValueError(f"{right} right and {wrong} wrong labels cannot be tested against {p0}")
    above = beta_cdf(1 - p0, wrong + 1, right + 1)
    if above <= 0:
        return -math.inf
    log_beta = math.lgamma(right + 1) + math.lgamma(wrong + 1) - math.lgamma(right + wrong + 2)
    return log_beta + math.log(above) - (wrong + 1) * math.log1p(-p0) - right * math.log(p0)


def certifies(right: int, wrong: int, target: float, *, confidence: float = LEVEL) -> bool:
    """Return whether the labels so far certify that the precision is above `target`."""
    return log_e_value(right, wrong, target) >= -math.log1p(-confidence)


def refutes(right: int, wrong: int, target: float, *, confidence: float = LEVEL) -> bool:
    """Return whether the labels so far certify that the precision is below `target`: the same test, mirrored."""
    return log_e_value(wrong, right, 1 - target) >= -math.log1p(-confidence)


def lower_bound(right: int, wrong: int, *, confidence: float = LEVEL) -> float:
    """Return the largest precision that the labels so far certify; 0.0 without right labels."""
    if right == 0:
        return 0.0
    low, high = 0.0, right / (right + wrong)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if certifies(right, wrong, middle, confidence=confidence) else (low, middle)
    return low


def required_labels(target: float, errors: int = 0, *, confidence: float = LEVEL) -> int:
    """Return the smallest number of labels that certifies a precision of `target` with this number of errors."""
    low, high = errors, errors + 1
    while not certifies(high - errors, errors, target, confidence=confidence):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        enough = certifies(middle - errors, errors, target, confidence=confidence)
        low, high = (low, middle) if enough else (middle, high)
    return high
