"""Bench `evaluate`: evaluation of ViT-B/32 on a task of NegRefCOCOg's shape, compared with the published loop.

The models are built from their configuration with random weights; the images are JPEGs of 640 x 480 pixels. The plain
loop opens the image for each box and encodes each crop, and all 77 tokens of each phrase, in batches of one. Ours opens
an image once, encodes distinct crops and phrases in batches, and stores their features, results and hashes. The second
checkpoint has the image tower of the first and another text tower, as after fine-tuning.

The task is evaluated in parts: the plain loop, the first checkpoint and the second one take turns.
"""

from __future__ import annotations

import copy
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
import torch

from benchmarks.protocols import Protocol
from benchmarks.runner import run_task
from benchmarks.speed.support.harness import report_progress, timed
from benchmarks.speed.support.plain_evaluator import PlainEvaluator
from benchmarks.speed.train import TINY, forward_cost, image_cost, write_images
from benchmarks.task import Task
from benchmarks.tasks import negrefcocog, regions
from trainers.models.clip_model import ClipModel, build
from trainers.models.text_tower import eot_lengths

_NAME = "ViT-B-32-quickgelu"
_WORDS = ("man", "woman", "dog", "hat", "red", "blue", "shirt", "bench", "tree", "the", "a", "with", "on", "left")
_CUES = ("no", "not", "without")
_IMAGE = (640, 480)
_NEW_BOXES = 9
"""Every n-th item that shares its image has boxes of its own; the others have those of the item before, swapped."""


@dataclass(frozen=True, slots=True)
class Plan:
    config: dict[str, Any]
    """open_clip's model_cfg."""
    items: int
    images: int
    parts: int


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    full = Plan(dict(open_clip.get_model_config(_NAME)), negrefcocog.ITEMS, negrefcocog.IMAGES, parts=4)
    plan = Plan(TINY, items=12, images=10, parts=2) if quick else full
    torch.manual_seed(0)
    first = build(plan.config, {}, name="first", arch=_NAME)
    second = _other_text_tower(first)
    rows = make_rows(plan.items, plan.images)
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as temporary:
        evaluation = _Evaluation(Path(temporary), first, second, rows)
        for number, part in enumerate(_parts(rows, plan.parts)):
            evaluation.take(part)
            report_progress(f"part {number + 1} of {plan.parts}: {evaluation.progress}")
    return {**evaluation.figures(), **_limits(plan.config, first, rows), "notes": _NOTES}


_NOTES = [
    "reference_s: the published loop, which evaluates one item at a time; first_s and second_s: `run_task` with both "
    "protocols, from the hashes of weights and images to the stored results; without loading a model",
    "ratio and second_ratio: reference_s / first_s and reference_s / second_s; cpu_*: the same of CPU seconds, fairer "
    "under other load",
    "flop_*: what the multiply-adds alone allow, without opening images: distinct crops and phrases up to their end "
    "against all crops and 77 tokens of each phrase",
    "differing: items in which the published loop chooses another box than the protocol `official`; 0 is right",
]


class _Evaluation:
    """Evaluates parts of the task in turn by the plain loop and both checkpoints."""

    def __init__(self, folder: Path, first: ClipModel, second: ClipModel, rows: Sequence[dict[str, Any]]) -> None:
        self._folder, self._rows = folder, rows
        self._images = folder / negrefcocog.PICTURES
        names = list(dict.fromkeys(row["image"] for row in rows))
        for path, name in zip(write_images(self._images, len(names)), names, strict=True):
            path.rename(self._images / name)
        self._plain = PlainEvaluator(copy.deepcopy(first.model), first.preprocess, first.tokenizer)
        self._models = {"first": first, "second": second}
        self._seconds = {name: [0.0, 0.0] for name in ("reference", "first", "second")}
        self.differing = self.largest_difference = 0.0

    @property
    def progress(self) -> str:
        return ", ".join(f"{name} {wall:.1f} s" for name, (wall, _) in self._seconds.items())

    def take(self, part: Sequence[int]) -> None:
        """Evaluate the rows with these numbers."""
        rows = [self._rows[number] for number in part]
        scores: list[list[float]] = []
        self._measure("reference", lambda: scores.extend(self._plain.box_scores(row, self._images) for row in rows))
        task = self._task(rows)
        for name, model in self._models.items():
            stored: list[Any] = []
            self._measure(name, lambda model=model, stored=stored: stored.extend(self._evaluate(model, task)))  # type: ignore[misc]
            if name == "first":
                self._compare(scores, stored[0].items())

    def _measure(self, name: str, work: Callable[[], object]) -> None:
        before = time.process_time()
        wall = timed(work)
        seconds = self._seconds[name]
        self._seconds[name] = [seconds[0] + wall, seconds[1] + time.process_time() - before]

    def _task(self, rows: Sequence[dict[str, Any]]) -> Task:
        path = self._folder / negrefcocog.ANNOTATIONS
        return Task(
            name="bench",
            version=regions.VERSION,
            kind="regions",
            dataset_sha256="0" * 64,
            items=regions.items_of([*rows], path),
            pictures=self._images,
        )

    def _evaluate(self, model: ClipModel, task: Task) -> Sequence[Any]:
        return run_task(
            model,
            task,
            results_folder=self._folder / "results",
            cache_folder=self._folder / "cache",
            protocols=(Protocol("official"), Protocol("strict", allow_nan=True)),
        )

    def _compare(self, plain: Sequence[Sequence[float]], ours: Sequence[Any]) -> None:
        for scores, row in zip(plain, ours, strict=True):
            self.differing += scores.index(max(scores)) != row["pred"]
            differences = [abs(one - other) for one, other in zip(scores, row["scores"], strict=True)]
            self.largest_difference = max(self.largest_difference, *differences)

    def figures(self) -> dict[str, Any]:
        (reference, reference_cpu), (first, first_cpu), (second, second_cpu) = self._seconds.values()
        return {
            "items": len(self._rows),
            "reference_s": round(reference, 3),
            "first_s": round(first, 3),
            "second_s": round(second, 3),
            "ratio": round(reference / first, 2),
            "second_ratio": round(reference / second, 2),
            "cpu_ratio": round(reference_cpu / first_cpu, 2),
            "cpu_second_ratio": round(reference_cpu / second_cpu, 2),
            "differing": int(self.differing),
            "max_score_difference": self.largest_difference,
            "threads": torch.get_num_threads(),
        }


def _other_text_tower(model: ClipModel) -> ClipModel:
    """Return a copy of `model` with the same image tower and changed weights in the text tower."""
    other = replace(model, name="second", model=copy.deepcopy(model.model))
    with torch.no_grad():
        other.model.text_projection.mul_(1.5)
        other.model.token_embedding.weight.add_(0.01)
    return other


def make_rows(items: int, images: int) -> list[dict[str, Any]]:
    """Return rows of NegRefCOCOg's shape: shared images, boxes, and phrases of 3 to 26 words, 10.4 on average."""
    draw = random.Random(0)
    shared = items - images
    rows: list[dict[str, Any]] = []
    for number in range(images):
        boxes = [_box(draw), _box(draw)]
        rows.append(_row(draw, f"COCO_train2014_{number:012}.jpg", boxes))
        if number < shared:
            other = [_box(draw), _box(draw)] if number % _NEW_BOXES == 0 else boxes[::-1]
            rows.append(_row(draw, rows[-1]["image"], other))
    return rows


def _row(draw: random.Random, image: str, boxes: list[list[float]]) -> dict[str, Any]:
    words = draw.choices(_WORDS, k=min(26, 3 + int(draw.expovariate(1 / 8.3))))
    words[draw.randrange(len(words))] = draw.choice(_CUES)
    return {"image": image, "phrase": " ".join(words), "ref_bbox": boxes[0], "bbox_list": boxes}


def _box(draw: random.Random) -> list[float]:
    """Return a box of 140,000 square pixels on average, as in the published file."""
    width, height = draw.uniform(240, _IMAGE[0]), draw.uniform(220, _IMAGE[1])
    return [
        round(value, 2)
        for value in (draw.uniform(0, _IMAGE[0] - width), draw.uniform(0, _IMAGE[1] - height), width, height)
    ]


def _parts(rows: Sequence[dict[str, Any]], count: int) -> list[list[int]]:
    """Return the numbers of the rows in parts of similar size; the rows of an image are in one part."""
    names = list(dict.fromkeys(row["image"] for row in rows))
    # The images that two items share come first, so the parts take turns in the order of the images.
    part_of = {name: place % count for place, name in enumerate(names)}
    return [[number for number, row in enumerate(rows) if part_of[row["image"]] == part] for part in range(count)]


def _limits(config: dict[str, Any], model: ClipModel, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the sizes of the task and the ratios that the multiply-adds alone allow."""
    text = config["text_cfg"]

    def text_cost(length: int) -> float:
        return forward_cost(length, text["width"], text["layers"])

    phrases = list(dict.fromkeys(row["phrase"] for row in rows))
    lengths = eot_lengths(model.tokenizer(phrases)).tolist()
    crops = {(row["image"], *box) for row in rows for box in row["bbox_list"]}
    boxes = sum(len(row["bbox_list"]) for row in rows)
    plain = boxes * image_cost(config) + len(rows) * text_cost(model.context_length)
    texts = sum(map(text_cost, lengths))
    return {
        "crops": len(crops),
        "mean_tokens": round(statistics.mean(lengths), 2),
        "flop_ratio": round(plain / (len(crops) * image_cost(config) + texts), 2),
        "flop_second_ratio": round(plain / texts, 2),
    }
