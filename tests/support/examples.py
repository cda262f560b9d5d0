"""The number of examples of a hypothesis test: all in the long run, fewer in the normal one."""

from __future__ import annotations

import hypothesis

FULL = 100
"""Examples of a test without a number of its own in the long run, as hypothesis has it."""
PROFILE, LONG_PROFILE = "negwb", "negwb-long"


def register_profiles() -> None:
    """Register the two profiles; pytest's option --hypothesis-profile replaces the normal one."""
    hypothesis.settings.register_profile(PROFILE, deadline=None, max_examples=30)  # no test asserts a time
    hypothesis.settings.register_profile(LONG_PROFILE, deadline=None, max_examples=FULL)
    hypothesis.settings.load_profile(PROFILE)


def examples(count: int) -> int:
    """Return `count` in the long run, and the same share of it as of any test in the normal one."""
    return max(1, round(count * hypothesis.settings.default.max_examples / FULL))
