"""Splits of a derived training set by image: all pairs of an image are in one split."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass

from curation_db.exporting.selection import ExportRefused

_NAME = re.compile("[a-z][a-z0-9]{0,29}")
_HINT = "as in: train=0.9,val=0.1"


@dataclass(frozen=True, slots=True)
class Split:
    name: str
    share: float


WHOLE = (Split("train", 1.0),)
"""The splits of a set that is not divided; readers of HF datasets call it train, too."""


def parse_splits(words: str) -> tuple[Split, ...]:
    """Parse NAME=SHARE,...; the shares add up to 1.

    Raises:
        ExportRefused: `words` has another form.
    """
    splits: list[Split] = []
    for word in words.split(","):
        name, _, share = word.strip().partition("=")
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if not 0 < value <= 1:
            raise ExportRefused(f"{word!r} is not NAME=SHARE with a share between 0 and 1", hint=_HINT)
        if not _NAME.fullmatch(name):
            raise ExportRefused(f"{name!r} is not a name of a split", hint="use small letters and digits")
        splits.append(Split(name, value))
    if len({split.name for split in splits}) < len(splits):
        raise ExportRefused(f"{words!r} names a split twice")
    total = math.fsum(split.share for split in splits)
    if abs(total - 1) > 1e-6:
        raise ExportRefused(f"the shares of {words!r} add up to {total:g}, not to 1", hint=_HINT)
    return tuple(splits)


def split_of(image: str, splits: tuple[Split, ...], seed: int) -> str:
    """Return the name of an image's split; it depends on `image` and the seed alone, not on the other images."""
    digest = hashlib.blake2b(f"{seed}\n{image}".encode(), digest_size=8, person=b"negwb-split").digest()
    left = int.from_bytes(digest, "big") / 2**64
    for split in splits:
        left -= split.share
        if left < 0:
            return split.name
    return splits[-1].name
