"""Near-duplicates among images with signatures: those of one image, and all groups. Pure.

Groups are the connected parts of "is a near-duplicate of"; so two images of a group may differ more than two
near-duplicates do. `near` compares with the asked image only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from curation_db.similarity.hamming import HammingIndex, Hashes
from curation_db.similarity.image_signature import RADIUS, THUMBNAIL_BYTES, ImageSignature, alike


@dataclass(frozen=True)
class Signatures:
    """The signatures of many images, by place."""

    names: Sequence[tuple[str, str]]
    """Collection and key of each image."""
    hashes: Hashes
    thumbnails: NDArray[np.uint8]
    """Shape (images, 256)."""
    sha256: Sequence[bytes]

    @classmethod
    def of(cls, named: Iterable[tuple[tuple[str, str], ImageSignature]]) -> Signatures:
        rows = list(named)
        shown = b"".join(each.thumbnail for _, each in rows)
        return cls(
            [name for name, _ in rows],
            np.array([each.hash for _, each in rows], dtype=np.uint64),
            np.frombuffer(shown, np.uint8).reshape(len(rows), THUMBNAIL_BYTES),
            [each.sha256 for _, each in rows],
        )

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def index(self) -> HammingIndex:
        return HammingIndex(self.hashes)

    @cached_property
    def places(self) -> dict[tuple[str, str], int]:
        return {name: place for place, name in enumerate(self.names)}

    def restricted(self, names: Collection[tuple[str, str]]) -> Signatures:
        """Return the signatures of these images only."""
        kept = [place for place, name in enumerate(self.names) if name in names]
        return Signatures(
            [self.names[place] for place in kept],
            self.hashes[kept],
            self.thumbnails[kept],
            [self.sha256[place] for place in kept],
        )

    def near(self, place: int) -> list[int]:
        """Return the places of the near-duplicates of an image, itself included."""
        return self.matches(self.hashes[[place]], self.thumbnails[[place]])[0]

    def matches(self, hashes: Hashes, thumbnails: NDArray[np.uint8]) -> list[list[int]]:
        """Return for each other image the places of its near-duplicates here."""
        asked, found = self.index.within(hashes, RADIUS)
        same = alike(thumbnails[asked], self.thumbnails[found])
        listed: list[list[int]] = [[] for _ in range(len(hashes))]
        for at, place in zip(asked[same].tolist(), found[same].tolist(), strict=True):
            listed[at].append(place)
        return listed

    def groups(self) -> list[list[int]]:
        """Return the groups of at least two near-duplicates, each in order of places, the group first seen first."""
        parent = list(range(len(self)))
        # Of images with equal hashes and thumbnails only the first is compared: there may be very many blank ones.
        first: dict[tuple[int, bytes], int] = {}
        for place, (value, shown) in enumerate(zip(self.hashes.tolist(), self.thumbnails, strict=True)):
            parent[place] = first.setdefault((value, shown.tobytes()), place)
        compared = np.array(sorted(first.values()), dtype=np.int64)
        index = HammingIndex(self.hashes[compared])
        asked, found = index.within(self.hashes[compared], RADIUS)
        later = asked < found
        one, other = compared[asked[later]], compared[found[later]]
        same = alike(self.thumbnails[one], self.thumbnails[other])
        for a, b in zip(one[same].tolist(), other[same].tolist(), strict=True):
            roots = sorted((_root(parent, a), _root(parent, b)))
            parent[roots[1]] = roots[0]
        members: dict[int, list[int]] = defaultdict(list)
        for place in range(len(self)):
            members[_root(parent, place)].append(place)
        return [group for group in members.values() if len(group) > 1]


def _root(parent: list[int], place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place
