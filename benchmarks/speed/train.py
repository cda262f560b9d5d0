"""Bench `train`: fine-tuning of the text tower, compared with the published loop written plainly.

The models are built from their configuration with random weights; the images are JPEGs of 640 x 480 pixels with five
captions each, of lengths similar to COCO's. The plain loop encodes its images in every step and 77 tokens of each text.
Ours computes the features of the images once and encodes each text up to its end. Steps of the two alternate. Both take
the same first steps, whose losses are compared; then ours takes larger batches, as the recipe does.

An epoch is projected from the median seconds of a pair. `flop_ratio` is the ratio that the arithmetic alone allows.
"""

from __future__ import annotations

import copy
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip  # type: ignore[import-untyped]
import torch
from PIL import Image

from benchmarks.speed.lint import make_subjects
from benchmarks.speed.support.harness import report_progress, timed
from benchmarks.speed.support.plain_trainer import ImageText, PlainTrainer
from trainers.data.dataset import TrainingPair
from trainers.features.image_decoding import Decoding
from trainers.features.image_features import ImageFeatures
from trainers.loop.batches import BatchSource, Table, pair_table
from trainers.loop.finetune import Trainer
from trainers.models.clip_model import ClipModel, build
from trainers.models.text_tower import eot_lengths
from trainers.settings import TrainSettings

EPOCHS = 15
"""Of the published recipe."""
CAPTIONS_PER_IMAGE = 5
_COMPARED_STEPS = 2
_LR = 1e-4
"""Higher than the recipe's 1e-6, so that a wrong step shows in the next loss."""
TINY: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Size of the measurement of one model."""

    config: dict[str, Any]
    """open_clip's model_cfg."""
    images: int
    reference_batch: int
    our_batch: int
    turns: int
    """Timed steps of each, after the compared ones."""


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    measured = {name: _measure(name, plan) for name, plan in _plans(quick=quick).items()}
    difference = max(figures.pop("max_loss_difference") for figures in measured.values())
    return {
        **measured,
        "max_loss_difference": difference,
        "threads": torch.get_num_threads(),
        "notes": [
            f"ratio: {EPOCHS} epochs of the reference / ({EPOCHS} epochs of ours + features), without validation",
            "an epoch is the median seconds of a pair times the captions; the steps of the two alternate",
            "cpu_ratio: the same of CPU seconds; fairer under other load, with OMP_NUM_THREADS=1",
            "flop_ratio counts multiply-adds alone: no decoding of images, no optimizer",
            "rss_mb is the peak of this process so far; it holds both trainings of one model at a time",
        ],
    }


def _plans(*, quick: bool) -> dict[str, Plan]:
    if quick:
        return {name: Plan(TINY, images=4, reference_batch=8, our_batch=32, turns=1) for name in _NAMES}
    base, large = (dict(open_clip.get_model_config(name)) for name in _NAMES.values())
    return {
        "vit_b_32": Plan(base, images=128, reference_batch=64, our_batch=512, turns=3),
        # Fewer images than one batch of features, 64, would cost as much as 64.
        "vit_l_14": Plan(large, images=64, reference_batch=12, our_batch=512, turns=3),
    }


_NAMES = {"vit_b_32": "ViT-B-32-quickgelu", "vit_l_14": "ViT-L-14-quickgelu"}


def _measure(name: str, plan: Plan) -> dict[str, Any]:
    torch.manual_seed(0)
    model = build(plan.config, {}, name=name, arch=name)
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as temporary:
        folder = Path(temporary)
        paths = write_images(folder / "images", plan.images)
        captions = plan.images * CAPTIONS_PER_IMAGE
        texts = [subject.text for subject in make_subjects(max(captions, plan.our_batch))]
        pairs = [TrainingPair(str(n % plan.images), paths[n % plan.images], text) for n, text in enumerate(texts)]
        reference = PlainTrainer(copy.deepcopy(model.model), model.preprocess, model.tokenizer, lr=_LR)
        store = ImageFeatures(folder / "cache", model, Decoding.PUBLISHED)
        features = _Seconds()
        features.measure(lambda: store.features(paths))
        report_progress(f"{name}: features of {plan.images} images in {features.wall[0]:.1f} s")
        table = pair_table(model, pairs, store.features, {})
        seconds = _Alternation(name, plan, model, pairs, table, reference).run()
    lengths = eot_lengths(table.ids[:captions]).tolist()
    reference_epoch_s, our_epoch_s = (
        statistics.median(each.wall) * captions for each in (seconds.reference, seconds.ours)
    )
    ratio = EPOCHS * reference_epoch_s / (EPOCHS * our_epoch_s + features.wall[0])
    reference_cpu, our_cpu = (statistics.median(each.cpu) * captions for each in (seconds.reference, seconds.ours))
    flop_ratio = expected_ratio(plan.config, lengths)
    return {
        "pictures": plan.images,
        "captions": captions,
        "mean_tokens": round(statistics.mean(lengths), 2),
        "reference_batch": plan.reference_batch,
        "our_batch": plan.our_batch,
        "reference_epoch_s": round(reference_epoch_s, 3),
        "our_epoch_s": round(our_epoch_s, 3),
        "features_s": round(features.wall[0], 3),
        "ratio": round(ratio, 3),
        "cpu_ratio": round(EPOCHS * reference_cpu / (EPOCHS * our_cpu + features.cpu[0]), 3),
        "flop_ratio": round(flop_ratio, 3),
        "share_of_flop_ratio": round(ratio / flop_ratio, 3),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "max_loss_difference": max(seconds.loss_differences),
    }


class _Seconds:
    """Wall and CPU seconds of each measured call, per item."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def measure(self, work: Callable[[], object], items: int = 1) -> None:
        before = time.process_time()
        self.wall.append(timed(work) / items)
        self.cpu.append((time.process_time() - before) / items)


class _Alternation:
    """Takes steps of the two trainings in turn and measures the seconds per pair."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        model: ClipModel,
        pairs: list[TrainingPair],
        table: Table,
        plain: PlainTrainer,
    ) -> None:
        self._name, self._plan, self._pairs, self._table, self._plain = name, plan, pairs, table, plain
        settings = TrainSettings(lr=_LR, batch=plan.our_batch, val_share=0, keep="last")
        self._trainer = Trainer(model, BatchSource(table, None, settings), None, settings)
        self._order = np.random.default_rng(0).permutation(len(pairs))
        self._step = 0
        self.reference, self.ours = _Seconds(), _Seconds()
        """Per pair."""
        self.loss_differences: list[float] = []
        """Relative."""

    def run(self) -> _Alternation:
        for _ in range(_COMPARED_STEPS):
            reference, ours = self._reference_step(), self._our_step(self._plan.reference_batch, measured=False)
            self.loss_differences.append(abs(ours / reference - 1))
            report_progress(f"{self._name}: losses {reference:.6f} (reference), {ours:.6f} (ours)")
            self._step += 1
        for _ in range(self._plan.turns):
            self._reference_step()
            self._our_step(self._plan.our_batch, measured=True)
            self._step += 1
            report_progress(
                f"{self._name}: seconds per pair {self.reference.wall[-1]:.4f} (reference), "
                f"{self.ours.wall[-1]:.4f} (ours)"
            )
        return self

    def _rows(self, batch: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.roll(self._order, -self._step * self._plan.reference_batch)[:batch]

    def _reference_step(self) -> float:
        batch = [
            ImageText(self._pairs[row].path, self._pairs[row].text) for row in self._rows(self._plan.reference_batch)
        ]
        losses: list[float] = []
        self.reference.measure(lambda: losses.append(self._plain.step(batch)), len(batch))
        return losses[0]

    def _our_step(self, size: int, *, measured: bool) -> float:
        losses: list[float] = []
        rows = self._rows(size)
        seconds = self.ours if measured else _Seconds()
        seconds.measure(lambda: losses.append(self._trainer.learn(self._table.take(rows), self._step)), size)
        return losses[0]


def expected_ratio(config: dict[str, Any], lengths: list[int]) -> float:
    """Return the multiply-adds of the reference over those of ours, per pair and over `EPOCHS` epochs.

    Args:
        config: open_clip's model_cfg of a vision transformer.
        lengths: tokens of each text up to its end.
    """
    text, image = config["text_cfg"], image_cost(config)
    whole = forward_cost(text.get("context_length", 77), text["width"], text["layers"])
    trimmed = statistics.mean(forward_cost(length, text["width"], text["layers"]) for length in lengths)
    # The backward pass of the text tower costs twice its forward pass; the image tower has none.
    return float((image + 3 * whole) / (3 * trimmed + image / CAPTIONS_PER_IMAGE / EPOCHS))


def image_cost(config: dict[str, Any]) -> float:
    """Return the multiply-adds of the vision transformer of `config`, for one image."""
    vision = config["vision_cfg"]
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    embedding = patches * 3 * vision["patch_size"] ** 2 * vision["width"]
    return float(embedding) + forward_cost(patches + 1, vision["width"], vision["layers"])


def forward_cost(tokens: int, width: int, layers: int) -> float:
    """Return the multiply-adds of a transformer: projections and MLP (12 width^2 per token), scores and their sum."""
    return float(layers) * (12.0 * tokens * width**2 + 2.0 * tokens**2 * width)


def write_images(folder: Path, count: int) -> list[Path]:
    """Write distinct JPEGs of 640 x 480 pixels, of about the bytes of COCO's."""
    folder.mkdir()
    paths = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, size=(60, 80, 3), dtype=np.uint8)
        paths.append(folder / f"{number:06}.jpg")
        Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths
