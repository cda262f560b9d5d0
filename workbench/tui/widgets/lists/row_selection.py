"""Selection in a long list, stored as selected ids or as "all except", so that selecting a million rows is cheap."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence


class TableSelection:
    """The selected ids."""

    def __init__(self) -> None:
        self._all = False
        self._ids: set[int] = set()
        """The selected ids; if `_all` is set, the ids that are not selected."""

    def __contains__(self, number: int) -> bool:
        return (number in self._ids) is not self._all

    def __bool__(self) -> bool:
        return self._all or bool(self._ids)

    def toggle(self, number: int) -> None:
        self._ids ^= {number}

    def take(self, numbers: Iterable[int]) -> None:
        """Add these ids."""
        if self._all:
            self._ids.difference_update(numbers)
        else:
            self._ids.update(numbers)

    def everything(self) -> None:
        """Select all ids of the view."""
        self._all, self._ids = True, set()

    def clear(self) -> None:
        self._all, self._ids = False, set()

    def count(self, ids: Sequence[int]) -> int:
        """Return how many of the view's ids are selected."""
        return len(ids) - len(self._ids) if self._all else len(self._ids)

    def of(self, ids: Sequence[int]) -> array[int]:
        """Return the selected ids in the view's order."""
        return array("q", (number for number in ids if number in self))

    def keep(self, ids: Sequence[int]) -> None:
        """Drop ids that are no longer in the view."""
        if self._ids:
            self._ids.intersection_update(ids)
