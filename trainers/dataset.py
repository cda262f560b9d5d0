"""What a training reads: a frozen set's pairs with their pictures, a pool of affirmative captions, and the order.

The split is by picture, so no picture is on both sides. The order of the data is a pure function of (seed, epoch):
a run that was killed finds its place again from the step number alone. Torch-free.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation_db.exporting.manifest import ManifestError, read_items, read_manifest, verify
from curation_db.foreign_json import JsonError, parse_json
from curation_db.image_paths import find_image_file, real_path
from trainers.errors import TrainerError

Locate = Callable[[str, str | None], Path | None]
"""(source, file name) to the picture's path; None where it is not there."""
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """A picture and a text that is true of it."""

    image: str
    """What tells pictures apart. As read, the export's own hash or source and key; a training puts the hash of the
    file's bytes there before it splits (`materials.gather`)."""
    path: Path
    text: str
    caption: str | None = None
    """The human's, where known."""


@dataclass(frozen=True, slots=True)
class FrozenSet:
    """An export as a training sees it."""

    export_sha256: str
    pairs: tuple[TrainingPair, ...]
    missing: int
    """Pairs left out because their picture is not there."""
    first_missing: str | None = None
    """Of the pictures that are not there."""


def locate_in(folders: Mapping[str, Sequence[str | Path]], *, follow_links: bool = False) -> Locate:
    """Look for pictures below the folders of their source; a name or link that leads out of them is not followed."""
    roots = {source: [real_path(folder) for folder in found] for source, found in folders.items()}
    return lambda source, file_name: find_image_file(roots.get(source, []), file_name, follow_links=follow_links)


def read_set(folder: Path, locate: Locate) -> FrozenSet:
    """The pairs of the frozen set in `folder` whose pictures are there.

    Raises:
        TrainerError: it is no frozen set, was changed since, is empty, or no picture is there.
    """
    if problems := verify(folder):
        raise TrainerError(f"{folder}: {problems[0]}", hint="export again: a frozen set never changes")
    try:
        manifest, items = read_manifest(folder), list(read_items(folder))
    except ManifestError as error:
        raise TrainerError(str(error)) from error
    found = [(item, locate(item.source, item.file_name)) for item in items]
    pairs = tuple(
        TrainingPair(item.image_sha256 or f"{item.source}/{item.image_key}", path, item.text, item.caption)
        for item, path in found
        if path is not None
    )
    if not pairs:
        what = f"none of its {len(items)} pictures is there" if items else "it has no pairs"
        raise TrainerError(f"{folder}: {what}", hint="add picture folders to negwb.toml" if items else "")
    gone = (f"{item.source}/{item.file_name or item.image_key}" for item, path in found if path is None)
    return FrozenSet(manifest.export_sha256, pairs, len(items) - len(pairs), next(gone, None))


def split_by_image(pairs: Sequence[TrainingPair], *, val_share: float, seed: int) -> tuple[list[int], list[int]]:
    """Rows to train on and to validate on; a picture's side depends on its `image` and the seed alone."""
    train: list[int] = []
    val: list[int] = []
    for row, pair in enumerate(pairs):
        (val if _share(f"{seed}\n{pair.image}") < val_share else train).append(row)
    return train, val


def _share(text: str) -> float:
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"negwb-split").digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass(frozen=True, slots=True)
class PoolPicture:
    """A picture of the replay pool with affirmative captions."""

    image: str
    """As a pair's: from a pool file at first the path, then the hash of the bytes (`materials.gather`)."""
    path: Path
    texts: tuple[str, ...]


def write_pool(path: Path, pictures: Iterable[tuple[str, Sequence[str]]]) -> None:
    """A pool.jsonl: {"picture": path below the file's folder, "texts": [...]} per line."""
    lines = (json.dumps({"picture": name, "texts": list(texts)}) + "\n" for name, texts in pictures)
    path.write_text("".join(lines), encoding="utf-8")


def read_pool(path: Path) -> list[PoolPicture]:
    """The pool of a pool.jsonl; TrainerError where there is none."""
    try:
        rows = [parse_json(line) for line in path.read_bytes().splitlines()]
        paths = [path.parent / row["picture"] for row in rows]
        pool = [PoolPicture(str(p), p, tuple(row["texts"])) for p, row in zip(paths, rows, strict=True)]
    except OSError as error:
        raise TrainerError(f"{path} is no replay pool: {error.strerror or error}") from error
    except JsonError as error:
        raise TrainerError(f"{path} is no replay pool: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise TrainerError(f"{path} is no replay pool: {error!r}") from error
    if not pool or not all(picture.texts for picture in pool):
        raise TrainerError(f"{path}: a replay pool needs pictures, each with a text")
    return pool


def own_captions(pairs: Sequence[TrainingPair]) -> list[PoolPicture]:
    """A pool of the human captions of the set itself: a picture's captions together."""
    texts: dict[str, dict[str, None]] = {}
    paths: dict[str, Path] = {}
    for pair in pairs:
        if pair.caption:
            texts.setdefault(pair.image, {})[pair.caption] = None
            paths[pair.image] = pair.path
    if not texts:
        raise TrainerError("the set has no human captions to replay", hint="name a replay pool")
    return [PoolPicture(image, paths[image], tuple(found)) for image, found in texts.items()]


def epoch_order(count: int, *, seed: int, epoch: int, stream: int = 0) -> Rows:
    """The rows of one epoch, shuffled: a function of its arguments alone."""
    return np.random.default_rng([seed, stream, epoch]).permutation(count)


@dataclass(frozen=True, slots=True)
class EpochOrder:
    """Which rows are in which step."""

    count: int
    batch: int
    seed: int
    stream: int = 0
    """Apart from other streams of the same seed."""
    drop_last: bool = False
    """Leave out an epoch's rest that fills no batch."""

    @property
    def per_epoch(self) -> int:
        """Steps."""
        real_path, rest = divmod(self.count, self.batch)
        return max(1, real_path + bool(rest and not self.drop_last))

    def epoch(self, step: int) -> int:
        """The epoch that `step` (from 0) is in."""
        return step // self.per_epoch

    def rows(self, step: int) -> Rows:
        """The rows of `step`."""
        epoch, at = divmod(step, self.per_epoch)
        order = epoch_order(self.count, seed=self.seed, epoch=epoch, stream=self.stream)
        return order[at * self.batch : (at + 1) * self.batch]
