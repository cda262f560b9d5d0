"""Predicts the masks of a data set with one model, scores them, and stores ordinary results.

Masks are kept in the cache as they are computed, so a killed run continues where it was. Nothing is stored in the
results unless every item has its mask.

Protocols: `official` counts an IoU of exactly a threshold as the published code of the data set does, takes the first
of tied proposals, and a pixel with NaN is outside. `strict` counts only an IoU above the threshold, predicts nothing
where proposals are tied, and does not allow NaN (`--allow-nan` predicts nothing).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks import results
from benchmarks.affirmative_twins import AFFIRMATIVE_SUFFIX, NEGATED_SUFFIX
from benchmarks.errors import BenchError
from benchmarks.protocols import BOTH_PROTOCOLS, Protocol
from benchmarks.results import StoredResult
from benchmarks.runner import share, versions
from benchmarks.schema import (
    NO_CUE,
    PRECISION_METRIC,
    SCHEMA,
    GuessShare,
    IouScore,
    ItemRow,
    ModelFacts,
    Result,
    SegmentationFacts,
)
from benchmarks.scoring import hash_of_images
from benchmarks.segmentation.data import RowProblem, SegmentationData
from benchmarks.segmentation.masks import Mask, mask_text
from benchmarks.segmentation.metrics import THRESHOLDS, MaskScores, Overlap, mask_scores, overlap, precision
from benchmarks.segmentation.segmenters import Prediction, Progress, Request, Segmenter
from benchmarks.task import BenchItem, Task
from benchmarks.training_overlap import TrainingImages
from curation_db.stats.intervals import Interval
from trainers.errors import TrainerError
from trainers.features.file_hashes import FileHashes

WHOLE_IMAGE: Final = "whole image"
"""Blind baseline: every pixel."""
CENTRE: Final = "centre box"
"""Blind baseline: a box in the centre with half the width and height of the image."""


def without_other_sizes(data: SegmentationData) -> SegmentationData:
    """Return the data without the items whose image has another size than the file says; they are reported.

    Raises:
        BenchError: Images are missing or cannot be read, or no item is left.
    """
    data.task.check_pictures()
    sizes = {name: _size(data.task.pictures / name) for name in data.task.images}
    good, problems = [], list(data.problems)
    for item in data.task.items:
        region, (width, height) = data.regions[item.id], sizes[item.image]
        if region.size == (height, width):
            good.append(item)
        else:
            reason = f"{item.image} has {width} x {height} pixels, the file says {region.size[1]} x {region.size[0]}"
            problems.append(RowProblem(data.path, region.where, reason))
    if not good:
        raise BenchError(f"no image of {data.task.name} has the size that the file says; {problems[-1].text}")
    return replace(data, task=replace(data.task, items=tuple(good)), problems=tuple(problems))


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BenchError(f"{path} cannot be read as an image: {error}", hint="replace it by a valid copy") from error


def run_segmentation(
    segmenter: Segmenter,
    data: SegmentationData,
    *,
    results_folder: Path,
    cache_folder: Path | None = None,
    protocols: Sequence[Protocol] = BOTH_PROTOCOLS,
    label: str | None = None,
    trained_on: TrainingImages | None = None,
    progress: Progress | None = None,
) -> tuple[StoredResult, ...]:
    """Predict and score all masks of `data`, and add one result per protocol to `results_folder`.

    Args:
        data: Its images have the sizes of the file (`without_other_sizes`).
        cache_folder: Folder of cached masks and features; None: no cache.
        label: Name of the model in reports; None: its own.
        trained_on: The images of its training, whose overlap with those of the task is in the results.
        progress: Called with stage, done and total.

    Raises:
        BenchError: An image cannot be read, or a score is NaN under `strict`.
        TrainerError: The model does not fit.
    """
    started = time.perf_counter()
    task = _task_of(data, segmenter)
    try:
        hashes = FileHashes(cache_folder).of([task.pictures / name for name in task.images])
    except TrainerError as error:
        raise BenchError(error.message) from error
    files = dict(zip(task.images, hashes, strict=True))
    requests = [
        Request(task.pictures / item.image, files[item.image], data.regions[item.id].size, item.text)
        for item in task.items
    ]
    predictions = segmenter.predict(requests, cache_folder, progress or (lambda stage, done, total: None))
    rows: list[list[ItemRow]] = [[] for _ in protocols]
    blind: dict[str, list[Overlap]] = {name: [] for name in _BLIND}
    for item, prediction in zip(task.items, predictions, strict=True):
        truth = data.regions[item.id].mask()  # one at a time: those of a data set do not fit into memory
        for own, protocol in zip(rows, protocols, strict=True):
            own.append(_row(item, truth, prediction, protocol))
        for name, draw in _BLIND.items():
            blind[name].append(overlap(draw(truth), truth))
    model = segmenter.evaluated_model(label)
    texts = segmenter.text_facts(list(dict.fromkeys(item.text for item in task.items)))
    seconds = time.perf_counter() - started
    stored = []
    for protocol, own in zip(protocols, rows, strict=True):
        inclusive = data.inclusive and protocol.name == "official"
        result = _result(task, segmenter, model, protocol, own, blind, inclusive=inclusive)
        result["seconds"] = round(seconds, 3)
        result["task"]["pictures_sha256"] = hash_of_images(files)
        if texts is not None:
            result["texts"] = texts
        if trained_on is not None:
            result["overlap"] = trained_on.overlap(task, files)
        stored.append(results.write(results_folder, result, own))
    return tuple(stored)


def task_name(name: str, route: str) -> str:
    """Return the name of a task with the route before the suffix of its subset: phrasecut-clipseg-negref."""
    suffix = next((each for each in (NEGATED_SUFFIX, AFFIRMATIVE_SUFFIX) if name.endswith(each)), "")
    return f"{name.removesuffix(suffix)}-{route}{suffix}"


def _task_of(data: SegmentationData, segmenter: Segmenter) -> Task:
    """Return the task with the segmenter in its name and hash, so that only equal ones are compared."""
    settings = json.dumps(segmenter.settings(), sort_keys=True)
    items = "\0".join(item.id for item in data.task.items)
    identity = hashlib.sha256(f"{data.task.dataset_sha256}\0{settings}\0{items}".encode("utf-8", "surrogatepass"))
    name = task_name(data.task.name, segmenter.route)
    return replace(data.task, name=name, dataset_sha256=identity.hexdigest())


def _row(item: BenchItem, truth: Mask, prediction: Prediction, protocol: Protocol) -> ItemRow:
    size = truth.shape[0], truth.shape[1]
    predicted = prediction.mask(size)
    if protocol.name == "strict":
        if prediction.nan and not protocol.allow_nan:
            raise BenchError(
                f"the item {item.id} has a score that is NaN", hint="count such items as wrong with --allow-nan"
            )
        if prediction.nan or prediction.tie:
            predicted = np.zeros(size, dtype=bool)
    pixels = overlap(predicted, truth)
    return {
        "id": item.id,
        "image": item.image,
        "text": item.text,
        "options": [],
        "scores": [],
        "pred": 0 if predicted.any() else None,
        "target": 0,
        "correct": False,
        "tie": prediction.tie,
        "rank": None,
        "mask": {
            "size": list(size),
            "true": mask_text(truth),
            "predicted": mask_text(predicted),
            "intersection": pixels.intersection,
            "union": pixels.union,
            "nan": prediction.nan,
        },
        "cue": item.slices.get("cue", NO_CUE),
        "position": item.slices.get("position", "none"),
        "cluster": item.cluster,
        "slices": dict(item.slices),
    }


def overlap_of(row: ItemRow) -> Overlap:
    """Return the overlap of an item of a segmentation task; no pixel for other items."""
    mask = row.get("mask")
    return Overlap(mask["intersection"], mask["union"]) if mask else Overlap(0, 0)


def _result(
    task: Task,
    segmenter: Segmenter,
    model: ModelFacts,
    protocol: Protocol,
    rows: list[ItemRow],
    blind: dict[str, list[Overlap]],
    *,
    inclusive: bool,
) -> Result:
    """Return the result; sets whether the rows are right."""
    overlaps = [overlap_of(row) for row in rows]
    clusters = [row["cluster"] for row in rows]
    for row, pixels in zip(rows, overlaps, strict=True):
        row["correct"] = pixels.reaches(THRESHOLDS[0], inclusive=inclusive)
    scores = mask_scores(overlaps, clusters)
    of_blind = {name: mask_scores(each, clusters, resamples=1) for name, each in blind.items()}
    facts: SegmentationFacts = {
        "route": str(segmenter.route),
        "name": segmenter.name,
        "settings": dict(segmenter.settings()),
        "inclusive": inclusive,
        "mean_iou": _iou_score(scores.mean_iou),
        "overall_iou": _iou_score(scores.overall_iou),
        "blind": {name: _estimates(each) for name, each in of_blind.items()},
        "empty": sum(row["pred"] is None for row in rows),
        "warnings": list(segmenter.warnings),
    }
    counts = {threshold: precision(overlaps, threshold, inclusive=inclusive) for threshold in THRESHOLDS}
    return {
        "schema": SCHEMA,
        "run": "",
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "seconds": 0.0,
        "task": {
            "name": task.name,
            "version": task.version,
            "kind": task.kind,
            "dataset_sha256": task.dataset_sha256,
            "pictures_sha256": "",
            "pictures_folder": str(task.pictures.absolute()),
            "items": len(rows),
            "images": len(task.images),
            "chance": task.chance,
        },
        "model": model,
        "protocol": {"name": protocol.name, "seed": protocol.seed, "allow_nan": protocol.allow_nan},
        "metrics": {f"{PRECISION_METRIC}{threshold}": share(count, len(rows)) for threshold, count in counts.items()},
        "segmentation": facts,
        "baselines": {
            name: _guess(precision(each, THRESHOLDS[0], inclusive=inclusive), len(rows)) for name, each in blind.items()
        },
        "ties": sum(row["tie"] for row in rows),
        "nan": sum(row["mask"]["nan"] for row in rows),
        "versions": versions(),
        "items_sha256": "",
    }


def _iou_score(interval: Interval) -> IouScore:
    return {"value": interval.estimate, "low": interval.low, "high": interval.high}


def _estimates(scores: MaskScores) -> list[float]:
    return [scores.mean_iou.estimate, scores.overall_iou.estimate]


def _guess(correct: int, n: int) -> GuessShare:
    return {**share(correct, n), "ties": 0}


def _centre(truth: Mask) -> Mask:
    height, width = truth.shape
    mask = np.zeros_like(truth)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return mask


_BLIND: Final[dict[str, Callable[[Mask], Mask]]] = {WHOLE_IMAGE: np.ones_like, CENTRE: _centre}
