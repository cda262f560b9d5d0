"""Measurement of the cost of a training: 3 steps, a few images, a few texts; nothing is trained or saved.

The steps use the real model, texts and settings. Their image features are random unit vectors, because the time of a
step does not depend on them and the features of a batch would have to be computed first. The features of the measured
images are real, and stay in the feature store.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trainers.cost import TrainingCost, missing_of, write_cost
from trainers.data.counterparts import Counterparts
from trainers.data.dataset import (
    EpochOrder,
    FrozenSet,
    PoolImage,
    TrainingPair,
    images_with_captions,
    locate_in,
    own_captions,
    read_pool,
    read_set,
    split_by_caption,
)
from trainers.data.hard_images import HardImages
from trainers.errors import RunRefused
from trainers.features.feature_store import Floats
from trainers.features.image_decoding import Decoding
from trainers.features.image_features import ImageFeatures
from trainers.interrupts import ImageProgress, Interrupted, Stop
from trainers.loop.batches import BatchSource, Features, Table, pair_table, pool_table
from trainers.loop.finetune import Trainer, load_for_training
from trainers.models.clip_model import ClipModel
from trainers.run_files import RunWriter, Work
from trainers.settings import RunConfig, TrainSettings, check_threads, read_config

STEPS = 3
_IMAGES = 64
"""Images of a measurement: the features are computed in batches of this size."""
_TEXTS = 256


def probe_cost(folder: Path, *, stop: Stop = lambda: False) -> TrainingCost:
    """Measure the cost of the training that the config.json in `folder` describes, and write cost.json.

    Raises:
        Interrupted: `stop` returned True.
        TrainerError: the run could not be trained; the message has the reason.
    """
    config, writer = read_config(folder), RunWriter(folder)
    settings = config.settings
    check_threads(settings)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    writer.log("loading the model")
    began = time.perf_counter()
    model = load_for_training(config)
    load_s = time.perf_counter() - began
    writer.log("reading the export")
    export = read_set(Path(config.export), locate_in(config.pictures, follow_links=config.follow_links))
    listed = read_pool(Path(settings.replay_pool)) if settings.replay_pool and _uses_pool(settings) else []
    paths = list(dict.fromkeys([*(pair.path for pair in export.pairs), *(image.path for image in listed)]))
    missing, image_s = _measure_images(config, model, paths, writer, stop)
    writer.log(f"measuring {STEPS} steps")
    source = _sample_batches(settings, model, export, listed)
    step_s = _measure_steps(Trainer(model, source, None, settings), stop)
    text_s = _measure_texts(model, export.pairs)
    counts = _Counts(export, settings, source.replay)
    cost = TrainingCost(
        load_s=load_s,
        images=len(paths),
        missing_images=missing,
        image_s=image_s,
        pairs=counts.train,
        batch=min(counts.train, settings.batch - source.replay) + source.replay,
        steps=counts.steps,
        step_s=step_s,
        validations=counts.validations,
        texts=counts.texts,
        text_s=text_s,
    )
    write_cost(folder, cost)
    return cost


class _Counts:
    """How often a training needs each operation; the split is by shares, without the content of the images."""

    def __init__(self, export: FrozenSet, settings: TrainSettings, replay: int) -> None:
        validated = len(split_by_caption(len(export.pairs), val_share=settings.val_share, seed=0)[1])
        self.train = len(export.pairs) - validated
        if self.train < 1:
            raise RunRefused("no pair is left to train on", hint="use a smaller val_share or more pairs")
        order = EpochOrder(self.train, settings.batch - replay, settings.seed, drop_last=settings.steps is not None)
        self.steps = settings.steps or settings.epochs * order.per_epoch
        self.validations = -(-self.steps // order.per_epoch) + 2 if validated else 0  # + base, + saved model
        texts = [len(image.texts) for image in images_with_captions(export.pairs)]
        guarded = min(settings.guard_images, round(len(texts) * settings.val_share))
        captions = round(statistics.fmean(texts) * guarded) if texts else 0
        self.texts = self.validations * (validated + captions) + _first_texts(self.train, settings)


def _first_texts(train: int, settings: TrainSettings) -> int:
    """Return the number of texts that the base model encodes to find hard images or counterparts."""
    return train * (bool(settings.hard_pictures) + (settings.objective == "conclip"))


def _measure_images(
    config: RunConfig, model: ClipModel, paths: Sequence[Path], writer: RunWriter, stop: Stop
) -> tuple[int, float]:
    """Return the estimated number of images without a feature, and the seconds for one of them.

    A GPU is slow at its first batch, so a second one is measured there.
    """
    store = ImageFeatures(Path(config.cache), model, Decoding(config.settings.decode))
    shuffled = random.Random(config.settings.seed).sample(list(paths), len(paths))
    batches = 1 if model.device.type == "cpu" else 2
    sampled, seconds = 0, 0.0
    for number in range(batches):
        sample = shuffled[number * _IMAGES : (number + 1) * _IMAGES]
        if not sample:
            break
        began = time.perf_counter()
        store.check(
            sample,
            hashing=ImageProgress(Work.READING, writer, stop),
            encoding=ImageProgress(Work.ENCODING, writer, stop),
        )
        seconds = time.perf_counter() - began
        sampled += len(sample)
    return missing_of(len(paths), sampled=sampled, computed=store.computed), seconds / _IMAGES


def _sample_batches(
    settings: TrainSettings, model: ClipModel, export: FrozenSet, listed: Sequence[PoolImage]
) -> BatchSource:
    """Return the batches of a training on as many pairs and pool images as the measured steps need."""
    rng = random.Random(settings.seed)
    enough = STEPS * settings.batch
    pairs = [replace(pair, image=str(pair.path)) for pair in export.pairs]
    sample = rng.sample(pairs, min(enough, len(pairs)))
    features = _random_features(model.embed_dim, settings.seed)
    numbers = dict[str, int]()
    table = pair_table(model, sample, features, numbers, false_captions=settings.false_captions)
    pool = None
    if _uses_pool(settings):
        own = images_with_captions(sample) if settings.objective == "conclip" else []
        images = [*own, *listed] or own_captions(sample)
        pool = pool_table(model, rng.sample(images, min(enough, len(images))), features, numbers)
    counterparts = _random_counterparts(table, pool, settings) if settings.objective == "conclip" else None
    return BatchSource(table, pool, settings, _random_hard_images(table, settings), counterparts)


def _uses_pool(settings: TrainSettings) -> bool:
    return settings.replay_share > 0 or settings.objective == "conclip"


def _random_hard_images(table: Table, settings: TrainSettings) -> HardImages | None:
    if not settings.hard_pictures:
        return None
    rng = np.random.default_rng(settings.seed)
    rows = rng.integers(len(table.features), size=(len(table.ids), settings.hard_pictures))
    return HardImages(table.features, torch.from_numpy(rows))


def _random_counterparts(table: Table, pool: Table | None, settings: TrainSettings) -> Counterparts | None:
    if pool is None:
        return None
    texts = np.random.default_rng(settings.seed).integers(len(pool.ids), size=len(table.ids))
    return Counterparts(texts, pool.image_rows)


def _random_features(width: int, seed: int) -> Features:
    """Return a function from paths to random unit vectors."""
    rng = np.random.default_rng(seed)

    def features(paths: Sequence[Path]) -> Floats:
        values = rng.standard_normal((len(paths), width), dtype=np.float32)
        return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))

    return features


def _measure_steps(trainer: Trainer, stop: Stop) -> float:
    """Return the median of the seconds of the steps: the first one also allocates memory."""
    seconds = []
    for step in range(STEPS):
        if stop():
            raise Interrupted
        began = time.perf_counter()
        trainer.learn(trainer.feed.batch(step), step)  # returns the loss, so a GPU has finished
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _measure_texts(model: ClipModel, pairs: Sequence[TrainingPair]) -> float:
    """Return the seconds for one text outside of the steps."""
    ids = model.tokenizer([pair.text for pair in pairs[:_TEXTS]])
    began = time.perf_counter()
    model.text_tower.encode_all(ids)
    return (time.perf_counter() - began) / len(ids)
