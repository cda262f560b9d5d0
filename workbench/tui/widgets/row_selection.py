"""Which rows of a long list are chosen: some of them, or all but some, so that a million cost no more than one."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence


class TableSelection:
    """Chosen ids."""

    def __init__(self) -> None:
        self._all = False
        self._ids: set[int] = set()
        """Those chosen; where all are, those that are not."""

    def __contains__(self, number: int) -> bool:
        return (number in self._ids) is not self._all

    def __bool__(self) -> bool:
        return self._all or bool(self._ids)

    def toggle(self, number: int) -> None:
        """In, or out again."""
        self._ids ^= {number}

    def take(self, numbers: Iterable[int]) -> None:
        """These too."""
        if self._all:
            self._ids.difference_update(numbers)
        else:
            self._ids.update(numbers)

    def everything(self) -> None:
        """All of the view."""
        self._all, self._ids = True, set()

    def clear(self) -> None:
        """None."""
        self._all, self._ids = False, set()

    def count(self, ids: Sequence[int]) -> int:
        """How many of the view's ids are chosen."""
        return len(ids) - len(self._ids) if self._all else len(self._ids)

    def of(self, ids: Sequence[int]) -> array[int]:
        """The chosen ids in the view's order."""
        return array("q", (number for number in ids if number in self))

    def keep(self, ids: Sequence[int]) -> None:
        """Forget what is not in the view any more."""
        if self._ids:
            self._ids.intersection_update(ids)
