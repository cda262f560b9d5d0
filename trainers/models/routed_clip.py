"""A routed CLIP model without negwb: it needs torch, open_clip, safetensors and Pillow.

negwb copies this module and its cue finder into the folder of each routed model, as the package `routed_clip`:

    import sys
    sys.path.insert(0, "FOLDER")
    from routed_clip import RoutedClip

    model = RoutedClip("FOLDER")
    images = model.encode_images([Image.open("street.jpg")])        # (1, D), unit length
    texts = model.encode_texts(["a street", "a street without cars"])  # (2, D), unit length
    cosine = images @ texts.T

A text that negates something is encoded by the tuned text tower, any other text by the base's.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
import torch
from open_clip.tokenizer import SimpleTokenizer  # type: ignore[import-untyped]
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from curation_db.language.negation_cues import negates

_BATCH = 64


class RoutedClip:
    """The routed model of a folder; its features are unit float32 on the CPU."""

    def __init__(self, folder: str | os.PathLike[str], *, device: str = "cpu") -> None:
        base, tuned = Path(folder) / "base", Path(folder) / "tuned.safetensors"
        self.device = device
        self.base, _, self.preprocess = open_clip.create_model_and_transforms(f"local-dir:{base}", device=device)
        self.base.eval()
        visual = self.base.visual
        self.tuned = copy.deepcopy(self.base, {id(visual): visual})  # one image tower for both
        if tuned.is_file():  # absent: no weight has changed
            self.tuned.load_state_dict(load_file(tuned, device=device), strict=False)
        self.tokenizer = _tokenizer(base)

    def routes(self, texts: Sequence[str]) -> list[bool]:
        """Return for each text whether the tuned text tower encodes it."""
        return [negates(text) for text in texts]

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit features in the order of `texts`.  -> (N, D)"""
        features: list[Tensor] = []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            ids, negated = self.tokenizer(batch).to(self.device), torch.tensor(self.routes(batch))
            rows = self.base.encode_text(ids, normalize=True).float().cpu()
            if bool(negated.any()):
                tuned = self.tuned.encode_text(ids[negated.to(self.device)], normalize=True)
                rows[negated] = tuned.float().cpu()
            features.append(rows)
        return torch.cat(features) if features else torch.empty(0, 0)

    @torch.inference_mode()
    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return unit features in the order of `images`.  -> (N, D)"""
        features: list[Tensor] = []
        for start in range(0, len(images), _BATCH):
            pixels = torch.stack([self.preprocess(image) for image in images[start : start + _BATCH]])
            features.append(self.base.encode_image(pixels.to(self.device), normalize=True).float().cpu())
        return torch.cat(features) if features else torch.empty(0, 0)


def _tokenizer(folder: Path) -> Any:
    vocabulary = folder / "bpe.txt.gz"  # an extension of negwb: a vocabulary that is not CLIP's
    if not vocabulary.is_file():
        return open_clip.get_tokenizer(f"local-dir:{folder}")
    config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    length = int(config["model_cfg"]["text_cfg"].get("context_length", 77))
    return SimpleTokenizer(bpe_path=str(vocabulary), context_length=length)
