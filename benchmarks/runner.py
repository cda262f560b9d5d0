"""Runs a task on a model and files what came out.

The features are computed once for all protocols asked for; each protocol is a result of its own. Nothing is filed
unless every item was judged under every protocol.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.protocols import BOTH, Protocol, blind_credit, judge, judge_rank
from benchmarks.results import StoredResult
from benchmarks.schema import NO_CUE, SCHEMA, GuessShare, ItemRow, ModelFacts, Result, Score, TaskFacts
from benchmarks.scoring import Identity, Progress, Scores, TextImageEncoder, score
from benchmarks.task import BenchItem, Task
from benchmarks.tasks.retrieval import RECALLS
from curation_db.stats.intervals import wilson
from trainers.feature_store import Floats as Features

_PACKAGES = ("negwb", "torch", "torchvision", "open_clip_torch", "transformers", "numpy", "pillow")


def run_task(
    model: TextImageEncoder,
    task: Task,
    *,
    results_folder: Path,
    cache_folder: Path | None = None,
    protocols: Sequence[Protocol] = BOTH,
    label: str | None = None,
    progress: Progress | None = None,
) -> tuple[StoredResult, ...]:
    """Evaluates `model` on `task` and adds one result per protocol to `results_folder`.

    Args:
        model: what the benchmarks need of one, see `TextImageEncoder`.
        task: read already; its pictures are checked before anything is computed.
        results_folder: where results go; made if absent.
        cache_folder: where features are kept between runs; None keeps none.
        protocols: rules to judge by.
        label: the model's name in reports; by default what it calls itself.
        progress: told stage, done and total.

    Raises:
        BenchError: pictures are missing or damaged, or a score is NaN under a protocol that refuses it.
    """
    started = time.perf_counter()
    scores = score(model, task, cache=cache_folder, progress=progress)
    judged = [(rule, list(_rows(task, scores, rule))) for rule in protocols]
    seconds = time.perf_counter() - started
    facts = _model_facts(scores.identity, label)
    return tuple(
        results.write(results_folder, _result(task, scores, facts, rule, rows, seconds), rows) for rule, rows in judged
    )


def _rows(task: Task, scores: Scores, rule: Protocol) -> Iterator[ItemRow]:
    if task.kind == "retrieval":
        for item, row in zip(task.items, scores.of_gallery(), strict=True):
            yield _retrieval_row(task, item, row, rule)
        return
    for item, options in zip(task.items, scores.of_options, strict=True):
        yield _region_row(item, options, rule)


def _region_row(item: BenchItem, similarities: Sequence[float], rule: Protocol) -> ItemRow:
    told = judge(item, similarities, rule)
    row = _row(item, [list(box) for box in item.options], similarities, item.target)
    return {**row, "pred": told.pred, "correct": told.correct, "tie": told.tie}


def _retrieval_row(task: Task, item: BenchItem, similarities: Features, rule: Protocol) -> ItemRow:
    told = judge_rank(item, similarities, rule)
    order = similarities.argsort()[::-1]  # NaN first: the culprit is the one to show
    rival = int(next(place for place in order if place != item.target))
    shown = [float(similarities[place]) for place in (item.target, rival)]
    row = _row(item, [item.image, task.gallery[rival]], shown, 0)
    right = told.rank == 1
    return {**row, "pred": None if told.nan else int(not right), "correct": right, "tie": told.tie, "rank": told.rank}


def _row(item: BenchItem, options: list[Any], similarities: Sequence[float], target: int) -> ItemRow:
    """What is known before anybody judged."""
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
    return {
        "schema": SCHEMA,
        "run": "",
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "seconds": round(seconds, 3),
        "task": _task_facts(task, scores),
        "model": model,
        "protocol": {"name": rule.name, "seed": rule.seed, "allow_nan": rule.allow_nan},
        "metrics": _metrics(task, rows),
        "baselines": {name: _guess(task, name, rule) for name in task.baselines},
        "ties": sum(row["tie"] for row in rows),
        "nan": sum(None in row["scores"] for row in rows),
        "versions": versions(),
        "items_sha256": "",
    }


def _metrics(task: Task, rows: Sequence[ItemRow]) -> dict[str, Score]:
    if task.kind == "regions":
        return {"accuracy": share(sum(row["correct"] for row in rows), len(rows))}
    ranks = [row["rank"] or math.inf for row in rows]
    return {f"recall_at_{k}": share(sum(rank <= k for rank in ranks), len(rows)) for k in RECALLS}


def _guess(task: Task, baseline: str, rule: Protocol) -> GuessShare:
    """What a guess is right about on average; of a fraction the interval is that of the nearest whole number."""
    credits = [blind_credit(item, task.baselines[baseline], rule) for item in task.items]
    correct, n = round(math.fsum(each.right for each in credits), 6), len(task.items)
    near = wilson(round(correct), n)
    # fmt: off
    return {"correct": correct, "n": n, "value": correct / n, "low": min(near.low, correct / n),
            "high": max(near.high, correct / n), "ties": sum(each.tied for each in credits)}
    # fmt: on


def share(correct: int, n: int) -> Score:
    """A share with its 95 % Wilson interval."""
    interval = wilson(correct, n)
    return {"correct": correct, "n": n, "value": interval.estimate, "low": interval.low, "high": interval.high}


def _task_facts(task: Task, scores: Scores) -> TaskFacts:
    return {
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


def _model_facts(model: Identity, label: str | None) -> ModelFacts:
    told = {key: value if _plain(value) else str(value) for key, value in model.told.items()}
    return {
        "name": label or str(told.get("name") or told.get("arch") or model.model_hash[:12]),
        "hash": model.model_hash,
        "visual_hash": model.visual_hash,
        "arch": str(told.get("arch", "unknown")),
        "activation": str(told.get("activation", "unknown")),
        "precision": str(told.get("precision", "unknown")),
        "device": str(told.get("device", "unknown")),
        "details": told,
    }


def _plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def versions() -> dict[str, str]:
    """Of python and of what decides about numbers."""
    told = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            told[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return told


def _finite(value: float) -> float | None:
    # Nine digits tell any two float32 apart; the double behind one has seventeen.
    return None if math.isnan(value) else float(f"{value:.9g}")
