"""A routed model: the base's text tower, the tuned text tower, and the cue finder that chooses one of them per text.

A text that negates nothing has the embedding of the base bit for bit, so a task without negation has the base's score.
The image tower is the same in both, and it is stored and encoded once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from curation_db.language.negation_cues import CUES_VERSION, negates
from trainers.errors import TrainerError
from trainers.models.clip_model import ClipModel, hash_of


@dataclass(eq=False)
class RoutedClipModel(ClipModel):
    """Two models with one image tower; `model` and the configuration are those of the base.

    It has no `text_tower`, because token ids do not show a cue: it encodes texts only, and cannot be trained.
    """

    base: ClipModel = field(kw_only=True)
    """Encodes the texts that negate nothing."""
    tuned: ClipModel = field(kw_only=True)
    """Encodes the texts that negate something."""

    def __post_init__(self) -> None:
        """Leave `text_tower` unset: a caller that has only token ids must fail."""

    @property
    def model_hash(self) -> str:
        """sha256 over both models and the version of the cue finder."""
        return hash_of("routed", self.base.model_hash, self.tuned.model_hash, CUES_VERSION)

    def to_device(self, device: str) -> None:
        self.base.to_device(device)
        self.tuned.to_device(device)

    def routes(self, texts: Sequence[str]) -> list[bool]:
        """Return for each text whether the tuned text tower encodes it."""
        return [negates(text) for text in texts]

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features.  -> (N, D) float32, CPU

        The row of a text that negates nothing equals bit for bit the one of `base.encode_texts(texts)`: the last bits
        of a row depend on the other rows of its batch, so the base encodes the same batches, except those that only
        have texts with a negation. The other rows equal those of `tuned` up to such rounding.
        """
        negated = torch.tensor(self.routes(texts), dtype=torch.bool)
        if bool(negated.all()):  # also without any text
            return self.tuned.encode_texts(texts)
        ids = self.base.tokenizer(list(texts))
        features = self.base.text_tower.encode_all(ids, wanted=~negated)
        if bool(negated.any()):
            features[negated] = self.tuned.text_tower.encode_all(ids[negated])
        return features

    def describe(self) -> dict[str, Any]:
        """Return the description of the base with the hash of this model, and the parts under "routed"."""
        base, tuned = self.base.describe(), self.tuned.model_hash
        return base | {
            "name": self.name,
            "parameters": base["parameters"] + sum(value.numel() for value in _text_weights(self.tuned).values()),
            "model_hash": hash_of("routed", base["model_hash"], tuned, CUES_VERSION),
            "routed": {"base": base["model_hash"], "tuned": tuned, "cues_version": CUES_VERSION},
        }


def route_models(base: ClipModel, tuned: ClipModel, *, name: str = "") -> RoutedClipModel:
    """Combine `base` and `tuned` into one model; both stay usable. The image tower of `base` is used for both.

    Raises:
        TrainerError: one of them is routed, or they differ in more than the weights of the text tower.
    """
    for part in (base, tuned):
        if isinstance(part, RoutedClipModel):
            raise TrainerError(f"{part.name} is routed already", hint="name the two models that it was made of")
    _check_fit(base, tuned)
    return RoutedClipModel(
        name or tuned.name,
        base.arch,
        base.config,
        base.model,
        base.tokenizer,
        base.preprocess,
        base.preprocess_config,
        base.vocabulary,
        base.precision,
        tuple(dict.fromkeys((*base.warnings, *tuned.warnings))),
        base=base,
        tuned=tuned,
    )


def _check_fit(base: ClipModel, tuned: ClipModel) -> None:
    same = {
        "structure": shapes(base) == shapes(tuned) and base.activation == tuned.activation,
        "vocabulary": _vocabulary(base) == _vocabulary(tuned),
        "image tower": base.visual_hash == tuned.visual_hash,
    }
    if differing := [what for what, equal in same.items() if not equal]:
        raise TrainerError(
            f"{base.name} and {tuned.name} cannot be routed: they differ in their {differing[0]}",
            hint="the base must be the model that the training started from",
        )


def shapes(model: ClipModel) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights by name."""
    return {name: tuple(value.shape) for name, value in model.model.state_dict().items()}


def _vocabulary(model: ClipModel) -> tuple[bytes, int]:
    return model.vocabulary.read_bytes() if model.vocabulary else b"", model.context_length


def _text_weights(model: ClipModel) -> dict[str, Tensor]:
    return {name: value for name, value in model.model.named_parameters() if not name.startswith("visual.")}


def changed_weights(base: ClipModel, tuned: ClipModel) -> dict[str, Tensor]:
    """Return the weights of `tuned` that differ from those of `base`, on the CPU."""
    before = base.model.state_dict()
    return {
        name: value.detach().cpu().contiguous()
        for name, value in tuned.model.state_dict().items()
        if not torch.equal(value.cpu(), before[name].cpu())
    }


def with_weights(base: ClipModel, changed: dict[str, Tensor], *, name: str) -> ClipModel:
    """Return a model with the image tower of `base` itself, and its other weights with `changed` in their place."""
    model = copy.deepcopy(base.model, {id(base.model.visual): base.model.visual})
    model.load_state_dict(changed, strict=False)
    return ClipModel(
        name,
        base.arch,
        base.config,
        model,
        base.tokenizer,
        base.preprocess,
        base.preprocess_config,
        base.vocabulary,
        base.precision,
        base.warnings,
    )
