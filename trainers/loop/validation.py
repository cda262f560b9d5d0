"""Validation of a training: losses and retrieval on the validation pairs, and the guard on affirmative captions.

The guard measures what a training must not lose: retrieval with the original captions of the validation images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.data.dataset import Rows
from trainers.loop.batches import Table
from trainers.loop.objectives import info_nce, same_image
from trainers.models.clip_model import ClipModel
from trainers.run_files import GUARD_IMAGE_TO_TEXT, GUARD_TEXT_TO_IMAGE, VALIDATION_KEYS, Criterion
from trainers.settings import TrainSettings

_CHUNK = 512
"""Queries per matrix product of a retrieval."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Result of one validation."""

    loss: float
    """As in training: masked only with `same_image_mask`."""
    masked_loss: float
    """Loss in which texts of one image are not negatives of each other."""
    recall_at_1: float
    """Share of the validation texts whose image is retrieved first among all validation images."""
    guard: tuple[float, float] | None = None
    """R@1 from text to image and from image to text on affirmative captions; None without original captions."""

    def value(self, criterion: Criterion) -> float:
        return {"loss": self.loss, "masked_loss": self.masked_loss, "recall_at_1": self.recall_at_1}[criterion]

    def to_row(self) -> dict[str, float]:
        """Return the fields of metrics.jsonl and done.json."""
        row = {key: self.value(criterion) for criterion, key in VALIDATION_KEYS.items()}
        if self.guard is not None:
            row |= dict(zip((GUARD_TEXT_TO_IMAGE, GUARD_IMAGE_TO_TEXT), self.guard, strict=True))
        return row


class Validator:
    """Measures a model on the validation pairs in the order of their table, which is shuffled (`training_data`)."""

    def __init__(self, pairs: Table, captions: Table | None, settings: TrainSettings) -> None:
        """
        Args:
            pairs: the validation pairs.
            captions: validation images with their original captions; None: no guard.
            settings: recipe, for the batch size, the mask and the kind of split.
        """
        self._pairs, self._settings = pairs, settings
        self._texts = _Relevance(pairs)
        self._captions = None if captions is None else _Relevance(captions)

    @torch.no_grad()
    def measure(self, model: ClipModel) -> Validation:
        """Return the measurements of `model` with its present weights."""
        loss = masked_loss = 0.0
        scale, features = model.model.logit_scale.exp(), []
        for rows, weight in self._batches():
            batch = self._pairs.take(rows)
            images, texts = batch.images.to(model.device), model.text_tower(batch.ids.to(model.device))
            mask = same_image(batch.image_ids.to(model.device))
            masked = info_nce(images, texts, scale, mask=mask).item()
            masked_loss += weight * masked
            loss += weight * (masked if self._settings.same_image_mask else info_nce(images, texts, scale).item())
            features.append(texts)
        recall, _ = self._texts.recall(torch.cat(features)[self._texts.first.to(model.device)])
        return Validation(loss, masked_loss, recall, self.guard(model))

    @property
    def guard_images(self) -> int:
        """Number of images of the guard; 0 without guard."""
        return 0 if self._captions is None else self._captions.images

    def guard(self, model: ClipModel) -> tuple[float, float] | None:
        """Return R@1 from text to image and from image to text on affirmative captions; None without captions."""
        if self._captions is None:
            return None
        return self._captions.recall(model.text_tower.encode_all(self._captions.ids))

    def _batches(self) -> Iterator[tuple[Rows, float]]:
        """Yield the rows and the weight of each batch.

        With a split by caption, batches and their mean are those of the published code: only the last batch is smaller,
        and all batches have the same weight. Otherwise batches are of equal size, weighted by their rows.
        """
        count, size = len(self._pairs.ids), self._settings.batch
        rows = np.arange(count)
        if self._settings.split == "caption":
            parts = [rows[start : start + size] for start in range(0, count, size)]
            yield from ((part, 1 / len(parts)) for part in parts)
        else:
            parts = np.array_split(rows, -(-count // size))
            yield from ((part, len(part) / count) for part in parts)


class _Relevance:
    """Distinct texts of a table and the images that they belong to: equal texts are one query."""

    def __init__(self, table: Table) -> None:
        _, first, text_of = np.unique(table.ids.numpy(), axis=0, return_index=True, return_inverse=True)
        self.first = torch.from_numpy(first)
        """(U,) row of the first occurrence of each distinct text"""
        self.ids = table.ids[self.first]
        """(U, L) token ids of the distinct texts"""
        self._images = table.features
        self.images = len(table.features)
        self._pairs = torch.stack([torch.from_numpy(text_of.reshape(-1)), table.image_rows], dim=1)  # (T, 2)

    def recall(self, texts: Tensor) -> tuple[float, float]:
        """Return R@1 from text to image and from image to text.

        Args:
            texts: unit features of the distinct texts.  (U, D)
        """
        images = self._images.to(texts)
        return recall_at_1(texts, images, self._pairs), recall_at_1(images, texts, self._pairs.flip(1))


def recall_at_1(queries: Tensor, keys: Tensor, relevant: Tensor) -> float:
    """Return the share of queries whose best relevant key scores higher than all other keys; a tie is wrong.

    Args:
        queries: unit features.  (Q, D)
        keys: unit features.  (K, D)
        relevant: rows (query, key) that belong together; each query has one or more.  (R, 2)
    """
    hits = 0
    for start in range(0, len(queries), _CHUNK):
        scores = queries[start : start + _CHUNK] @ keys.T
        pairs = relevant[(relevant[:, 0] >= start) & (relevant[:, 0] < start + _CHUNK)].to(scores.device)
        own = torch.zeros_like(scores, dtype=torch.bool)
        own[pairs[:, 0] - start, pairs[:, 1]] = True
        best, other = (scores.masked_fill(hidden, float("-inf")).amax(dim=1) for hidden in (~own, own))
        hits += int((best > other).sum())
    return hits / len(queries)
