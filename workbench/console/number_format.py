"""Formats of numbers in tables and screens: shares, differences, intervals, p-values. Pure."""

from __future__ import annotations

import math

from curation_db.stats.intervals import Interval

NONE = "–"
"""Text for a missing number."""


def percent(share: float) -> str:
    """Format a share from 0 to 1 as a percentage with one decimal."""
    return NONE if math.isnan(share) else f"{100 * share:.1f}"


def fine_percent(share: float) -> str:
    """Format a small share as a percentage with two decimals, or with three below 0.1 %."""
    return NONE if math.isnan(share) else f"{100 * share:.{3 if 0 < abs(share) < 0.001 else 2}f}"


def fine_span(interval: Interval) -> str:
    """Format the interval of a small share, such as 0.68–0.72."""
    digits = 3 if 0 < abs(interval.estimate) < 0.001 or interval.high < 0.001 else 2
    return f"{100 * interval.low:.{digits}f}–{100 * interval.high:.{digits}f}"


def decimal(value: float) -> str:
    """Format a coefficient or share with two decimals, without the zero before the point."""
    if math.isnan(value):
        return NONE
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 and not text.startswith(("1", "-1")) else text


def signed(share: float) -> str:
    """Format a difference of shares in percentage points, with its sign."""
    return NONE if math.isnan(share) else f"{100 * share:+.1f}"


def span(interval: Interval) -> str:
    """Format the interval of a share, such as 98.5–99.4."""
    return f"{percent(interval.low)}–{percent(interval.high)}"


def signed_span(interval: Interval) -> str:
    """Format the interval of a difference, such as -1.2…+0.2."""
    return f"{signed(interval.low)}…{signed(interval.high)}"


def p_value(p: float) -> str:
    """Format a p-value: four decimals below 0.1, else two."""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def clock(seconds: float) -> str:
    """Format seconds, such as 4:07 or 1:02:30."""
    minutes, rest = divmod(round(min(seconds, 1e9)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(number: float) -> str:
    """Format a number of items; the expected number of a blind guess can be a fraction."""
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"
