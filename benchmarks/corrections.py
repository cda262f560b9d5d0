"""Corrections of a model without training: what any tuning has to beat.

`projection` removes from the embedding of a negated text a multiple of its component along the denied concept
(Aggarwal et al., ICLR 2026, OpenReview Dd86hsSam5): e* = e - s (e . d) d, with d the unit vector of the mean embedding
of the denied concepts minus that of neutral words; e* is scaled to length 1. Which words are denied is found by
`curation_db.language`. Texts that deny nothing have the embedding of the model, so tasks without negation have its
score. The strength s is chosen on a share of the items, which is then left out of the score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.errors import BenchError
from benchmarks.protocols import Protocol
from benchmarks.runner import measure
from benchmarks.scoring import TextImageEncoder
from benchmarks.task import Task
from curation_db.language.negation_cues import CUES_VERSION, find_cues

if TYPE_CHECKING:
    import torch
    from PIL import Image

STRENGTHS: Final = tuple(n / 4 for n in range(1, 11))
"""Candidates of s; 1 removes the component, 2 mirrors it."""
NEUTRAL: Final = ("thing", "object", "item", "something", "stuff", "a photo", "an image", "a picture")
TUNING_SHARE: Final = 0.1
"""Share of the clusters of a task on which the strength is chosen."""
_CODE: Final = "1"
"""Raised if an equal strength gives another embedding."""
_RULE: Final = Protocol("strict", allow_nan=True)


def denied_concepts(text: str) -> list[str]:
    """Return the phrases that the text denies, as "hat" in "a man without a hat"."""
    spans = (cue.concept_span for cue in find_cues(text))
    return [text[start:end] for start, end in filter(None, spans)]


@dataclass(frozen=True)
class _Projection:
    """The embeddings of negated texts; images are those of `model`."""

    model: TextImageEncoder
    strength: float

    @property
    def model_hash(self) -> str:
        parts = ("projection", _CODE, str(CUES_VERSION), repr(self.strength), *NEUTRAL, self.model.model_hash)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def visual_hash(self) -> str:
        return self.model.visual_hash

    def describe(self) -> Mapping[str, Any]:
        return {**self.model.describe(), "model_hash": self.model_hash}

    def encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        return self.model.encode_images(images)

    @cached_property
    def _neutral(self) -> torch.Tensor:
        return self.model.encode_texts(NEUTRAL).mean(dim=0)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the corrected features of texts that deny something.  -> (N, D) float32, unit rows"""
        import torch  # noqa: PLC0415 -- a second, which listing the tasks does not need

        features = self.model.encode_texts(texts)
        denied = [denied_concepts(text) for text in texts]
        flat = list(dict.fromkeys(concept for concepts in denied for concept in concepts))
        of_concept = dict(zip(flat, self.model.encode_texts(flat), strict=True))
        rows = []
        for feature, concepts in zip(features, denied, strict=True):
            direction = torch.stack([of_concept[concept] for concept in concepts]).mean(dim=0) - self._neutral
            direction = torch.nn.functional.normalize(direction, dim=0)
            rows.append(feature - self.strength * (feature @ direction) * direction)
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)


@dataclass(frozen=True)
class ProjectedEncoder:
    """A model whose negated texts are corrected; a `benchmarks.scoring.RoutedEncoder`, so its parts share the cache."""

    base: TextImageEncoder
    strength: float
    chosen_on: str = ""
    """The items on which the strength was chosen, in words."""
    tuned: _Projection = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tuned", _Projection(self.base, self.strength))

    def routes(self, texts: Sequence[str]) -> list[bool]:
        """Return for each text whether it denies a concept."""
        return [bool(denied_concepts(text)) for text in texts]

    @property
    def model_hash(self) -> str:
        return self.tuned.model_hash

    @property
    def visual_hash(self) -> str:
        return self.base.visual_hash

    def describe(self) -> Mapping[str, Any]:
        described = dict(self.base.describe())
        correction = {"kind": "projection", "strength": self.strength, "chosen_on": self.chosen_on}
        return {**described, "model_hash": self.model_hash, "correction": correction}

    def encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        return self.base.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit features.  -> (N, D) float32"""
        features = self.base.encode_texts(texts)
        if negated := [place for place, corrected in enumerate(self.routes(texts)) if corrected]:
            features = features.clone()
            features[negated] = self.tuned.encode_texts([texts[place] for place in negated])
        return features


def tuning_split(task: Task, *, share: float = TUNING_SHARE, seed: int = 0) -> tuple[Task, Task]:
    """Return the items to choose on and the items to score; the items of a cluster stay together.

    Raises:
        BenchError: The task has too few clusters for both.
    """
    chosen = {
        item.cluster
        for item in task.items
        if int.from_bytes(hashlib.sha256(f"{seed}\0{item.cluster}".encode()).digest()[:8]) < share * 2**64
    }
    parts = [tuple(item for item in task.items if (item.cluster in chosen) is wanted) for wanted in (True, False)]
    if not all(parts):
        raise BenchError(f"{task.name}: {len(task.items)} items are too few to choose a strength on some of them")
    tuning, scored = (replace(task, items=items) for items in parts)
    return tuning, scored


def choose_strength(
    model: TextImageEncoder,
    tuning: Task,
    *,
    cache: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> ProjectedEncoder:
    """Return the correction with the most right answers on `tuning`; of equal strengths the smallest."""
    chosen_on = f"{len(tuning.items):,} items of {tuning.name}"
    best = None
    for strength in STRENGTHS:
        candidate = ProjectedEncoder(model, strength, chosen_on)
        metrics = measure(candidate, tuning, protocol=_RULE, cache_folder=cache, progress=progress)
        right = next(iter(metrics.values()))["correct"]
        if best is None or right > best[0]:
            best = right, candidate
    assert best is not None
    return best[1]
