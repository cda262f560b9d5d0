"""Hard images: further negatives of a negated text, which the base model retrieves in spite of the negation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.data.dataset import Rows
from trainers.data.possible_matches import Matches, PossibleMatches
from trainers.data.training_data import Tables, TrainingData, facts_of_images
from trainers.loop.batches import Table
from trainers.models.clip_model import ClipModel
from trainers.settings import TrainSettings

_CHUNK = 512
"""Texts per matrix product."""
_NONE = Matches(frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class HardImages:
    """Images that the base model wrongly retrieves for negated texts."""

    features: Tensor
    """(P, D) of all images"""
    rows: Tensor
    """(T, K) rows in `features`, the best first; -1 where a text has fewer"""
    by_decision: int = 0
    """Images among the nearest K of a text that were left out as possible matches by a decision; over all texts."""
    by_words: int = 0
    """The same by the words of captions."""

    def of(self, texts: Rows) -> tuple[Tensor, Tensor | None]:
        """Return the features (n, K, D) of the images for these text rows, and the mask (n, K) of absent images."""
        rows = self.rows[torch.from_numpy(texts)]
        absent = rows < 0
        return self.features[rows.clamp(min=0)], absent if absent.any() else None

    def summary(self) -> dict[str, int]:
        """Return the counts for done.json."""
        return {
            "wanted": self.rows.numel(),
            "found": int((self.rows >= 0).sum()),
            "left_out_by_decisions": self.by_decision,
            "left_out_by_words": self.by_words,
        }


def hard_candidates(pairs: Table, pool: Table | None) -> tuple[Tensor, Tensor]:
    """Return the numbers (P,) and the features (P, D) of all images, each once."""
    tables = [pairs] if pool is None else [pairs, pool]
    names, features = torch.cat([t.names for t in tables]), torch.cat([t.features for t in tables])
    first = {name: row for row, name in reversed(list(enumerate(names.tolist())))}
    rows = torch.tensor(sorted(first.values()))
    return names[rows], features[rows]


def hard_images_of(settings: TrainSettings, model: ClipModel, data: TrainingData, loaded: Tables) -> HardImages | None:
    """Find the hard images of the training pairs with the base model; None where the settings ask for none."""
    if not settings.hard_pictures:
        return None
    names, features = hard_candidates(loaded.train, loaded.pool)
    facts = facts_of_images(data)
    matches = PossibleMatches([facts[loaded.images[name]] for name in names.tolist()])
    return find_hard_images(
        loaded.train,
        names,
        features,
        model.text_tower.encode_all(loaded.train.ids),
        settings.hard_pictures,
        lambda row: matches.of(data.train[row].text, data.train[row].concept),
    )


def find_hard_images(
    pairs: Table,
    names: Tensor,
    features: Tensor,
    texts: Tensor,
    count: int,
    matches_of: Callable[[int], Matches] = lambda row: _NONE,
) -> HardImages | None:
    """Return the `count` images nearest to each text, without its own image and those that it may be true of.

    The base model ignores the "no": for "no hat" it retrieves images with a hat.

    Args:
        pairs: the negated texts with their images.
        names: numbers of the images (`Table.names`).  (P,)
        features: of the images.  (P, D)
        texts: features of the negated texts from the base model.  (T, D)
        count: images per text.
        matches_of: from the row of a text to the rows of the images to leave out.
    """
    count = min(count, len(names) - 1)
    if count < 1:
        return None
    parts, left_out = [], [0, 0]
    for rows in torch.split(torch.arange(len(texts)), _CHUNK):
        own = pairs.names[pairs.image_rows[rows]]
        scores = (texts[rows] @ features.T).masked_fill(names[None, :] == own[:, None], float("-inf"))
        nearest = scores.topk(count, dim=1).indices
        for kind, mask in enumerate(_masks([matches_of(row) for row in rows.tolist()], len(names))):
            hidden = mask & (scores > float("-inf"))
            left_out[kind] += int(hidden.gather(1, nearest).sum())
            scores = scores.masked_fill(hidden, float("-inf"))
        best = scores.topk(count, dim=1)
        parts.append(best.indices.masked_fill(best.values == float("-inf"), -1))
    return HardImages(features, torch.cat(parts), *left_out)


def _masks(matches: Sequence[Matches], count: int) -> tuple[Tensor, Tensor]:
    """Return the images to leave out by decisions and by words.  (n, P) bool each"""
    by_decision, by_words = (torch.zeros(len(matches), count, dtype=torch.bool) for _ in range(2))
    for row, match in enumerate(matches):
        by_decision[row, list(match.by_decision)] = True
        by_words[row, list(match.by_words)] = True
    return by_decision, by_words
