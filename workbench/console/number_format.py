"""How figures are written, once for tables and screens: shares, differences, intervals, p-values. Pure."""

from __future__ import annotations

import math

from curation_db.stats.intervals import Interval

NONE = "–"
"""In place of a figure that there is not."""


def percent(share: float) -> str:
    """A share 0..1 as a percentage with one digit."""
    return NONE if math.isnan(share) else f"{100 * share:.1f}"


def signed(share: float) -> str:
    """A difference of shares in percentage points, always with its sign."""
    return NONE if math.isnan(share) else f"{100 * share:+.1f}"


def span(interval: Interval) -> str:
    """The ends of an interval of a share: 98.5–99.4."""
    return f"{percent(interval.low)}–{percent(interval.high)}"


def signed_span(interval: Interval) -> str:
    """The ends of an interval of a difference: -1.2…+0.2."""
    return f"{signed(interval.low)}…{signed(interval.high)}"


def p_value(p: float) -> str:
    """A p-value with as many digits as matter."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def clock(seconds: float) -> str:
    """A length of time: 4:07, 1:02:30."""
    minutes, rest = divmod(round(min(seconds, 1e9)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(number: float) -> str:
    """A number of items; of a blind guess it may be a fraction."""
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"
