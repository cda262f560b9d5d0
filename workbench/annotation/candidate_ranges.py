"""Numbers of candidates as text for the command line, such as 3-9,12,40-44. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MOST: Final = 5_000_000
"""Numbers that a text may stand for; a typing error such as 1-99999999999 must not fill the memory."""
_RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?", re.ASCII)


def written(numbers: Iterable[int]) -> str:
    """Return the numbers in ascending order, each once; adjacent ones as a range."""
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(str(start) if start == end else f"{start}-{end}" for start, end in runs)


def parsed(text: str) -> list[int]:
    """Return the numbers of `text` in ascending order; commas or white space separate them.

    Raises:
        ValueError: a part is neither a number nor a range, or there are none or too many; the message names it.
    """
    numbers: set[int] = set()
    for part in text.replace(",", " ").split():
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise ValueError(f"{part!r} is no number of a candidate and no range such as 3-9")
        if last - first >= MOST or len(numbers) + last - first >= MOST:
            raise ValueError(f"more than {MOST:,} candidates")
        numbers.update(range(first, last + 1))
    if not numbers:
        raise ValueError("no candidate is named")
    return sorted(numbers)
