"""A training's data in memory, and which of it is in which step: features, token ids, pictures' numbers.

Negated pairs and affirmative replay are two streams with their own order; `batch(step)` depends on the step alone.
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

from trainers.clip_models import ClipModel
from trainers.dataset import EpochOrder, PoolPicture, Rows, TrainingPair
from trainers.settings import TrainSettings


class Features(Protocol):
    """Paths to unit features, as `ImageFeatures.features`."""

    def __call__(self, paths: Sequence[Path]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]: ...


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """One step's data; the last `replay` rows are affirmative."""

    images: Tensor
    """(N, D) unit features"""
    ids: Tensor
    """(N, L) token ids"""
    pictures: Tensor
    """(N,) equal for rows of one picture"""
    replay: int = 0
    hard: Tensor | None = None
    """(n, K, D) pictures that the base model finds for the n negated texts"""


@dataclass(frozen=True)
class Table:
    """Pictures with texts, all of it in memory: features (P, D), token ids (T, L)."""

    features: Tensor
    ids: Tensor
    picture_of: Tensor
    """(T,) the picture's row in `features`"""
    names: Tensor
    """(P,) the picture's number across tables"""

    def take(self, texts: Rows) -> TrainingBatch:
        """The rows of some texts."""
        rows = torch.from_numpy(texts)
        pictures = self.picture_of[rows]
        return TrainingBatch(self.features[pictures], self.ids[rows], self.names[pictures])


def pair_table(model: ClipModel, pairs: Sequence[TrainingPair], features: Features, numbers: dict[str, int]) -> Table:
    """A text per pair; pictures are read once however many pairs they have."""
    images = {pair.image: pair.path for pair in pairs}
    row_of = {image: row for row, image in enumerate(images)}
    return Table(
        torch.from_numpy(features(list(images.values()))),
        model.tokenizer([pair.text for pair in pairs]),
        torch.tensor([row_of[pair.image] for pair in pairs]),
        torch.tensor([numbers.setdefault(image, len(numbers)) for image in images]),
    )


def pool_table(model: ClipModel, pool: Sequence[PoolPicture], features: Features, numbers: dict[str, int]) -> Table:
    """All texts of all pictures of the pool."""
    own = {picture.image: picture for picture in pool}
    return Table(
        torch.from_numpy(features([picture.path for picture in own.values()])),
        model.tokenizer([text for picture in own.values() for text in picture.texts]),
        torch.tensor([row for row, picture in enumerate(own.values()) for _ in picture.texts]),
        torch.tensor([numbers.setdefault(image, len(numbers)) for image in own]),
    )


class BatchSource:
    """The batches of a training."""

    def __init__(
        self, pairs: Table, pool: Table | None, settings: TrainSettings, *, base_texts: Tensor | None = None
    ) -> None:
        self.replay = round(settings.batch * settings.replay_share) if pool is not None else 0
        self._pairs, self._pool, self._seed = pairs, pool if self.replay else None, settings.seed
        by_steps = settings.steps is not None
        self.order = EpochOrder(len(pairs.ids), settings.batch - self.replay, settings.seed, drop_last=by_steps)
        """Of the negated pairs. Counted in epochs, their last batch may be small, as published."""
        self.steps = settings.steps or settings.epochs * self.order.per_epoch
        self._texts = _texts_by_picture(pool) if pool is not None else []
        count = len(self._texts)
        self._hard = hard_pictures(pairs, pool, base_texts, settings.hard_pictures) if base_texts is not None else None
        self._pool_order = EpochOrder(count, min(self.replay, count), settings.seed, stream=1, drop_last=True)

    def batch(self, step: int) -> TrainingBatch:
        """The batch of `step` (from 0)."""
        rows = self.order.rows(step)
        batch = self._pairs.take(rows)
        if self._hard is not None:
            batch = replace(batch, hard=self._hard.of(rows))
        return _joined(batch, self._pool.take(self._replayed(step))) if self._pool is not None else batch

    def _replayed(self, step: int) -> Rows:
        """One text of each picture whose turn it is."""
        pictures = self._pool_order.rows(step)
        rng = random.Random(f"{self._seed}-{step}")
        return np.array([rng.choice(self._texts[picture]) for picture in pictures.tolist()], dtype=np.int64)


def _joined(negated: TrainingBatch, affirmed: TrainingBatch) -> TrainingBatch:
    return TrainingBatch(
        torch.cat([negated.images, affirmed.images]),
        torch.cat([negated.ids, affirmed.ids]),
        torch.cat([negated.pictures, affirmed.pictures]),
        replay=len(affirmed.ids),
        hard=negated.hard,
    )


@dataclass(frozen=True, slots=True)
class HardPictures:
    """Pictures that a model wrongly finds for texts."""

    features: Tensor
    """(P, D) of all pictures"""
    found: Tensor
    """(T, K) rows, the best first"""

    def of(self, texts: Rows) -> Tensor:
        """Their features.  (n,) -> (n, K, D)"""
        return self.features[self.found[torch.from_numpy(texts)]]


def hard_pictures(pairs: Table, pool: Table | None, texts: Tensor, count: int) -> HardPictures | None:
    """The `count` pictures nearest to each text's base features (T, D), without the text's own picture.

    The base model does not hear the "no": what it finds for "no hat" are pictures with a hat.
    """
    tables = [pairs] if pool is None else [pairs, pool]
    names, features = torch.cat([t.names for t in tables]), torch.cat([t.features for t in tables])
    count = min(count, len(names) - 1)
    if count < 1:
        return None
    parts = []
    for rows in torch.split(torch.arange(len(texts)), 512):
        own = pairs.names[pairs.picture_of[rows]]
        scores = (texts[rows] @ features.T).masked_fill(names[None, :] == own[:, None], float("-inf"))
        parts.append(scores.topk(count, dim=1).indices)
    return HardPictures(features, torch.cat(parts))


def _texts_by_picture(pool: Table) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(len(pool.features))]
    for text, picture in enumerate(pool.picture_of.tolist()):
        found[picture].append(text)
    return found


def rate(settings: TrainSettings, step: int, steps: int) -> float:
    """The learning rate of `step`: a linear rise, then constant or a cosine to nothing."""
    warm = round(steps * settings.warm_up)
    if step < warm:
        return settings.lr * (step + 1) / warm
    if settings.schedule == "constant":
        return settings.lr
    return settings.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
