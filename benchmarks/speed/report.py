"""Bench `report`: comparing 200 models on one benchmark of 440 items, under both protocols.

Measures the report as the screen and the command ask for it: the first time, and the second time with the figures in
the cache. The reference computes all figures and slices of each row anew, as a report without a cache does. The rows
of all are compared; if one differs, the bench fails.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.analysis.comparison import Report, compare
from benchmarks.protocols import PROTOCOLS
from benchmarks.results import write
from benchmarks.runner import share
from benchmarks.schema import SCHEMA, ItemRow, Result
from benchmarks.speed.lint import make_subjects
from benchmarks.speed.support.harness import report_progress, timed
from benchmarks.task import slices_of

MODELS = 200
ITEMS = 440
_QUICK = 6
_REFERENCE = 20
"""Models of the reference, whose time is in proportion to their number."""


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    models = _QUICK if quick else MODELS
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as temporary:
        folder, cache = Path(temporary) / "results", Path(temporary) / "cache"
        written = timed(lambda: _write_results(folder, models))
        report_progress(f"{2 * models} results in {written:.1f} s")
        few = Path(temporary) / "few"
        _write_results(few, min(models, _REFERENCE))
        reports: list[Report] = []
        reference = timed(lambda: reports.append(compare(few))) * models / min(models, _REFERENCE)
        report_progress(f"reference: {reference:.1f} s for all models")
        first = timed(lambda: reports.append(compare(folder, slices=False, cache=cache)))
        second = timed(lambda: reports.append(compare(folder, slices=False, cache=cache)))
        _check(*reports)
    return {
        "models": models,
        "rows": len(reports[1].rows),
        "items": ITEMS,
        "reference_s": round(reference, 3),
        "first_s": round(first, 3),
        "second_s": round(second, 3),
        "first_ratio": round(reference / first, 2),
        "second_ratio": round(reference / second, 2),
        "notes": [
            "reference: all figures and slices of each row, without a cache",
            f"reference_s is projected from {min(models, _REFERENCE)} models",
        ],
    }


def _check(reference: Report, first: Report, second: Report) -> None:
    """Check that the cache and the absence of slices change no figure.

    Raises:
        RuntimeError: A row differs.
    """
    expected = {row.run: replace(row, slices=()) for row in reference.rows}
    if first != second or any(row != expected.get(row.run, row) for row in first.rows):
        raise RuntimeError("the rows of the cached report differ from the computed ones")


def _write_results(folder: Path, models: int) -> None:
    rng = random.Random(1)
    texts = [subject.text for subject in make_subjects(ITEMS)]
    hard = [rng.random() < 0.57 for _ in texts]
    items = [_item(number, text) for number, text in enumerate(texts)]
    for model in range(models):
        right = [base if rng.random() < 0.8 else rng.random() < 0.6 for base in hard]
        rows = [_answered(item, correct) for item, correct in zip(items, right, strict=True)]
        for protocol in PROTOCOLS:
            write(folder, _result(f"model-{model:03}", protocol, right), rows)


def _item(number: int, text: str) -> ItemRow:
    cuts = slices_of(text)
    image = f"{number // 2:06}.jpg"
    return {
        "id": f"{number:04}",
        "image": image,
        "text": text,
        "options": [[0, 0, 20, 20], [20, 0, 40, 40]],
        "scores": [],
        "pred": None,
        "target": 0,
        "correct": False,
        "tie": False,
        "rank": None,
        "cue": cuts["cue"],
        "position": cuts["position"],
        "cluster": image,
        "slices": cuts,
    }


def _answered(item: ItemRow, correct: bool) -> ItemRow:
    return {**item, "scores": [0.3, 0.2] if correct else [0.2, 0.3], "pred": 0 if correct else 1, "correct": correct}


def _result(model: str, protocol: str, right: Sequence[bool]) -> Result:
    sha256 = hashlib.sha256(model.encode()).hexdigest()
    return {
        "schema": SCHEMA,
        "run": "",
        "created": f"2025-01-01T00:{int(model[-3:]) // 60:02}:{int(model[-3:]) % 60:02}+00:00",
        "seconds": 1.0,
        "task": {
            "name": "negrefcocog",
            "version": "1",
            "kind": "regions",
            "dataset_sha256": "0" * 64,
            "pictures_sha256": "0" * 64,
            "items": len(right),
            "images": len(right) // 2,
            "chance": 0.5,
        },
        "model": {
            "name": model,
            "hash": sha256,
            "visual_hash": "0" * 64,
            "arch": "ViT-B-32",
            "activation": "quickgelu",
            "precision": "fp32",
            "device": "cpu",
            "details": {},
        },
        "protocol": {"name": protocol, "seed": 0, "allow_nan": False},
        "metrics": {"accuracy": share(sum(right), len(right))},
        "baselines": {},
        "ties": 0,
        "nan": 0,
        "versions": {},
        "items_sha256": "",
    }
