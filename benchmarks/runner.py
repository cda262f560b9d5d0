"""Runs a task on a model and stores the results.

Features are computed once for all protocols; each protocol has its own result. Nothing is stored unless every item was
judged under every protocol.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.errors import BenchError
from benchmarks.judged import ImageJudge, JudgedRetrieval, judge_shares, judged_row, retrieve_and_judge
from benchmarks.protocols import BOTH_PROTOCOLS, Protocol, baseline_credit, best_right, judge, judge_rank, judge_twins
from benchmarks.results import StoredResult
from benchmarks.schema import (
    JUDGED_METRICS,
    NO_CUE,
    SCHEMA,
    SUBSET_METRIC,
    TOP_5,
    TWIN_METRICS,
    GuessShare,
    ItemRow,
    ModelFacts,
    Result,
    Score,
    TaskFacts,
    balanced_score,
    judged_right,
    twin_scores,
)
from benchmarks.scoring import EncodedImages, ModelIdentity, Progress, Scores, TextImageEncoder, score
from benchmarks.task import BenchItem, Task
from benchmarks.tasks.retrieval import RECALLS
from benchmarks.training_overlap import TrainingImages
from curation_db.stats.intervals import wilson
from trainers.features.feature_store import Floats as Features

_PACKAGES = ("negwb", "torch", "torchvision", "open_clip_torch", "transformers", "diffusers", "numpy", "pillow")


def run_task(
    model: TextImageEncoder,
    task: Task,
    *,
    results_folder: Path,
    cache_folder: Path | None = None,
    protocols: Sequence[Protocol] = BOTH_PROTOCOLS,
    label: str | None = None,
    trained_on: TrainingImages | None = None,
    judge: ImageJudge | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> tuple[StoredResult, ...]:
    """Evaluate `model` on `task` and add one result per protocol to `results_folder`.

    Args:
        model: The model; see `TextImageEncoder`.
        task: The task; its images are checked before anything is computed.
        cache_folder: Folder of cached features; None: no cache.
        protocols: Rules by which answers are judged.
        label: Name of the model in reports; None: the name in its description.
        trained_on: The images of its training, whose overlap with those of the task is in the results.
        judge: Answers the questions of a judged task. The data set's hash of the results includes the judge, so that
            the results of two judges are never compared.
        progress: Called with stage, done and total.
        warn: Called with a line where cached features are damaged; they are computed again.

    Raises:
        BenchError: Images are missing or damaged, a score is NaN under a protocol that does not allow it, or a judged
            task has no judge.
    """
    started = time.perf_counter()
    if task.kind == "judged" and judge is None:
        raise BenchError(f"{task.name}: a judge has to answer its questions", hint="name one: --judge NAME")
    scores = score(model, task, cache=cache_folder, progress=progress, warn=warn)
    retrieved = None
    if judge is not None and task.kind == "judged":
        retrieved = retrieve_and_judge(task, scores, judge, protocols, cache=cache_folder, progress=progress)
        task = retrieved.task
    overlap = None if trained_on is None else trained_on.overlap(task, scores.image_hashes)
    judged = [(rule, list(_rows(task, scores, rule, retrieved))) for rule in protocols]
    seconds = time.perf_counter() - started
    facts = model_facts(scores.identity, label)
    stored = []
    for rule, rows in judged:
        result = _result(task, scores, facts, rule, rows, seconds)
        if scores.texts is not None:
            result["texts"] = scores.texts
        if overlap is not None:
            result["overlap"] = overlap
        if retrieved is not None:
            result["judge"] = {**retrieved.facts, "shares": judge_shares(rows)}
        stored.append(results.write(results_folder, result, rows))
    return tuple(stored)


def measure(
    model: TextImageEncoder,
    task: Task,
    *,
    protocol: Protocol,
    images: EncodedImages | None = None,
    cache_folder: Path | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> dict[str, Score]:
    """Return the metrics of `model` on `task` under one protocol, the headline first; nothing is stored.

    Args:
        images: Features of the task's images under the model's image tower; None: they are computed.

    Raises:
        BenchError: as for `run_task`.
    """
    scores = score(model, task, images=images, cache=cache_folder, progress=progress, warn=warn)
    return _metrics(task, list(_rows(task, scores, protocol)))


def _rows(task: Task, scores: Scores, rule: Protocol, retrieved: JudgedRetrieval | None = None) -> Iterator[ItemRow]:
    if retrieved is not None:
        for item, images in zip(task.items, retrieved.images, strict=True):
            base = _row(item, [image.name for image in images], [image.similarity for image in images], -1)
            yield judged_row(base, item, images, rule)
        return
    if task.gallery:
        for item, row in zip(task.items, scores.of_gallery(), strict=True):
            yield _retrieval_row(task, item, row, rule)
        return
    for item, options in zip(task.items, scores.of_options, strict=True):
        yield _choice_row(task, item, options, rule)


def _choice_row(task: Task, item: BenchItem, similarities: Sequence[float], rule: Protocol) -> ItemRow:
    if item.twin:
        outcome = judge_twins(item, similarities, rule)
    else:
        outcome = judge(item, similarities, rule, official=task.official)
    row = _row(item, _options(item), similarities, item.target)
    return {**row, "pred": outcome.pred, "correct": outcome.correct, "tie": outcome.tie}


def _options(item: BenchItem) -> list[Any]:
    if item.twin:
        crops = ((item.image, item.box), item.twin)
        return [
            {"image": image, "box": box and list(box), "text": text} for image, box in crops for text in item.captions
        ]
    return list(item.captions) or [list(box) for box in item.options]


def _retrieval_row(task: Task, item: BenchItem, similarities: Features, rule: Protocol) -> ItemRow:
    classes = task.kind == "classification"
    ranking = judge_rank(item, similarities, rule, nan_first=classes)
    right = best_right(item, similarities)
    wrong = similarities.copy()
    wrong[[item.target, *item.also_right]] = -math.inf
    rival = int(wrong.argmax())  # the first NaN, if there is one: it explains the result
    shown = [float(similarities[place]) for place in (right, rival)]
    row = _row(item, [task.gallery[right], task.gallery[rival]], shown, 0)
    undecided = ranking.nan and (rule.name == "strict" or not classes)
    correct, pred = ranking.rank == 1, None if undecided else int(ranking.rank != 1)
    return {**row, "pred": pred, "correct": correct, "tie": ranking.tie, "rank": ranking.rank}


def _row(item: BenchItem, options: list[Any], similarities: Sequence[float], target: int) -> ItemRow:
    return {
        "id": item.id,
        "image": item.image,
        "text": item.text,
        "options": options,
        "scores": [_finite(value) for value in similarities],
        "pred": None,
        "target": target,
        "correct": False,
        "tie": False,
        "rank": None,
        "cue": item.slices.get("cue", NO_CUE),
        "position": item.slices.get("position", "none"),
        "cluster": item.cluster,
        "slices": dict(item.slices),
    }


def _result(
    task: Task, scores: Scores, model: ModelFacts, rule: Protocol, rows: Sequence[ItemRow], seconds: float
) -> Result:
    result: Result = {
        "schema": SCHEMA,
        "run": "",
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "seconds": round(seconds, 3),
        "task": _task_facts(task, scores),
        "model": model,
        "protocol": {"name": rule.name, "seed": rule.seed, "allow_nan": rule.allow_nan},
        "metrics": _metrics(task, rows),
        "baselines": {name: _baseline_share(task, name, rule) for name in task.baselines},
        "ties": sum(row["tie"] for row in rows),
        "nan": sum(None in row["scores"] for row in rows),
        "versions": versions(),
        "items_sha256": "",
    }
    if task.balanced_by:
        result["balanced"] = balanced_score(rows, task.balanced_by)
    return result


def _metrics(task: Task, rows: Sequence[ItemRow]) -> dict[str, Score]:
    if task.kind == "judged":
        return {name: share(sum(judged_right(row, name) for row in rows), len(rows)) for name in JUDGED_METRICS}
    if not task.gallery:
        accuracy = {"accuracy": share(sum(row["correct"] for row in rows), len(rows))}
        parts = TWIN_METRICS.items() if task.kind == "twins" else ()
        halves = {name: share(sum(map(right, map(twin_scores, rows))), len(rows)) for name, right in parts}
        return accuracy | halves | dict(_subset_metrics(task, rows))
    ranks = [row["rank"] or math.inf for row in rows]
    if task.kind == "classification":
        depths = {"accuracy": 1} | ({TOP_5: 5} if len(task.gallery) > 5 else {})
        return {name: share(sum(rank <= k for rank in ranks), len(rows)) for name, k in depths.items()}
    return {f"recall_at_{k}": share(sum(rank <= k for rank in ranks), len(rows)) for k in RECALLS}


def _subset_metrics(task: Task, rows: Sequence[ItemRow]) -> Iterator[tuple[str, Score]]:
    for subset in task.subsets:
        within = [row["correct"] for row in rows if row["slices"].get(subset.cut) == subset.value]
        if within:
            yield SUBSET_METRIC + subset.name, share(sum(within), len(within))


def _baseline_share(task: Task, baseline: str, rule: Protocol) -> GuessShare:
    """Return the expected score of a baseline; the interval is that of the nearest whole number of right answers."""
    credits = [baseline_credit(item, task.baselines[baseline], rule) for item in task.items]
    correct, n = round(math.fsum(each.right for each in credits), 6), len(task.items)
    near = wilson(round(correct), n)
    # fmt: off
    return {"correct": correct, "n": n, "value": correct / n, "low": min(near.low, correct / n),
            "high": max(near.high, correct / n), "ties": sum(each.tied for each in credits)}
    # fmt: on


def share(correct: int, n: int) -> Score:
    """Return a share with its 95 % Wilson interval."""
    interval = wilson(correct, n)
    return {"correct": correct, "n": n, "value": interval.estimate, "low": interval.low, "high": interval.high}


def _task_facts(task: Task, scores: Scores) -> TaskFacts:
    facts: TaskFacts = {
        "name": task.name,
        "version": task.version,
        "kind": task.kind,
        "dataset_sha256": task.dataset_sha256,
        "pictures_sha256": scores.pictures_sha256,
        "pictures_folder": str(task.pictures.absolute()),
        "items": len(task.items),
        "images": len(task.images),
        "chance": task.chance,
    }
    if task.subsets:
        facts["subsets"] = {each.name: [each.cut, each.value] for each in task.subsets}
    if task.templates:
        facts["templates"] = task.templates
    return facts


def model_facts(model: ModelIdentity, label: str | None) -> ModelFacts:
    """Return the facts of a model for a result; `label`: its name in reports, None: that of its description."""
    details = {key: value if _is_json(value) else str(value) for key, value in model.description.items()}
    return {
        "name": label or str(details.get("name") or details.get("arch") or model.model_hash[:12]),
        "hash": model.model_hash,
        "visual_hash": model.visual_hash,
        "arch": str(details.get("arch", "unknown")),
        "activation": str(details.get("activation", "unknown")),
        "precision": str(details.get("precision", "unknown")),
        "device": str(details.get("device", "unknown")),
        "normalisation": "features of unit length",
        "details": details,
    }


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect scores."""
    by_package = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            by_package[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return by_package


def _finite(value: float) -> float | None:
    # Nine digits distinguish any two float32 values; a double has seventeen.
    return None if math.isnan(value) else float(f"{value:.9g}")
