"""Reference for evaluations: the published rules, written plainly, with open_clip, torch and Pillow alone.

Each item is evaluated by itself: its image is opened for every crop, its texts are encoded one at a time with all
their positions, nothing is cached. Nothing of `trainers` or `benchmarks` is used, so the reference shares no code with
what it checks. It is the oracle of tests/benchmarks/test_published_rules.py and the reference of the bench `evaluate`.

Published rules:
    NegRefCOCOg (parkquasar/NegationCLIP): the first highest cosine of the phrase with a box's crop.
    VALSE (Heidelberg-NLP/VALSE): right if the caption has a higher cosine with the image than the foil.
    NegBench (m1k2zoo/negbench): the first highest product of the normalised features of image and captions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class PlainEvaluator:
    """Evaluates one item at a time.

    Args:
        model: CLIP of open_clip, in evaluation mode.
        preprocess: the evaluation transform of the model, from an image to pixels (3, H, W).
        tokenizer: from N texts to token ids (N, context length), padded.
    """

    def __init__(
        self, model: Any, preprocess: Callable[[Image.Image], Tensor], tokenizer: Callable[[list[str]], Tensor]
    ) -> None:
        self._model, self._preprocess, self._tokenizer = model, preprocess, tokenizer

    def box_scores(self, row: Mapping[str, Any], images: Path) -> list[float]:
        """Return the cosine of the phrase with each box of a row of NegRefCOCOg.json."""
        text = self._text(row["phrase"])
        scores = []
        for x, y, width, height in row["bbox_list"]:
            with Image.open(images / row["image"]) as image:
                crop = image.crop((x, y, x + width, y + height))
            scores.append(self._cosine(self._image(crop), text))
        return scores

    def chosen_box(self, row: Mapping[str, Any], images: Path) -> int:
        """Return the index of the box that the published rule chooses: the first of the highest."""
        return int(np.argmax(self.box_scores(row, images)))

    def caption_scores(self, image: Path, captions: Sequence[str]) -> list[float]:
        """Return the cosine of an image with each caption."""
        with Image.open(image) as opened:
            features = self._image(opened)
        return [self._cosine(features, self._text(caption)) for caption in captions]

    @torch.no_grad()
    def _image(self, image: Image.Image) -> Tensor:
        """Return unit features.  -> (1, D)"""
        return _unit(self._model.encode_image(self._preprocess(image).unsqueeze(0)))

    @torch.no_grad()
    def _text(self, text: str) -> Tensor:
        """Return unit features.  -> (1, D)"""
        return _unit(self._model.encode_text(self._tokenizer([text])))

    @staticmethod
    def _cosine(image: Tensor, text: Tensor) -> float:
        return (image @ text.T).item()


def _unit(features: Tensor) -> Tensor:
    unit: Tensor = features / features.norm(dim=-1, keepdim=True)
    return unit


def valse_is_right(scores: Sequence[float]) -> bool:
    """Return whether the caption has a higher score than the foil."""
    caption, foil = scores
    return caption > foil


def negbench_choice(scores: Sequence[float]) -> int:
    """Return the index of the first of the highest scores."""
    return int(torch.argmax(torch.tensor(scores)).item())
