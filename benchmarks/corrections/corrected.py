"""A model that encodes the texts without a negation as its base does, bit for bit, and the others with a correction.

So tasks without negation have the score of the base, whatever the correction does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.scoring import ModelIdentity, TextImageEncoder

if TYPE_CHECKING:
    import torch
    from PIL import Image


@dataclass(frozen=True)
class IdentifiedModel:
    """A model whose hashes are computed once: a second each for the weights of CLIP, and every score needs them."""

    model: TextImageEncoder
    identity: ModelIdentity

    @classmethod
    def of(cls, model: TextImageEncoder) -> IdentifiedModel:
        return model if isinstance(model, cls) else cls(model, ModelIdentity.of(model))

    @property
    def model_hash(self) -> str:
        return self.identity.model_hash

    @property
    def visual_hash(self) -> str:
        return self.identity.visual_hash

    def describe(self) -> Mapping[str, Any]:
        return self.identity.description

    def encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        return self.model.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return self.model.encode_texts(texts)


@dataclass(frozen=True)
class RememberingModel(IdentifiedModel):
    """Encodes each text once. The last bits of a feature depend on its batch, and can differ from those of `model`."""

    seen: dict[str, torch.Tensor] = field(default_factory=dict)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        import torch  # noqa: PLC0415 -- a second, which listing the tasks does not need

        if new := [text for text in dict.fromkeys(texts) if text not in self.seen]:
            self.seen.update(zip(new, self.model.encode_texts(new), strict=True))
        return torch.stack([self.seen[text] for text in texts])


@dataclass(frozen=True)
class CorrectedTexts:
    """The corrected part: `encode` gives the features of the texts that are corrected; images are those of `base`."""

    base: IdentifiedModel
    model_hash: str
    encode: Callable[[Sequence[str]], torch.Tensor]

    @property
    def visual_hash(self) -> str:
        return self.base.visual_hash

    def describe(self) -> Mapping[str, Any]:
        return {**self.base.describe(), "model_hash": self.model_hash}

    def encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        return self.base.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return self.encode(texts)


@dataclass(frozen=True)
class CorrectedEncoder:
    """A base with corrected texts; a `benchmarks.scoring.RoutedEncoder`, so that its parts share the cache."""

    base: IdentifiedModel
    tuned: TextImageEncoder
    """Encodes the texts that are corrected."""
    corrects: Callable[[str], bool]
    correction: Mapping[str, Any]
    """The kind, its parameters, and the items on which these were chosen, as JSON types."""
    model_hash: str
    details: Mapping[str, Any] = field(default_factory=dict)
    """Entries of the description that replace those of the base."""

    @property
    def strength(self) -> float:
        """0: the model is its base."""
        return float(self.correction.get("strength", 1))

    def routes(self, texts: Sequence[str]) -> list[bool]:
        """Return for each text whether it is corrected."""
        return [self.strength != 0 and self.corrects(text) for text in texts]

    @property
    def visual_hash(self) -> str:
        return self.base.visual_hash

    def describe(self) -> Mapping[str, Any]:
        return {
            **self.base.describe(),
            **self.details,
            "model_hash": self.model_hash,
            "correction": dict(self.correction),
        }

    def encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        return self.base.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit features.  -> (N, D) float32"""
        features = self.base.encode_texts(texts)
        if corrected := [place for place, routed in enumerate(self.routes(texts)) if routed]:
            features = features.clone()
            features[corrected] = self.tuned.encode_texts([texts[place] for place in corrected])
        return features


Candidate = Callable[[IdentifiedModel], CorrectedEncoder]
"""A correction with its parameters, of any model."""
