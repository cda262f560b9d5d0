"""Counterparts of negated pairs for the objective `conclip`: images that show the denied concept, with a caption.

In CoN-CLIP (arXiv 2403.20312), a negated caption denies what its image shows, and a distractor image, retrieved later,
is the match of the negated caption. Here the pair was accepted, so its own image is that match; what is retrieved is
the other image, which shows the concept, and its caption. The published choice is the first of a list of images for
each pair; how the list was computed is not published.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from trainers.data.dataset import Rows
from trainers.data.possible_matches import PossibleMatches, negated_concept
from trainers.data.training_data import Tables, TrainingData, facts_of_images
from trainers.errors import RunRefused
from trainers.loop.batches import Table
from trainers.models.clip_model import ClipModel
from trainers.settings import TrainSettings

_CHUNK = 512
"""Texts per matrix product."""


@dataclass(frozen=True, slots=True)
class Counterparts:
    """For each training pair, a caption of another image that shows the denied concept."""

    texts: Rows
    """(T,) row of the caption in the table of the pool; -1 where a pair has none"""
    image_rows: Tensor
    """(C,) row of the image of each caption of that table"""

    def of(self, pairs: Rows) -> Rows:
        """Return the captions of the counterparts of these pairs, one for each image.  (n,) -> (m,), m <= n"""
        texts = self.texts[pairs]
        texts = texts[texts >= 0]
        _, first = np.unique(self.image_rows.numpy()[texts], return_index=True)
        return texts[np.sort(first)]

    def summary(self) -> dict[str, int]:
        """Return the counts for done.json."""
        used = self.texts[self.texts >= 0]
        images = np.unique(self.image_rows.numpy()[used])
        return {"pairs": len(self.texts), "with_counterpart": len(used), "images": len(images)}


def counterparts_of(
    settings: TrainSettings, model: ClipModel, data: TrainingData, loaded: Tables
) -> Counterparts | None:
    """Find the counterparts of the training pairs with the base model; None where the objective uses none.

    Raises:
        RunRefused: no pair has one.
    """
    if settings.objective != "conclip":
        return None
    pool = data.pool or ()
    facts = facts_of_images(data)
    captions = PossibleMatches([replace(facts[image.image], captions=[text]) for image in pool for text in image.texts])
    concepts = [negated_concept(pair.text, pair.concept) for pair in data.train]
    counterparts = None
    if loaded.pool is not None:
        showing = {concept: captions.showing(concept) for concept in set(concepts) if concept is not None}
        candidates = [showing.get(concept, frozenset()) if concept else frozenset[int]() for concept in concepts]
        counterparts = find_counterparts(
            loaded.train, loaded.pool, model.text_tower.encode_all(loaded.train.ids), candidates
        )
    if counterparts is None or (counterparts.texts < 0).all():
        hint = "set replay_pool to images with captions, or use another objective"
        raise RunRefused("no caption names a concept that a training pair denies, as conclip needs", hint=hint)
    return counterparts


def find_counterparts(pairs: Table, pool: Table, texts: Tensor, candidates: Sequence[frozenset[int]]) -> Counterparts:
    """Choose for each negated text, among its candidates, the image that the base model retrieves first.

    The base model ignores the "no": for "a dog without a hat" it retrieves a dog with a hat.

    Args:
        pairs: the negated texts with their images.
        pool: images with captions, of which `candidates` are the rows.
        texts: features of the negated texts from the base model.  (T, D)
        candidates: for each text, the captions that affirm the denied concept.
    """
    chosen = np.full(len(texts), -1)
    groups: dict[frozenset[int], list[int]] = defaultdict(list)
    for row, captions in enumerate(candidates):
        if captions:
            groups[captions].append(row)
    for captions, rows in groups.items():
        ordered = torch.tensor(sorted(captions))
        images, first = np.unique(pool.image_rows[ordered].numpy(), return_index=True)
        names, features = pool.names[images], pool.features[images]
        for part in torch.split(torch.tensor(rows), _CHUNK):
            own = pairs.names[pairs.image_rows[part]]
            scores = (texts[part] @ features.T).masked_fill(names[None, :] == own[:, None], float("-inf")).numpy()
            best = scores.argmax(axis=1)  # of equal scores the first
            exists = scores.max(axis=1) > float("-inf")
            chosen[part.numpy()[exists]] = ordered.numpy()[first[best[exists]]]
    return Counterparts(chosen, pool.image_rows)
