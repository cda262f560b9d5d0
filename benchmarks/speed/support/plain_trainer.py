"""Reference for trainings: the published fine-tuning loop, written plainly, with open_clip, torch and Pillow alone.

Every step decodes and encodes its images again and encodes all positions of its texts. Nothing of `trainers` is used,
so the reference shares no code with what it checks. It is the oracle of tests/trainers/test_plain_loop.py and the
reference of the bench `train`.

Source of the loop: parkquasar/NegationCLIP, src/clip_finetune.py (see trainers/recipes/negationclip.toml).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

FROZEN = ("visual.", "ln_final.")
"""Prefixes of the weights that the published loop freezes; it trains all others, logit_scale too."""


@dataclass(frozen=True, slots=True)
class ImageText:
    """A training pair."""

    image: Path
    text: str


class PlainTrainer:
    """Trains `model` in place.

    Args:
        model: CLIP of open_clip.
        preprocess: the evaluation transform of the model, from an RGB image to pixels (3, H, W).
        tokenizer: from N texts to token ids (N, context length), padded.
    """

    def __init__(
        self,
        model: Any,
        preprocess: Callable[[Image.Image], Tensor],
        tokenizer: Callable[[list[str]], Tensor],
        *,
        lr: float = 1e-6,
    ) -> None:
        self.model, self._preprocess, self._tokenizer = model, preprocess, tokenizer
        for name, weight in model.named_parameters():
            weight.requires_grad_(not name.startswith(FROZEN))
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, lr=lr)

    def step(self, batch: Sequence[ImageText]) -> float:
        """Take one step; return its loss."""
        images = torch.stack([self._preprocess(_decode(pair.image)) for pair in batch])  # (N, 3, H, W)
        with torch.no_grad():
            image_features = self.model.encode_image(images)  # (N, D)
        text_features = self.model.encode_text(self._tokenizer([pair.text for pair in batch]))  # (N, D)
        image_features = image_features / image_features.norm(dim=-1, keepdim=True)
        text_features = text_features / text_features.norm(dim=-1, keepdim=True)
        logits = self.model.logit_scale.exp() * image_features @ text_features.T  # (N, N)
        target = torch.arange(len(batch))
        loss = (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.item()


def _decode(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def key_bias_removed(name: str, value: Tensor) -> Tensor:
    """Return the weights without the bias of the attention keys.

    Softmax cancels this bias, so its true gradient is 0, and Adam turns its rounding errors into steps of full size.
    """
    if not name.endswith("in_proj_bias"):
        return value
    query, _, values = value.chunk(3)
    return torch.cat([query, values])


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Return the Euclidean distance of two states of a model, without the bias of the attention keys.

    Raises:
        ValueError: The states have different names.
    """
    if one.keys() != other.keys():
        raise ValueError(f"only one of the states has {sorted(one.keys() ^ other.keys())}")
    parts = [key_bias_removed(name, one[name].double() - other[name].double()) for name in one]
    return float(torch.sqrt(sum((part.square().sum() for part in parts), torch.zeros((), dtype=torch.float64))))
