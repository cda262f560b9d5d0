"""Trains the demo's tiny CLIP on the drawn world's affirmative captions: it knows the things and never read a "no".

Run as `python -m workbench.demo.experiment.base_model --out FOLDER`; on one thread the same machine gives the same
bytes, another machine the same figures within two points (`TOLERANCE`). The folder is an open_clip local-dir (config,
fp16 weights) with a vocabulary and the figures that were measured (metrics.json). About six minutes.
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

from trainers.clip_models import load_model
from trainers.text_tower import TextTower
from workbench import demo
from workbench.demo.experiment.exam import exam_accuracies
from workbench.demo.experiment.vocabulary import write_vocabulary
from workbench.demo.world.captions import TRAINING_NAMING, write_caption
from workbench.demo.world.drawing import SMALL, draw_large, draw_small
from workbench.demo.world.world import Scene, make_scene

FOLDER = Path(demo.__file__).with_name("model")
"""Where the shipped model lies."""
TOLERANCE = 2.0
"""Percentage points by which the figures of another machine's training may differ (seen: 1.8 of R@1)."""
WORLD = 7100
"""Scenes of the base model: seeds from 7,100,000,000 on, apart from every other part of the demo."""
MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": SMALL, "layers": [1, 1, 1, 1], "width": 8},
    "text_cfg": {"context_length": 40, "vocab_size": 0, "width": 96, "heads": 3, "layers": 2},
}
"""vocab_size is filled in from the vocabulary; the longest negated caption has 33 tokens."""


@dataclass(frozen=True, slots=True)
class BaseRecipe:
    """How the base model is trained."""

    pictures: int = 20_000
    epochs: int = 11
    batch: int = 128
    lr: float = 2e-3
    weight_decay: float = 0.05
    warm_up: float = 0.1
    """Share of the steps; a cosine to nothing follows."""
    naming: float = TRAINING_NAMING
    plain: float = 0.3
    """Share of the pictures on plain ground; the others have a backdrop, as the pictures that people see."""
    seed: int = 0


def base_scene(index: int) -> Scene:
    """Scene `index` of the base model's pictures."""
    return make_scene(WORLD * 1_000_000 + index, things=(1, 6))


def small_picture(scene: Scene, *, plain: bool) -> Image.Image:
    """The scene at 64 pixels per instance, on plain ground or in its setting."""
    return draw_small(scene) if plain else draw_large(scene, SMALL)


def to_tensor(pictures: Sequence[Image.Image]) -> Tensor:
    """Pictures of one size as bytes.  -> (N, 3, H, W) uint8"""
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2)


def normalised(pixels: Tensor) -> Tensor:
    """As the model's own preprocessing gives them.  (N, 3, H, W) uint8 -> float32"""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def new_model(vocab_size: int, seed: int) -> CLIP:
    """The untrained model."""
    torch.manual_seed(seed)
    config = MODEL_CONFIG | {"text_cfg": MODEL_CONFIG["text_cfg"] | {"vocab_size": vocab_size}}
    # channels_last: a third faster on a CPU, the same numbers to rounding.
    return CLIP(**config).to(memory_format=torch.channels_last)


def _batches(count: int, recipe: BaseRecipe) -> Iterator[tuple[int, Tensor]]:
    """Epoch and rows of every step; a function of the recipe alone."""
    for epoch in range(recipe.epochs):
        order = torch.randperm(count, generator=torch.Generator().manual_seed(recipe.seed * 1000 + epoch))
        for rows in torch.split(order, recipe.batch):
            if len(rows) == recipe.batch:
                yield epoch, rows


def _captions(scenes: Sequence[Scene], rows: Tensor, epoch: int, recipe: BaseRecipe) -> list[str]:
    """A new caption in every epoch."""
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
    """The trained model, in evaluation mode."""
    scenes = [base_scene(index) for index in range(recipe.pictures)]
    plain = random.Random(recipe.seed)
    pixels = to_tensor([small_picture(scene, plain=plain.random() < recipe.plain) for scene in scenes])
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
    """Config and weights as open_clip reads them; fp16, which halves the file and moves no decision."""
    halved = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(halved, folder / "open_clip_model.safetensors")
    config = MODEL_CONFIG | {"text_cfg": MODEL_CONFIG["text_cfg"] | {"vocab_size": vocab_size}}
    preprocess = {"size": SMALL, "mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD, "interpolation": "bicubic"}
    told = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def make_base(folder: Path, recipe: BaseRecipe) -> dict[str, Any]:
    """Vocabulary, training, files and figures; returns the figures."""
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
    """The script."""
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
