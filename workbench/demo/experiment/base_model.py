"""Trains the demo's tiny CLIP on affirmative captions of drawn scenes; the model never reads a negation.

Run as `python -m workbench.demo.experiment.base_model --out FOLDER`; it takes about six minutes. With one thread the
same machine gives the same bytes, another machine the same figures within two points (`TOLERANCE`). The folder is an
open_clip local-dir (config, fp16 weights) with a vocabulary and the measured figures (metrics.json).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip import CLIP  # type: ignore[import-untyped]
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD  # type: ignore[import-untyped]
from open_clip.tokenizer import SimpleTokenizer  # type: ignore[import-untyped]
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from trainers.models.loading import load_model
from trainers.models.text_tower import TextTower
from workbench import demo
from workbench.demo.experiment.exam import exam_accuracies
from workbench.demo.experiment.vocabulary import write_vocabulary
from workbench.demo.world.captions import TRAINING_NAMING, write_caption
from workbench.demo.world.drawing import SMALL, draw_large, draw_small
from workbench.demo.world.world import Scene, make_scene

FOLDER = Path(demo.__file__).with_name("model")
"""Folder of the shipped model."""
TOLERANCE = 2.0
"""Percentage points by which the figures may differ on another machine (observed: 1.8 of R@1)."""
WORLD = 7100
"""Scenes of the base model have seeds from 7,100,000,000 on, which no other part of the demo uses."""
MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": SMALL, "layers": [1, 1, 1, 1], "width": 8},
    "text_cfg": {"context_length": 40, "vocab_size": 0, "width": 96, "heads": 3, "layers": 2},
}
"""vocab_size is set from the vocabulary; the longest negated caption has 33 tokens."""


@dataclass(frozen=True, slots=True)
class BaseRecipe:
    """Settings of the base model's training."""

    pictures: int = 20_000
    epochs: int = 11
    batch: int = 128
    lr: float = 2e-3
    weight_decay: float = 0.05
    warm_up: float = 0.1
    """Share of the steps with a rising learning rate; a cosine to 0 follows."""
    naming: float = TRAINING_NAMING
    plain: float = 0.3
    """Share of the images on a plain background; the others have a backdrop, like the images for annotators."""
    seed: int = 0


def base_scene(index: int) -> Scene:
    """Return scene `index` of the base model's images."""
    return make_scene(WORLD * 1_000_000 + index, things=(1, 6))


def small_image(scene: Scene, *, plain: bool) -> Image.Image:
    """Draw the scene at 64 pixels per instance, on a plain background or in its setting."""
    return draw_small(scene) if plain else draw_large(scene, SMALL)


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """Stack images of one size.  -> (N, 3, H, W) uint8"""
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)


def normalised(pixels: Tensor) -> Tensor:
    """Normalise pixels as the model's preprocessing does.  (N, 3, H, W) uint8 -> float32"""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def new_model(vocab_size: int, seed: int) -> CLIP:
    torch.manual_seed(seed)
    config = MODEL_CONFIG | {"text_cfg": MODEL_CONFIG["text_cfg"] | {"vocab_size": vocab_size}}
    # channels_last: a third faster on a CPU, equal results up to rounding
    return CLIP(**config).to(memory_format=torch.channels_last)


def _batches(count: int, recipe: BaseRecipe) -> Iterator[tuple[int, Tensor]]:
    """Yield epoch and rows of every step; they depend only on the recipe."""
    for epoch in range(recipe.epochs):
        order = torch.randperm(count, generator=torch.Generator().manual_seed(recipe.seed * 1000 + epoch))
        for rows in torch.split(order, recipe.batch):
            if len(rows) == recipe.batch:
                yield epoch, rows


def _captions(scenes: Sequence[Scene], rows: Tensor, epoch: int, recipe: BaseRecipe) -> list[str]:
    """Write the captions of a batch: a new caption of each scene in every epoch."""
    return [
        write_caption(scenes[row].first, random.Random(f"{recipe.seed}-{epoch}-{row}"), naming=recipe.naming).text
        for row in rows.tolist()
    ]


def _rates(recipe: BaseRecipe, steps: int) -> list[float]:
    warm = max(1, round(steps * recipe.warm_up))
    return [
        recipe.lr * min((step + 1) / warm, 0.5 * (1 + np.cos(np.pi * max(0, step - warm) / (steps - warm))))
        for step in range(steps)
    ]


def train_base(tokenizer: SimpleTokenizer, recipe: BaseRecipe) -> CLIP:
    """Train the model; return it in evaluation mode."""
    scenes = [base_scene(index) for index in range(recipe.pictures)]
    plain = random.Random(recipe.seed)
    pixels = to_tensor([small_image(scene, plain=plain.random() < recipe.plain) for scene in scenes])
    model = new_model(tokenizer.vocab_size, recipe.seed).train()
    tower = TextTower(model, context_length=model.context_length, vocab_size=tokenizer.vocab_size)
    steps = list(_batches(recipe.pictures, recipe))
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    started = time.monotonic()
    for step, ((epoch, rows), rate) in enumerate(zip(steps, _rates(recipe, len(steps)), strict=True)):
        optimizer.param_groups[0]["lr"] = rate
        loss = _loss(model, tower, normalised(pixels[rows]), tokenizer(_captions(scenes, rows, epoch, recipe)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        model.logit_scale.data.clamp_(0, float(np.log(100)))
        if step % 100 == 0:
            _print(f"step {step}/{len(steps)} loss {loss.item():.3f} {time.monotonic() - started:.0f} s")
    return model.eval()


def _loss(model: CLIP, tower: TextTower, pictures: Tensor, ids: Tensor) -> Tensor:
    images = functional.normalize(model.visual(pictures), dim=-1)
    logits = model.logit_scale.exp() * images @ tower(ids).T
    target = torch.arange(len(logits))
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def save_base(model: CLIP, folder: Path, vocab_size: int) -> None:
    """Write config and weights for open_clip; fp16 halves the file and changes no decision of the exam."""
    halved = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(halved, folder / "open_clip_model.safetensors")
    config = MODEL_CONFIG | {"text_cfg": MODEL_CONFIG["text_cfg"] | {"vocab_size": vocab_size}}
    preprocess = {"size": SMALL, "mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD, "interpolation": "bicubic"}
    content = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def make_base(folder: Path, recipe: BaseRecipe) -> dict[str, Any]:
    """Write the vocabulary, the trained model and its figures into `folder`; return the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = SimpleTokenizer(bpe_path=str(write_vocabulary(folder)), context_length=40)
    started = time.monotonic()
    model = train_base(tokenizer, recipe)
    seconds = round(time.monotonic() - started)
    save_base(model, folder, tokenizer.vocab_size)

    figures = {"recipe": asdict(recipe), "seconds": seconds, "threads": torch.get_num_threads()}
    figures |= exam_accuracies(load_model(str(folder)))
    (folder / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    recipe = BaseRecipe()
    parser.add_argument("--pictures", type=int, default=recipe.pictures)
    parser.add_argument("--epochs", type=int, default=recipe.epochs)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures = make_base(arguments.out, BaseRecipe(pictures=arguments.pictures, epochs=arguments.epochs))
    _print(json.dumps(figures))


if __name__ == "__main__":
    main()
