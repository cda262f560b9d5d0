"""Training data: the pairs of an export and a replay pool, split by image content, as tables in memory.

The identity of an image is the hash of its file's bytes, in pairs and pool alike. So the split is image-disjoint even
where one image has two names, and no validation image is in the pool.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from curation_db.language.sanitize import counted
from trainers.data.dataset import (
    VALIDATION_STREAM,
    FrozenSet,
    PoolImage,
    TrainingPair,
    epoch_order,
    images_with_captions,
    locate_in,
    own_captions,
    read_pool,
    read_set,
    split_by_caption,
    split_by_fold,
    split_by_image,
)
from trainers.data.image_check import check_images
from trainers.data.possible_matches import ImageFacts
from trainers.errors import RunRefused
from trainers.features.image_features import ImageFeatures
from trainers.interrupts import ImageProgress, Stop
from trainers.loop.batches import Table, pair_table, pool_table
from trainers.models.clip_model import ClipModel
from trainers.run_files import RunWriter, Work
from trainers.settings import RunConfig, TrainSettings


@dataclass(frozen=True, slots=True)
class TrainingData:
    train: tuple[TrainingPair, ...]
    val: tuple[TrainingPair, ...]
    pool: tuple[PoolImage, ...] | None
    """Without validation images; None where nothing is replayed."""
    export_sha256: str
    summary: dict[str, Any]
    """Sizes and hashes for done.json."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The training data with features and token ids."""

    train: Table
    val: Table | None
    pool: Table | None
    guard: Table | None = None
    """Validation images with their original captions."""
    images: tuple[str, ...] = ()
    """Identity of each image, by its number (`Table.names`)."""


def load(config: RunConfig, store: ImageFeatures, writer: RunWriter, stop: Stop) -> TrainingData:
    """Read the export and pool of `config`, check every image (`check_images`), and split.

    Raises:
        TrainerError: a file cannot be read, too many images are missing or unreadable, or too few pairs are left.
        Interrupted: `stop` returned True; the hashes and features computed so far are saved.
    """
    settings = config.settings
    export = read_set(Path(config.export), locate_in(config.pictures, follow_links=config.follow_links))
    writer.log(f"{len(export.pairs)} pairs from {config.export} ({export.missing} without an image)")
    listed = read_pool(Path(settings.replay_pool)) if settings.replay_pool else []
    images = check_images(export, listed, store, settings, writer, stop)
    hashes = images.hashes
    pairs = tuple(replace(pair, image=hashes[pair.path]) for pair in export.pairs if pair.path in hashes)
    replayed = _merge_by_content([replace(each, image=hashes[each.path]) for each in listed if each.path in hashes])
    rows, val_rows = _split(pairs, config)
    train, val = tuple(pairs[row] for row in rows), tuple(pairs[row] for row in val_rows)
    if not train:
        raise RunRefused("no pair is left to train on", hint="use a smaller val_share or more pairs")
    validated = {pair.image for pair in val}
    pool = _select_pool(settings, train, validated, replayed)
    _check_enough(settings, train, pool or ())
    _check_validation(settings, val)
    if settings.false_captions:
        _check_false_captions(train, writer)
    dropped = sum(image.image in validated for image in replayed)
    summary = _summarise(export, train, val, pool, dropped) | images.summary
    return TrainingData(train, val, pool, export.export_sha256, summary)


def _split(pairs: Sequence[TrainingPair], config: RunConfig) -> tuple[list[int], list[int]]:
    """Return the training rows and the validation rows, or those outside and inside the fold of a cross-validation.

    The validation rows are shuffled, as in the published code: in the order of an export, the captions of an image
    are neighbours, and a batch would compare them with each other.
    """
    settings = config.settings
    if config.fold is not None:
        return split_by_fold(pairs, config.fold, seed=settings.seed)
    if settings.split == "caption":
        return split_by_caption(len(pairs), val_share=settings.val_share, seed=settings.seed)
    rows, val_rows = split_by_image(pairs, val_share=settings.val_share, seed=settings.seed)
    order = epoch_order(len(val_rows), seed=settings.seed, epoch=0, stream=VALIDATION_STREAM)
    return rows, [val_rows[at] for at in order.tolist()]


def _merge_by_content(pool: Sequence[PoolImage]) -> list[PoolImage]:
    """Merge pool entries with the same image content; the merged entry has the texts of all."""
    known: dict[str, PoolImage] = {}
    for image in pool:
        before = known.get(image.image, image)
        known[image.image] = replace(before, texts=tuple(dict.fromkeys((*before.texts, *image.texts))))
    return list(known.values())


def _select_pool(
    settings: TrainSettings, train: Sequence[TrainingPair], validated: set[str], listed: Sequence[PoolImage]
) -> tuple[PoolImage, ...] | None:
    pool = tuple(image for image in listed if image.image not in validated)
    if settings.objective == "conclip":
        return tuple(_merge_by_content([*images_with_captions(train), *pool]))
    if not settings.replay_share:
        return None
    if settings.replay_pool is None:
        return tuple(own_captions(train))
    if not pool:
        raise RunRefused(
            "every image of the replay pool is a validation image", hint="use another pool or a smaller val_share"
        )
    return pool


def _check_enough(settings: TrainSettings, train: Sequence[TrainingPair], pool: Sequence[PoolImage]) -> None:
    """Refuse data on which the loss is always 0: one pair alone, or one image whose texts are not compared.

    A replayed caption is never a negative of a text of its image, and with same_image_mask no text is.
    """
    several_images = len({pair.image for pair in train} | {image.image for image in pool}) > 1
    if len(train) < 2 and not several_images:
        raise RunRefused("only 1 pair is left to train on, and the loss compares pairs", hint="use more pairs")
    if settings.same_image_mask and not several_images:
        hint = "use more images, or same_image_mask = false"
        raise RunRefused("all training pairs are of 1 image, and same_image_mask compares images", hint=hint)


def _check_validation(settings: TrainSettings, val: Sequence[TrainingPair]) -> None:
    """Refuse to choose by a validation that is the same for every model: of one pair, or of one image if masked."""
    if settings.keep == "last" and settings.patience is None:
        return
    by_image = settings.criterion != "loss" or settings.same_image_mask
    count = len({pair.image for pair in val}) if by_image else len(val)
    if count < 2:
        compared = counted(count, "validation image" if by_image else "validation pair")
        setting = "keep = best" if settings.keep == "best" else "patience"
        raise RunRefused(
            f"{setting} compares validations, and val_share = {settings.val_share:g} leaves {compared}",
            hint="use more pairs, a larger val_share, or keep = last",
        )


def _check_false_captions(train: Sequence[TrainingPair], writer: RunWriter) -> None:
    count = sum(pair.false_caption is not None for pair in train)
    if not count:
        hint = "they need pairs of the type absence with concept and caption; or use false_captions = false"
        raise RunRefused("no training pair has a false caption", hint=hint)
    writer.log(f"{count} of {len(train)} training pairs have a false caption")


def _summarise(
    export: FrozenSet,
    train: Sequence[TrainingPair],
    val: Sequence[TrainingPair],
    pool: Sequence[PoolImage] | None,
    dropped: int,
) -> dict[str, Any]:
    return {
        "pairs": len(train) + len(val),
        "pairs_missing_picture": export.missing,
        "first_missing_picture": next(iter(export.missing_images), None),
        "pairs_unreadable_image": len(export.pairs) - len(train) - len(val),
        "train": _size(train),
        "validate": _size(val),
        "pictures_sha256": hash_of_images(pair.image for pair in (*train, *val)),
        "pool": None if pool is None else _summarise_pool(pool, dropped),
    }


def _size(pairs: Sequence[TrainingPair]) -> dict[str, int]:
    return {"pairs": len(pairs), "pictures": len({pair.image for pair in pairs})}


def _summarise_pool(pool: Sequence[PoolImage], dropped: int) -> dict[str, Any]:
    content = [[image.image, image.texts] for image in pool]
    return {
        "pictures": len(pool),
        "texts": sum(len(image.texts) for image in pool),
        "dropped_to_validate": dropped,
        "sha256": hashlib.sha256(json.dumps(content).encode()).hexdigest(),
    }


def hash_of_images(hashes: Iterable[str]) -> str:
    """Return the sha256 over the sorted distinct image hashes; it does not depend on file names."""
    return hashlib.sha256("\n".join(sorted(set(hashes))).encode()).hexdigest()


def fingerprint(settings: TrainSettings, data: TrainingData, model: ClipModel, threads: int) -> str:
    """Return the hash of everything that a resumed run must share with its start, for the same weights."""
    used = [pair.image for pair in (*data.train, *data.val)]
    parts = [asdict(settings), data.export_sha256, used, data.summary["pool"], model.model_hash, threads]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def tables(
    data: TrainingData,
    model: ClipModel,
    store: ImageFeatures,
    writer: RunWriter,
    stop: Stop,
    *,
    false_captions: bool = False,
    guard_images: int = 0,
) -> Tables:
    """Load features and token ids into memory; compute missing features first, in one pass.

    Raises:
        TrainerError: an image cannot be read.
        Interrupted: `stop` returned True; the features computed so far are saved.
    """
    known = {pair.image: pair.path for pair in (*data.train, *data.val)}
    known |= {image.image: image.path for image in data.pool or ()}
    store.features(list(known.values()), progress=ImageProgress(Work.ENCODING, writer, stop))
    numbers = dict[str, int]()
    train, val = (
        pair_table(model, pairs, store.features, numbers, false_captions=used) if pairs else None
        for pairs, used in ((data.train, false_captions), (data.val, False))
    )
    pool = None if data.pool is None else pool_table(model, data.pool, store.features, numbers)
    captions = images_with_captions(data.val)[:guard_images]
    guard = pool_table(model, captions, store.features, numbers) if captions else None
    writer.log(f"train {len(data.train)}, validate {len(data.val)}, features computed {store.computed}")
    assert train is not None  # `load` refuses an empty training set
    return Tables(train, val, pool, guard, tuple(numbers))


def facts_of_images(data: TrainingData) -> dict[str, ImageFacts]:
    """Return what captions and decisions tell about each image of the training pairs and of the pool."""
    facts: dict[str, ImageFacts] = defaultdict(ImageFacts)
    for pair in data.train:
        known = facts[pair.image]
        if pair.caption:
            known.captions.append(pair.caption)
        if pair.concept is not None and pair.has_concept is not None:
            (known.present if pair.has_concept else known.absent).append(pair.concept)
    for image in data.pool or ():
        facts[image.image].captions += image.texts
    return facts
