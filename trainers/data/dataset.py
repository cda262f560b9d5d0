"""Input of a training: the pairs of an export with their images, a pool of affirmative captions, and the data order.

The split is by image, so that no image is on both sides, or by caption, as published. The order of the data is a pure
function of (seed, epoch): a resumed run continues from the step number alone. Does not import torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation_db.enums import NegationType, Reason, State
from curation_db.exporting.manifest import ExportItem, ManifestError, read_items, read_manifest, verify
from curation_db.foreign_json import JsonError, parse_json
from curation_db.image_paths import find_image_file, real_path
from curation_db.language.nouns import singular
from trainers.errors import RunRefused, TrainerError
from trainers.settings import Fold

Locate = Callable[[str, str | None], Path | None]
"""Function from (source, file name) to the path of the image; None where the file is missing."""
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """An image and a text that is true of it."""

    image: str
    """Identity of the image. As read: the export's hash, or source and key. `training_data.load` replaces it by the
    hash of the file's bytes before the split."""
    path: Path
    text: str
    caption: str | None = None
    """The original caption, where known."""
    concept: str | None = None
    """The negated concept, where known."""
    has_concept: bool | None = None
    """Whether the concept is in the image, by the decision of a person or the judges; None: not decided."""
    affirmed: str | None = None
    """The original caption with the denied concept added; see `affirmed_caption`."""
    false_caption: str | None = None
    """`affirmed` where it is known to be false of the image; see `false_caption_of`."""
    source: str = ""
    key: str = ""
    """Key of the candidate, unique in its source; names the pair outside the training."""


def affirmed_caption(item: ExportItem) -> str | None:
    """Return the original caption with the denied concept added; None where one of them is not known.

    "a man rides a horse" and the concept "hat" give "a man rides a horse with a hat"; an action or a relation follows
    after a comma: "a man rides a horse, wearing a hat".
    """
    words = item.concept.split() if item.concept else []
    if item.caption is None or item.concept is None or not words:
        return None
    caption = item.caption.rstrip(" .")
    if item.negation_type not in (NegationType.ABSENCE, NegationType.ATTRIBUTE):
        return f"{caption}, {item.concept}"
    article = "" if singular(words[-1]) != words[-1] else "an " if item.concept.startswith(tuple("aeiou")) else "a "
    return f"{caption} with {article}{item.concept}"


def false_caption_of(item: ExportItem) -> str | None:
    """Return the affirmed caption of an accepted pair that denies a thing, which is absent; None for other pairs."""
    denies_thing = item.negation_type == NegationType.ABSENCE and item.state == State.ACCEPTED
    return affirmed_caption(item) if denies_thing else None


@dataclass(frozen=True, slots=True)
class FrozenSet:
    """The pairs of an export whose images exist."""

    export_sha256: str
    pairs: tuple[TrainingPair, ...]
    missing: int
    """Pairs left out because their image is missing."""
    missing_images: tuple[str, ...] = ()
    """The missing images, as SOURCE/FILE."""


def locate_in(folders: Mapping[str, Sequence[str | Path]], *, follow_links: bool = False) -> Locate:
    """Return a function that finds images below the folders of their source.

    File names and links that lead out of the folders are not followed.
    """
    roots = {source: [real_path(folder) for folder in paths] for source, paths in folders.items()}
    return lambda source, file_name: find_image_file(roots.get(source, []), file_name, follow_links=follow_links)


def read_set(folder: Path, locate: Locate) -> FrozenSet:
    """Read the pairs of the export in `folder` whose images exist.

    Raises:
        TrainerError: the folder is not an export, was changed since, has no pairs, or no image exists.
    """
    if problems := verify(folder):
        raise TrainerError(f"{folder}: {problems[0]}", hint="export again: an export must not be changed")
    try:
        manifest, items = read_manifest(folder), list(read_items(folder))
    except ManifestError as error:
        raise TrainerError(str(error)) from error
    located = [(item, locate(item.source, item.file_name)) for item in items]
    pairs = tuple(
        TrainingPair(
            image=item.image_sha256 or f"{item.source}/{item.image_key}",
            path=path,
            text=item.text,
            caption=item.caption,
            concept=item.concept,
            has_concept=_has_concept(item),
            affirmed=affirmed_caption(item),
            false_caption=false_caption_of(item),
            source=item.source,
            key=item.key,
        )
        for item, path in located
        if path is not None
    )
    if not pairs:
        problem = f"none of its {len(items)} images exists" if items else "it has no pairs"
        raise TrainerError(f"{folder}: {problem}", hint="add image folders to negwb.toml" if items else "")
    missing = [f"{item.source}/{item.file_name or item.image_key}" for item, path in located if path is None]
    return FrozenSet(manifest.export_sha256, pairs, len(missing), tuple(dict.fromkeys(missing)))


def _has_concept(item: ExportItem) -> bool | None:
    if item.state != State.REJECTED:
        return None if item.concept is None else False
    return True if item.concept is not None and Reason.PRESENT in item.reasons else None


def split_by_image(pairs: Sequence[TrainingPair], *, val_share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the training rows and the validation rows; the side of an image depends on `image` and the seed alone."""
    train: list[int] = []
    val: list[int] = []
    for row, pair in enumerate(pairs):
        (val if _share(f"{seed}\n{pair.image}") < val_share else train).append(row)
    return train, val


def split_by_fold(pairs: Sequence[TrainingPair], fold: Fold, *, seed: int) -> tuple[list[int], list[int]]:
    """Return the training rows and the rows of the fold, which is left out.

    The images, in an order by hash, are dealt to the folds in turn: each image is in one fold, and the folds differ by
    at most one image.
    """
    images = sorted({pair.image for pair in pairs}, key=lambda image: _share(f"{seed}\n{image}"))
    held_out = set(images[fold.number - 1 :: fold.of])
    train: list[int] = []
    rows: list[int] = []
    for row, pair in enumerate(pairs):
        (rows if pair.image in held_out else train).append(row)
    return train, rows


def split_by_caption(count: int, *, val_share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the training rows and the validation rows of `count` pairs as the published code splits them.

    Captions of one image are on both sides. Source: parkquasar/NegationCLIP, src/clip_finetune.py, whose order of the
    training rows is shuffled again in every epoch, as by `EpochOrder`.
    """
    rows = list(range(count))
    np.random.RandomState(seed).shuffle(rows)  # the generator of numpy.random.seed
    val_count = math.floor(val_share * count)
    return rows[val_count:], rows[:val_count]


def _share(text: str) -> float:
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"negwb-split").digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass(frozen=True, slots=True)
class PoolImage:
    """An image of the replay pool with affirmative captions."""

    image: str
    """Identity of the image: the path as read from a pool file, later the hash of the bytes (`training_data.load`)."""
    path: Path
    texts: tuple[str, ...]


def write_pool(path: Path, images: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Write a pool.jsonl: one {"picture": path relative to the file's folder, "texts": [...]} per line."""
    lines = (json.dumps({"picture": name, "texts": list(texts)}) + "\n" for name, texts in images)
    path.write_text("".join(lines), encoding="utf-8")


def read_pool(path: Path) -> list[PoolImage]:
    """Read a pool.jsonl.

    Raises:
        TrainerError: the file is missing or malformed, has no images, or an image has no text.
    """
    try:
        rows = [parse_json(line) for line in path.read_bytes().splitlines()]
        paths = [path.parent / row["picture"] for row in rows]
        pool = [PoolImage(str(p), p, tuple(row["texts"])) for p, row in zip(paths, rows, strict=True)]
    except OSError as error:
        raise TrainerError(f"{path} is not a replay pool: {error.strerror or error}") from error
    except JsonError as error:
        raise TrainerError(f"{path} is not a replay pool: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise TrainerError(f"{path} is not a replay pool: {error!r}") from error
    if not pool or not all(image.texts for image in pool):
        raise TrainerError(f"{path}: a replay pool needs images, each with a text")
    return pool


def own_captions(pairs: Sequence[TrainingPair]) -> list[PoolImage]:
    """Build a pool from the original captions of the export itself, grouped by image.

    Raises:
        TrainerError: no pair has an original caption.
    """
    if not (pool := images_with_captions(pairs)):
        raise RunRefused("the export has no original captions to replay", hint="set replay_pool")
    return pool


def images_with_captions(pairs: Sequence[TrainingPair]) -> list[PoolImage]:
    """Return the images of `pairs` with their distinct original captions, where these are known."""
    texts: dict[str, dict[str, None]] = {}
    paths: dict[str, Path] = {}
    for pair in pairs:
        if pair.caption:
            texts.setdefault(pair.image, {})[pair.caption] = None
            paths[pair.image] = pair.path
    return [PoolImage(image, paths[image], tuple(captions)) for image, captions in texts.items()]


VALIDATION_STREAM = 2
"""Stream of `epoch_order` that shuffles the validation pairs; 0 and 1 are those of the pairs and of the pool."""


def epoch_order(count: int, *, seed: int, epoch: int, stream: int = 0) -> Rows:
    """Return the shuffled rows of one epoch; a pure function of the arguments."""
    return np.random.default_rng([seed, stream, epoch]).permutation(count)


@dataclass(frozen=True, slots=True)
class EpochOrder:
    count: int
    batch: int
    seed: int
    stream: int = 0
    """Number of the stream; streams of the same seed have independent orders."""
    drop_last: bool = False
    """Whether to drop the incomplete last batch of an epoch."""

    @property
    def per_epoch(self) -> int:
        """Steps per epoch."""
        real_path, rest = divmod(self.count, self.batch)
        return max(1, real_path + bool(rest and not self.drop_last))

    def epoch(self, step: int) -> int:
        """Return the epoch of `step` (both from 0)."""
        return step // self.per_epoch

    def rows(self, step: int) -> Rows:
        epoch, at = divmod(step, self.per_epoch)
        order = epoch_order(self.count, seed=self.seed, epoch=epoch, stream=self.stream)
        return order[at * self.batch : (at + 1) * self.batch]
