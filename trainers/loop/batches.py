"""Training data in memory (features, token ids, image numbers) and the batch of each step.

Negated pairs and affirmative replay are two streams with separate orders; `batch(step)` depends on the step alone.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainers.data.dataset import EpochOrder, PoolImage, Rows, TrainingPair
from trainers.models.clip_model import ClipModel
from trainers.settings import TrainSettings


class Features(Protocol):
    """Function from paths to unit features (N, D), like `ImageFeatures.features`."""

    def __call__(self, paths: Sequence[Path]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]: ...


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Data of one step; the last `replay` rows are affirmative captions: replayed ones, or those of counterparts."""

    images: Tensor
    """(N, D) unit features"""
    ids: Tensor
    """(N, L) token ids"""
    image_ids: Tensor
    """(N,) equal for rows of the same image"""
    replay: int = 0
    hard: Tensor | None = None
    """(n, K, D) features of images that the base model retrieves for the n negated texts"""
    no_hard: Tensor | None = None
    """(n, K) bool: places in `hard` without an image; None: all have one"""
    false_ids: Tensor | None = None
    """(M, L) token ids of the false captions of the negated pairs that have one"""

    @property
    def all_ids(self) -> Tensor:
        """Token ids of all texts to encode: those of `ids`, then the false captions.  (N + M, L)"""
        return self.ids if self.false_ids is None else torch.cat([self.ids, self.false_ids])


@dataclass(frozen=True)
class Table:
    """Images with texts in memory: features (P, D), token ids (T, L)."""

    features: Tensor
    ids: Tensor
    image_rows: Tensor
    """(T,) row of the text's image in `features`"""
    names: Tensor
    """(P,) number of the image, unique across tables"""
    false_ids: Tensor | None = None
    """(T, L) token ids of the false captions; a row of zeros where the pair has none"""

    def take(self, texts: Rows) -> TrainingBatch:
        rows = torch.from_numpy(texts)
        images = self.image_rows[rows]
        false_ids = None if self.false_ids is None else self.false_ids[rows]
        if false_ids is not None:
            false_ids = false_ids[false_ids.any(dim=1)]
        return TrainingBatch(self.features[images], self.ids[rows], self.names[images], false_ids=false_ids)


def pair_table(
    model: ClipModel,
    pairs: Sequence[TrainingPair],
    features: Features,
    numbers: dict[str, int],
    *,
    false_captions: bool = False,
) -> Table:
    """Build a table with one text per pair; each image is encoded once, however many pairs it has."""
    images = {pair.image: pair.path for pair in pairs}
    row_of = {image: row for row, image in enumerate(images)}
    return Table(
        torch.from_numpy(features(list(images.values()))),
        model.tokenizer([pair.text for pair in pairs]),
        torch.tensor([row_of[pair.image] for pair in pairs]),
        torch.tensor([numbers.setdefault(image, len(numbers)) for image in images]),
        _false_ids(model, pairs) if false_captions else None,
    )


def _false_ids(model: ClipModel, pairs: Sequence[TrainingPair]) -> Tensor:
    ids = model.tokenizer([pair.false_caption or "" for pair in pairs])  # (T, L)
    present = torch.tensor([pair.false_caption is not None for pair in pairs])
    return ids * present[:, None]


def pool_table(model: ClipModel, pool: Sequence[PoolImage], features: Features, numbers: dict[str, int]) -> Table:
    """Build a table with all texts of all images of the pool."""
    by_image = {image.image: image for image in pool}
    return Table(
        torch.from_numpy(features([image.path for image in by_image.values()])),
        model.tokenizer([text for image in by_image.values() for text in image.texts]),
        torch.tensor([row for row, image in enumerate(by_image.values()) for _ in image.texts]),
        torch.tensor([numbers.setdefault(image, len(numbers)) for image in by_image]),
    )


class HardNegatives(Protocol):
    """Further negatives of texts, like `hard_images.HardImages`."""

    def of(self, texts: Rows) -> tuple[Tensor, Tensor | None]:
        """Return features (n, K, D) and the mask (n, K) of places without an image."""


class AffirmedImages(Protocol):
    """Images with affirmative captions that belong to negated pairs, like `counterparts.Counterparts`."""

    def of(self, pairs: Rows) -> Rows:
        """Return rows of captions in the table of the pool."""


@dataclass(frozen=True, slots=True)
class ReplayShare:
    """Affirmative captions in a full batch."""

    rows: int
    wanted_rows: int
    batch: int
    """Rows of the batch; fewer than `settings.batch` where pairs or pool images are few."""

    @property
    def share(self) -> float:
        return self.rows / self.batch


class BatchSource:
    def __init__(
        self,
        pairs: Table,
        pool: Table | None,
        settings: TrainSettings,
        hard: HardNegatives | None = None,
        counterparts: AffirmedImages | None = None,
    ) -> None:
        self.replay = round(settings.batch * settings.replay_share) if pool is not None else 0
        self._pairs, self._pool, self._seed = pairs, pool if self.replay else None, settings.seed
        self._counterparts, self._captions = counterparts, pool
        by_steps = settings.steps is not None
        self.order = EpochOrder(len(pairs.ids), settings.batch - self.replay, settings.seed, drop_last=by_steps)
        """Order of the negated pairs. With `epochs`, the last batch of an epoch may be smaller, as published."""
        self.steps = settings.steps or settings.epochs * self.order.per_epoch
        self._texts = _texts_by_image(pool) if pool is not None else []
        count = len(self._texts)
        self._hard = hard
        self._pool_order = EpochOrder(count, min(self.replay, count), settings.seed, stream=1, drop_last=True)

    def batch(self, step: int) -> TrainingBatch:
        """Return the batch of `step` (from 0)."""
        rows = self.order.rows(step)
        batch = self._pairs.take(rows)
        if self._hard is not None:
            features, absent = self._hard.of(rows)
            batch = replace(batch, hard=features, no_hard=absent)
        if self._counterparts is not None and self._captions is not None:
            return _joined(batch, self._captions.take(self._counterparts.of(rows)))
        return _joined(batch, self._pool.take(self._replayed(step))) if self._pool is not None else batch

    def replay_share(self) -> ReplayShare | None:
        """Return the replay that a full batch achieves; None without replay. A small pool has fewer images than it."""
        if self._pool is None:
            return None
        rows = self._pool_order.batch
        return ReplayShare(rows, self.replay, rows + min(self.order.batch, self.order.count))

    def _replayed(self, step: int) -> Rows:
        """Return one random text of each pool image of this step."""
        images = self._pool_order.rows(step)
        rng = random.Random(f"{self._seed}-{step}")
        return np.array([rng.choice(self._texts[image]) for image in images.tolist()], dtype=np.int64)


def _joined(negated: TrainingBatch, affirmed: TrainingBatch) -> TrainingBatch:
    return TrainingBatch(
        torch.cat([negated.images, affirmed.images]),
        torch.cat([negated.ids, affirmed.ids]),
        torch.cat([negated.image_ids, affirmed.image_ids]),
        replay=len(affirmed.ids),
        hard=negated.hard,
        no_hard=negated.no_hard,
        false_ids=negated.false_ids,
    )


def _texts_by_image(pool: Table) -> list[list[int]]:
    texts: list[list[int]] = [[] for _ in range(len(pool.features))]
    for text, image in enumerate(pool.image_rows.tolist()):
        texts[image].append(text)
    return texts


def learning_rate(settings: TrainSettings, step: int, steps: int) -> float:
    """Return the learning rate of `step`: linear warm-up, then constant or a cosine to 0."""
    warm = round(steps * settings.warm_up)
    if step < warm:
        return settings.lr * (step + 1) / warm
    if settings.schedule == "constant":
        return settings.lr
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
