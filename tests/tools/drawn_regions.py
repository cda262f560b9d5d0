"""Writes the demo's exam as a folder in the format of PhraseCut, and trains a tiny CLIPSeg model on drawn scenes.

    python tests/tools/drawn_regions.py FOLDER [STEPS]

writes FOLDER/demo-regions (60 scenes, an affirmed and a denied phrase each) and FOLDER/clipseg. The decoder and the
image tower are trained on affirmed phrases of other scenes, with the text tower of the demo's base model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn import functional
from transformers import CLIPImageProcessor, CLIPSegConfig, CLIPSegForImageSegmentation

from trainers.models.hf_clip import hf_text_config, write_tokenizer
from trainers.models.loading import load_model
from trainers.segmentation.clipseg import raw_text_features
from workbench.demo.experiment.exam import TEST, draw_exam, make_question
from workbench.demo.world.drawing import SMALL, paint_instance
from workbench.demo.world.world import Scene

SCENES, TRAINING, STEPS, BATCH = 60, 500, 800, 16
_TRAINED_ON = 8300
"""Seed range of the scenes for training, which no part of the demo uses."""
_KEY = (255, 0, 255)
_SIDE = 128
_MODEL = Path(__file__).parents[2] / "workbench" / "demo" / "model"


def silhouette(scene: Scene, index: int) -> np.ndarray:
    """Return the pixels of one instance of an exam scene, bool (H, W)."""
    side, count, instance = 2 * SMALL, len(scene.instances), scene.instances[index]
    canvas = Image.new("RGB", (side * count, side), _KEY)
    paint_instance(ImageDraw.Draw(canvas), instance, (instance.box[0] * count * side, instance.box[1] * side), side)
    painted = (np.array(canvas) != _KEY).any(axis=2)
    return np.asarray(painted.reshape(SMALL, 2, SMALL * count, 2).mean(axis=(1, 3)) >= 0.5)


def row_lines(mask: np.ndarray) -> list[list[list[int]]]:
    """Return one line [[x, y], [x, y]] per run of a row: as polygons, they draw exactly the mask."""
    lines = []
    for y, row in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]]))).tolist()
        lines += [[[start, y], [end - 1, y]] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return lines


def write_regions(folder: Path, scenes: int = SCENES) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    sizes = []
    for number in range(scenes):
        question = make_question(TEST * 1_000_000 + number)
        image = draw_exam(question.scene)
        image.save(folder / "images" / f"{number}.jpg", quality=92)
        sizes.append({"image_id": number, "width": image.width, "height": image.height, "split": "test"})
        for place, (phrase, index) in enumerate(
            ((question.affirmed, question.having), (question.denied, question.lacking))
        ):
            polygons = [row_lines(silhouette(question.scene, index))]
            rows.append({"task_id": f"{number}__{place}", "image_id": number, "Polygons": polygons, "phrase": phrase})
    (folder / "image_data_split.json").write_text(json.dumps(sizes))
    (folder / "refer_test.json").write_text(json.dumps(rows))


def train_clipseg(folder: Path, steps: int = STEPS, scenes: int = TRAINING) -> None:
    clip = load_model(str(_MODEL))
    questions = [make_question(_TRAINED_ON * 1_000_000 + number) for number in range(scenes)]
    images = np.stack([np.asarray(draw_exam(question.scene)) for question in questions])
    pixels = functional.interpolate(torch.tensor(images).permute(0, 3, 1, 2) / 127.5 - 1, (_SIDE, _SIDE))
    masks = torch.tensor(np.stack([silhouette(question.scene, question.having) for question in questions])).float()
    vectors = raw_text_features(clip, clip.tokenizer([question.affirmed for question in questions])).clone()
    text = {key: value for key, value in hf_text_config(clip.config).items() if key != "model_type"}
    text.pop("projection_dim", None)
    tower = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    model = CLIPSegForImageSegmentation(
        CLIPSegConfig(
            text_config=text,
            vision_config={**tower, "image_size": _SIDE, "patch_size": 16},
            projection_dim=clip.embed_dim,
            extract_layers=[1],
            reduce_dim=64,
            decoder_num_attention_heads=4,
            decoder_intermediate_size=128,
        )
    )
    trained = [value for name, value in model.named_parameters() if "text" not in name]
    optimizer = torch.optim.AdamW(trained, lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        batch = torch.randint(0, scenes, (BATCH,), generator=generator)
        seen = model.clip.vision_model(pixels[batch], output_hidden_states=True)
        small = model.decoder([seen.hidden_states[2]], vectors[batch]).logits
        logits = functional.interpolate(small.reshape(BATCH, 1, *small.shape[-2:]), masks.shape[1:], mode="bilinear")
        loss = functional.binary_cross_entropy_with_logits(logits[:, 0], masks[batch], pos_weight=torch.tensor(2.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.save_pretrained(folder)
    half = [0.5] * 3
    size = {"height": _SIDE, "width": _SIDE}
    CLIPImageProcessor(size=size, do_center_crop=False, image_mean=half, image_std=half).save_pretrained(folder)
    write_tokenizer(clip.tokenizer, folder)  # type: ignore[arg-type]


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write_regions(target / "demo-regions")
    train_clipseg(target / "clipseg", *map(int, sys.argv[2:3]))
