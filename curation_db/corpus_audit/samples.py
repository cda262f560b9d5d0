"""A random sample of captions that is the same for every order, grouping and number of processes.

Each caption has a number that only its text and the seed determine; the captions with the smallest numbers are the
sample. It is uniform over the different texts: a text that occurs often has no better chance. Samples of parts merge
into the sample of the whole (Cohen and Kaplan 2007, bottom-k).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, NamedTuple

_BITS: Final = 8
"""Bytes of a caption's number."""


class Origin(NamedTuple):
    """Where a caption stands."""

    file: str
    line: int | None
    """Line of a text file, from 1, counted from the start of the part; None: `place` has the position."""
    place: str = ""
    """Position in a file without lines, such as annotations[17]."""

    def shown(self) -> str:
        """Return the position for display."""
        return f"{self.file}, {self.place if self.line is None else f'line {self.line}'}"


class Sampled(NamedTuple):
    """A caption of the sample."""

    text: str
    origin: Origin
    image: str | None
    """Name, path or address of its image, if the corpus states it."""
    target: str | None


@dataclass(slots=True)
class CaptionSample:
    """The captions with the `size` smallest numbers."""

    size: int
    seed: int
    name: str
    """Samples with different names are independent."""
    entries: dict[int, Sampled] = field(default_factory=dict)
    """Captions by number."""
    _largest_first: list[int] = field(default_factory=list)

    def offer(self, text: str, make: Callable[[], Sampled]) -> None:
        """Add a caption if it belongs to the sample; `make` returns it, and is called only then.

        Of equal texts the one with the smallest origin stays.
        """
        if self.size:
            self._add(self._number(text), make)

    def merge(self, other: CaptionSample) -> None:
        """Add the sample of another part."""
        for number, entry in other.entries.items():
            self._add(number, lambda entry=entry: entry)  # type: ignore[misc]

    def _number(self, text: str) -> int:
        content = f"{self.seed}\0{self.name}\0{text}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(content, digest_size=_BITS).digest())

    def _add(self, number: int, make: Callable[[], Sampled]) -> None:
        known = self.entries.get(number)
        if known is not None:
            self.entries[number] = min(known, make(), key=_by_origin)
            return
        if len(self.entries) >= self.size:
            if number > -self._largest_first[0]:
                return
            del self.entries[-heapq.heapreplace(self._largest_first, -number)]
        else:
            heapq.heappush(self._largest_first, -number)
        self.entries[number] = make()

    def __iter__(self) -> Iterator[Sampled]:
        """Yield the captions in the order of their numbers, which is random."""
        return (self.entries[number] for number in sorted(self.entries))

    def to_json(self) -> list[list[Any]]:
        """Return the captions with their numbers as JSON types."""
        return [
            [number, entry.text, list(entry.origin), entry.image, entry.target]
            for number, entry in sorted(self.entries.items())
        ]

    @staticmethod
    def from_json(size: int, seed: int, name: str, data: Any) -> CaptionSample:
        """Return the sample of `to_json`."""
        sample = CaptionSample(size, seed, name)
        for number, text, origin, image, target in data:
            entry = Sampled(text, Origin(*origin), image, target)
            sample._add(number, lambda entry=entry: entry)  # type: ignore[misc]
        return sample


def _by_origin(entry: Sampled) -> tuple[str, int, str, str]:
    return entry.origin.file, entry.origin.line or 0, entry.origin.place, entry.image or ""
