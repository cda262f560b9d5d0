"""Multi-index search of 64-bit hashes by Hamming distance (Norouzi, Punjani, Fleet 2012). Pure.

The bits are split into four blocks of 16. Two hashes at a distance of at most r differ by at most r // 4 bits in at
least one block. So it is enough to look up each block with up to r // 4 bits flipped, and to compare what is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]
_BLOCKS: Final = 4
_BLOCK_BITS: Final = 16
_QUERIES_AT_ONCE: Final = 2_048
_PAIRS_AT_ONCE: Final = 2_000_000
"""Bounds the memory of one step: about 60 MB."""


def distances(first: Hashes, second: Hashes) -> NDArray[np.int64]:
    """Return the number of different bits of each pair."""
    bits = first ^ second  # the parallel count of Hacker's Delight 5-1; numpy 1 has no bitwise_count
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)


class HammingIndex:
    """Index of hashes; equal hashes may occur."""

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = np.asarray(hashes, dtype=np.uint64)
        self._orders: list[Indices] = []
        """For each block, the hashes sorted by the block's value."""
        self._starts: list[Indices] = []
        """For each block and value, the first place in the order; the last entry is the number of hashes."""
        for values in _blocks(self._hashes):
            order = np.argsort(values, kind="stable")
            self._orders.append(order)
            self._starts.append(np.searchsorted(values[order], np.arange(2**_BLOCK_BITS + 1)))

    def __len__(self) -> int:
        return len(self._hashes)

    def within(self, queries: Hashes, radius: int) -> tuple[Indices, Indices]:
        """Return all pairs at a distance of at most `radius`, as places in `queries` and in the index, sorted."""
        asked = np.asarray(queries, dtype=np.uint64)
        pairs = [
            at * len(self) + item
            for start in range(0, len(asked), _QUERIES_AT_ONCE)
            for at, item in self._near(asked, start, min(start + _QUERIES_AT_ONCE, len(asked)), radius)
        ]
        unique = np.unique(np.concatenate(pairs)) if pairs else np.empty(0, np.int64)
        return unique // max(len(self), 1), unique % max(len(self), 1)

    def _near(self, asked: Hashes, start: int, end: int, radius: int) -> Iterator[tuple[Indices, Indices]]:
        flips = [
            sum(1 << bit for bit in bits)
            for count in range(min(radius // _BLOCKS, _BLOCK_BITS) + 1)
            for bits in combinations(range(_BLOCK_BITS), count)
        ]
        for block, values in enumerate(_blocks(asked[start:end])):
            for flip in flips:
                wanted = values ^ flip
                first = self._starts[block][wanted]
                counts = self._starts[block][wanted + 1] - first
                for at, place in _expanded(first, counts):
                    item = self._orders[block][place]
                    near = distances(asked[start + at], self._hashes[item]) <= radius
                    if near.any():
                        yield start + at[near], item[near]


def _blocks(hashes: Hashes) -> Iterator[Indices]:
    """Yield the values of each block. A block has every fourth bit, since neighbouring bits depend on each other."""
    for block in range(_BLOCKS):
        values = np.zeros(len(hashes), np.int64)
        for bit in range(_BLOCK_BITS):
            chosen = (hashes >> np.uint64(block + _BLOCKS * bit)) & np.uint64(1)
            values |= chosen.astype(np.int64) << bit
        yield values


def _expanded(first: Indices, counts: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Yield, in parts, each range first[i], first[i] + 1, ... of counts[i] places, with its i."""
    for part in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(np.cumsum(counts) // _PAIRS_AT_ONCE)) + 1):
        total = int(counts[part].sum())
        if total:
            at = np.repeat(part, counts[part])
            before = np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
            yield at, np.repeat(first[part], counts[part]) + np.arange(total) - before
