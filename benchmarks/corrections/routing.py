"""Routing: a tuned model whose base encodes the texts that negate nothing (`trainers.models.routed`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.corrections.corrected import CorrectedEncoder, IdentifiedModel
from benchmarks.corrections.kind import CorrectionKind
from curation_db.language.negation_cues import negates

if TYPE_CHECKING:
    from trainers.models.clip_model import ClipModel


def route(base: ClipModel, tuned: ClipModel) -> CorrectedEncoder:
    """Return `tuned`, with the embeddings of `base` for the texts that negate nothing.

    It has the hash and the description of the model that `negwb model route` saves.

    Raises:
        TrainerError: One of them is routed already, or they differ in more than the weights of the text tower.
    """
    from trainers.models.routed import route_models  # noqa: PLC0415 -- imports torch

    described = route_models(base, tuned).describe()
    return CorrectedEncoder(
        IdentifiedModel.of(base),
        IdentifiedModel.of(tuned),
        negates,
        {"kind": CorrectionKind.ROUTE.value},
        described["model_hash"],
        {name: described[name] for name in ("name", "parameters", "routed")},
    )
