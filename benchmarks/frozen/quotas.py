"""Quotas of a benchmark: how many of its items may have one value of a cut, for example one cue."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

ANY_VALUE: Final = "*"
CUTS: Final = ("cue", "type", "position", "source", "concept")
"""Cuts of an item that a quota can name."""
_FORM: Final = re.compile(rf"({'|'.join(CUTS)})=(.+):(\d{{1,7}})(%?)")


@dataclass(frozen=True, slots=True)
class Quota:
    """At most so many items, or such a share of the items, have this value."""

    cut: str
    value: str
    """A value of the cut; `ANY_VALUE`: each value."""
    limit: int
    """Items, or percent of the items."""
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Quota:
        """Parse "cue=no:50", "type=absence:40%" or "cue=*:30%".

        Raises:
            ValueError: `text` has another form.
        """
        match = _FORM.fullmatch(text)
        if match is None or (match[4] and int(match[3]) > 100):
            raise ValueError(f"quota {text!r}: expected a form such as cue=no:50, with one of {', '.join(CUTS)}")
        return cls(match[1], match[2], int(match[3]), bool(match[4]))

    def __str__(self) -> str:
        return f"{self.cut}={self.value}:{self.limit}{'%' if self.percent else ''}"

    def items(self, total: int) -> int:
        """Return the number of items that the quota allows among `total`."""
        return total * self.limit // 100 if self.percent else self.limit


class QuotaCounter:
    """Counts admitted items against quotas."""

    def __init__(self, quotas: Sequence[Quota], total: int) -> None:
        self._limits = [(quota.cut, quota.value, quota.items(total)) for quota in quotas]
        self._counts: dict[tuple[int, str], int] = {}

    def admits(self, *items: Mapping[str, str]) -> bool:
        """Count these items, given by their cuts, if every quota allows all of them; return whether it does."""
        counts = self._counts.copy()
        for cuts in items:
            for number, (cut, value, limit) in enumerate(self._limits):
                if value not in (ANY_VALUE, cuts.get(cut, "")):
                    continue
                key = number, cuts.get(cut, "")
                counts[key] = counts.get(key, 0) + 1
                if counts[key] > limit:
                    return False
        self._counts = counts
        return True
