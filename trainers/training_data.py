"""What a training learns from: a set's pairs and a pool, known by their pictures' content, split, as tables in memory.

A picture is the hash of its file's bytes, in pairs and pool alike: so "image-disjoint" also holds for a picture under
two names, and no picture to validate on is in the pool.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from trainers.batches import Table, pair_table, pool_table
from trainers.clip_models import ClipModel
from trainers.dataset import (
    FrozenSet,
    PoolPicture,
    TrainingPair,
    locate_in,
    own_captions,
    read_pool,
    read_set,
    split_by_image,
)
from trainers.errors import TrainerError
from trainers.feature_store import ImageFeatures
from trainers.interrupts import PictureWatch, Stop
from trainers.run_files import WARNING, RunWriter, Work
from trainers.settings import RunConfig, TrainSettings


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Pairs and pictures of one training."""

    train: tuple[TrainingPair, ...]
    val: tuple[TrainingPair, ...]
    pool: tuple[PoolPicture, ...] | None
    """Without pictures to validate on; none where nothing is replayed."""
    export_sha256: str
    told: dict[str, Any]
    """What done.json says of it: sizes and hashes."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The same with features and token ids."""

    train: Table
    val: Table | None
    pool: Table | None


def load(config: RunConfig, store: ImageFeatures, writer: RunWriter, stop: Stop) -> TrainingData:
    """Read what `config` names, identify every picture by its bytes, and split.

    Raises:
        TrainerError: something is not there, cannot be read, or too little is left to learn from.
        Interrupted: `stop` said so; the hashes that were found are kept.
    """
    settings = config.settings
    found = read_set(Path(config.export), locate_in(config.pictures, follow_links=config.follow_links))
    writer.say(f"{len(found.pairs)} pairs from {config.export} ({found.missing} without a picture)")
    if found.missing:
        of = found.missing + len(found.pairs)
        writer.say(f"{WARNING}{found.missing:,} of {of:,} pairs have no picture, the first is {found.first_missing}")
    asked = read_pool(Path(settings.replay_pool)) if settings.replay_share and settings.replay_pool else []
    paths = [*(pair.path for pair in found.pairs), *(picture.path for picture in asked)]
    hashes = store.identify(paths, progress=PictureWatch(Work.READING, writer, stop))
    pairs = tuple(replace(pair, image=sha) for pair, sha in zip(found.pairs, hashes, strict=False))
    rows, val_rows = split_by_image(pairs, val_share=settings.val_share, seed=settings.seed)
    train, val = tuple(pairs[row] for row in rows), tuple(pairs[row] for row in val_rows)
    if not train:
        raise TrainerError("no pair is left to train on", hint="a smaller val_share, or more pairs")
    pool = _pool(settings, train, {pair.image for pair in val}, _by_content(asked, hashes[len(pairs) :]))
    _check_enough(settings, train, replayed=pool is not None)
    dropped = len({*hashes[len(pairs) :]}) - len(pool or ()) if asked else 0
    return TrainingData(train, val, pool, found.export_sha256, _told(found, train, val, pool, dropped))


def _by_content(pool: Sequence[PoolPicture], hashes: Sequence[str]) -> list[PoolPicture]:
    """A picture that is listed twice, or under two names, is one with the texts of both."""
    known: dict[str, PoolPicture] = {}
    for picture, sha in zip(pool, hashes, strict=True):
        before = known.get(sha)
        texts = picture.texts if before is None else tuple(dict.fromkeys((*before.texts, *picture.texts)))
        known[sha] = PoolPicture(sha, picture.path if before is None else before.path, texts)
    return list(known.values())


def _pool(
    settings: TrainSettings, train: Sequence[TrainingPair], validated: set[str], listed: Sequence[PoolPicture]
) -> tuple[PoolPicture, ...] | None:
    if not settings.replay_share:
        return None
    if settings.replay_pool is None:
        return tuple(own_captions(train))
    pool = tuple(picture for picture in listed if picture.image not in validated)
    if not pool:
        raise TrainerError("every picture of the replay pool is one to validate on", hint="another pool, or val_share")
    return pool


def _check_enough(settings: TrainSettings, train: Sequence[TrainingPair], *, replayed: bool) -> None:
    """The loss compares pairs: over one alone, or over one picture's with same_image_mask, it is always 0."""
    if len(train) < 2 and not replayed:
        raise TrainerError("only 1 pair is left to train on, and the loss compares pairs", hint="more pairs")
    if settings.same_image_mask and not replayed and len({pair.image for pair in train}) < 2:
        hint = "more pictures, or same_image_mask = false"
        raise TrainerError("all pairs to train on are of 1 picture, and same_image_mask compares pictures", hint=hint)


def _told(
    found: FrozenSet,
    train: Sequence[TrainingPair],
    val: Sequence[TrainingPair],
    pool: Sequence[PoolPicture] | None,
    dropped: int,
) -> dict[str, Any]:
    return {
        "pairs": len(found.pairs),
        "pairs_missing_picture": found.missing,
        "first_missing_picture": found.first_missing,
        "train": _size(train),
        "validate": _size(val),
        "pictures_sha256": hash_of_pictures(pair.image for pair in (*train, *val)),
        "pool": None if pool is None else _pool_told(pool, dropped),
    }


def _size(pairs: Sequence[TrainingPair]) -> dict[str, int]:
    return {"pairs": len(pairs), "pictures": len({pair.image for pair in pairs})}


def _pool_told(pool: Sequence[PoolPicture], dropped: int) -> dict[str, Any]:
    content = [[picture.image, picture.texts] for picture in pool]
    return {
        "pictures": len(pool),
        "texts": sum(len(picture.texts) for picture in pool),
        "dropped_to_validate": dropped,
        "sha256": hashlib.sha256(json.dumps(content).encode()).hexdigest(),
    }


def hash_of_pictures(hashes: Iterable[str]) -> str:
    """sha256 over the sorted hashes of pictures, each once: the same pictures under other names are the same."""
    return hashlib.sha256("\n".join(sorted(set(hashes))).encode()).hexdigest()


def fingerprint(settings: TrainSettings, materials: TrainingData, model: ClipModel, threads: int) -> str:
    """What a resumed run must share with its beginning, for the weights to come out the same."""
    used = [pair.image for pair in (*materials.train, *materials.val)]
    told = [asdict(settings), materials.export_sha256, used, materials.told["pool"], model.model_hash, threads]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def tables(materials: TrainingData, model: ClipModel, store: ImageFeatures, writer: RunWriter, stop: Stop) -> Tables:
    """Everything in memory; features that are missing are computed first, in one pass.

    Raises:
        TrainerError: a picture cannot be read.
        Interrupted: `stop` said so; the features that were computed are kept.
    """
    known = {pair.image: pair.path for pair in (*materials.train, *materials.val)}
    known |= {picture.image: picture.path for picture in materials.pool or ()}
    store.features(list(known.values()), progress=PictureWatch(Work.ENCODING, writer, stop))
    numbers = dict[str, int]()
    train, val = (
        pair_table(model, pairs, store.features, numbers) if pairs else None
        for pairs in (materials.train, materials.val)
    )
    pool = None if materials.pool is None else pool_table(model, materials.pool, store.features, numbers)
    writer.say(f"train {len(materials.train)}, validate {len(materials.val)}, features computed {store.computed}")
    assert train is not None  # gather refuses that
    return Tables(train, val, pool)
