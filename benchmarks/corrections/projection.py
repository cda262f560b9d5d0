"""Projection: removes from the embedding of a negated text a multiple of its component along the denied concept.

Aggarwal et al., ICLR 2026, OpenReview Dd86hsSam5: e* = e - s (e . d) d, with d the unit vector of the mean embedding of
the denied concepts minus that of neutral words; e* is scaled to length 1. `curation_db.language` finds the concepts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from benchmarks.corrections.corrected import Candidate, CorrectedEncoder, CorrectedTexts, IdentifiedModel
from benchmarks.corrections.kind import CorrectionKind
from benchmarks.scoring import TextImageEncoder
from curation_db.language.negation_cues import CUES_VERSION, find_cues

if TYPE_CHECKING:
    import torch

STRENGTHS: Final = (*(n / 4 for n in range(11)), 3.0, 4.0, 6.0, 8.0)
"""Candidates of s; 0 changes nothing, 1 removes the component, 2 mirrors it. With 8, little is left of the text but the
absence of the concept. The authors chose 1.9 for CLIP, and 0.3 for a tuned model."""
NEUTRAL: Final = ("thing", "object", "item", "something", "stuff", "a photo", "an image", "a picture")
_CODE: Final = "1"
"""Raised if an equal strength gives another embedding."""


def denied_concepts(text: str) -> list[str]:
    """Return the phrases that the text denies, as "hat" in "a man without a hat"."""
    spans = (cue.concept_span for cue in find_cues(text))
    return [text[start:end] for start, end in filter(None, spans)]


def project(model: TextImageEncoder, *, strength: float, chosen_on: str = "") -> CorrectedEncoder:
    """Return `model` with the projection; texts in which no denied concept is found stay as they are.

    Args:
        chosen_on: The items on which the strength was chosen, in words.
    """
    base = IdentifiedModel.of(model)
    parts = ("projection", _CODE, str(CUES_VERSION), repr(strength), *NEUTRAL, base.model_hash)
    model_hash = hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @cache
    def neutral() -> torch.Tensor:
        return base.encode_texts(NEUTRAL).mean(dim=0)

    def encode(texts: Sequence[str]) -> torch.Tensor:
        return _projected(base, neutral(), texts, strength)

    correction = {
        "kind": CorrectionKind.PROJECTION.value,
        "strength": strength,
        "largest": strength == STRENGTHS[-1],
        "chosen_on": chosen_on,
    }
    tuned = CorrectedTexts(base, model_hash, encode)
    return CorrectedEncoder(base, tuned, lambda text: bool(denied_concepts(text)), correction, model_hash)


def _projected(model: TextImageEncoder, neutral: torch.Tensor, texts: Sequence[str], strength: float) -> torch.Tensor:
    """Return the corrected features of texts that deny something.  -> (N, D) float32, unit rows"""
    import torch  # noqa: PLC0415 -- a second, which listing the tasks does not need

    features = model.encode_texts(texts)
    denied = [denied_concepts(text) for text in texts]
    flat = list(dict.fromkeys(concept for concepts in denied for concept in concepts))
    of_concept = dict(zip(flat, model.encode_texts(flat), strict=True))
    rows = []
    for feature, concepts in zip(features, denied, strict=True):
        direction = torch.stack([of_concept[concept] for concept in concepts]).mean(dim=0) - neutral
        direction = torch.nn.functional.normalize(direction, dim=0)
        rows.append(feature - strength * (feature @ direction) * direction)
    return torch.nn.functional.normalize(torch.stack(rows), dim=1)


def projections(chosen_on: str) -> list[Candidate]:
    """Return the candidates to choose from, the smallest strength first."""
    return [partial(project, strength=strength, chosen_on=chosen_on) for strength in STRENGTHS]
