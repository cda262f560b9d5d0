"""Random division of items between the two arms of a comparison. Pure.

The items of an image are paired at random, and a coin decides which of a pair gets arm a. So both arms see the same
images, as often as possible, and have the same size. Items that are left over are paired across images. All choices
are hashes of the seed and the item, so the same items give the same division. Under the hypothesis that the arms do
not differ, swapping any pair gives an equally probable division, which is what the test of the report relies on.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Arm = Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class ArmAssignment:
    """The arm of an item."""

    item: str
    image_id: int
    pair: int
    arm: Arm


def assign_arms(
    images: Sequence[tuple[int, Sequence[str]]], *, seed: int, first_pair: int = 1, lead: int = 0
) -> list[ArmAssignment]:
    """Divide the items of the images.

    Args:
        images: (image id, items) of each image.
        first_pair: Number of the first pair.
        lead: How many more items arm a has than arm b so far. A single item that is left over gets the smaller arm, by
            a coin if both are equal.
    """
    pairs: list[tuple[tuple[int, str], ...]] = []
    rest: list[tuple[int, str]] = []
    for image_id, items in images:
        mixed = [(image_id, item) for item in sorted(items, key=lambda item: (_number(seed, "order", item), item))]
        even = len(mixed) // 2 * 2
        pairs += [(mixed[at], mixed[at + 1]) for at in range(0, even, 2)]
        rest += mixed[even:]
    rest.sort(key=lambda each: (_number(seed, "order", each[1]), each[1]))
    pairs += [(rest[at], rest[at + 1]) for at in range(0, len(rest) // 2 * 2, 2)]
    assigned = [
        ArmAssignment(item, image_id, number, arm)
        for number, pair in enumerate(pairs, first_pair)
        for (image_id, item), arm in zip(pair, _coin(seed, pair[0][1]), strict=True)
    ]
    if len(rest) % 2:
        image_id, item = rest[-1]
        arm: Arm = _coin(seed, item)[0] if not lead else "b" if lead > 0 else "a"
        assigned.append(ArmAssignment(item, image_id, first_pair + len(pairs), arm))
    return assigned


def altered_pairs(assigned: Iterable[ArmAssignment], *, seed: int) -> list[int]:
    """Return the numbers of the pairs that `assign_arms` cannot have made with this seed; of pairs with one item only
    the size is known."""
    pairs: dict[int, list[ArmAssignment]] = defaultdict(list)
    for each in assigned:
        pairs[each.pair].append(each)
    altered = []
    for number, pair in pairs.items():
        first = min(pair, key=lambda each: (_number(seed, "order", each.item), each.item))
        arms = {each.arm for each in pair}
        if len(pair) > 2 or (len(pair) == 2 and (len(arms) == 1 or first.arm != _coin(seed, first.item)[0])):
            altered.append(number)
    return sorted(altered)


def _coin(seed: int, item: str) -> tuple[Arm, Arm]:
    return ("a", "b") if _number(seed, "coin", item) % 2 else ("b", "a")


def _number(seed: int, purpose: str, item: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{purpose}\0{item}".encode(), digest_size=8).digest(), "big")
