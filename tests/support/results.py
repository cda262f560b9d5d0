"""Workspaces with runs and results, and helpers for the results app."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.results import StoredResult, write
from benchmarks.schema import GuessShare, ItemRow, Result, Score
from curation_db.stats.intervals import wilson
from tests.support.curating import LONGEST_WAIT_S
from trainers.run_files import DONE, LOCK, RunWriter
from trainers.settings import RunConfig, TrainSettings, create_run
from workbench.tui.results.app import ResultsApp
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

HOSTILE = "[not a dog] [/x] [@click=app.quit]a[/] \x1b[31mred\x1b]0;title\x07 \u202eback\u2066 [a,b] \\[ 文字 👩‍🚀"
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


def make_run(
    workspace: Workspace,
    name: str,
    steps: int = 40,
    *,
    done: bool = True,
    model: str = "base",
    log: str = "hello",
    settings: TrainSettings | None = None,
    guard: bool = False,
) -> Path:
    """Write the folder of a training run; with `guard`, its validations have all fields and begin at step 0."""
    folder = workspace.root / "runs" / name
    create_run(folder, RunConfig(model=model, export="set-001", cache="cache", settings=settings or TrainSettings()))
    writer = RunWriter(folder)
    (folder / LOCK).touch()
    if guard:
        writer.metrics({"step": 0, "steps": 40, "epoch": 0, "val_loss": 1.25, **_guarded(0)})
    for step in range(1, steps + 1):
        row: dict[str, Any] = {"step": step, "steps": 40, "epoch": step // 10, "loss": 3 * math.exp(-step / 20)}
        row |= {"val_loss": 3.2 - step / 40} if step % 10 == 0 else {}
        row |= _guarded(step) if guard and step % 10 == 0 else {}
        writer.metrics(row | {"lr": 1e-6, "logit_scale": 4.6, "pairs_per_s": 812.5, "seconds": step * 0.5})
    writer.log(log)
    if done:
        writer.end(DONE, {"steps": 40})
    return folder


def _guarded(step: int) -> dict[str, float]:
    """Return further validation fields: the masked loss falls and R@1 on affirmative captions falls with the steps."""
    return {
        "val_masked_loss": 2.2 - step / 40,
        "val_recall_at_1": 0.25 + abs(step - 20) / 100,
        "guard_text_to_image": 0.632 - step / 1000,
        "guard_image_to_text": 0.611 - step / 1000,
    }


def make_result(
    workspace: Workspace,
    task: str,
    model: str,
    right: Sequence[bool],
    *,
    protocol: str = "strict",
    text: str = "",
    reference: str = "",
) -> StoredResult:
    """Write a result whose items are right as in `right`; every second item has the cue "no".

    Args:
        reference: Name of the model that the task is compared with; "" for that of the report.
    """
    rows = [_item(at, good, text) for at, good in enumerate(right)]
    score = _score(sum(right), len(right))
    blind: GuessShare = {**_score(len(right) // 2, len(right)), "ties": 0}
    # fmt: off
    result: Result = {
        "schema": 1, "run": "", "created": f"2025-01-01T00:00:{len(model) % 60:02}Z", "seconds": 1.0,
        "task": {"name": task, "version": "1", "kind": "regions", "dataset_sha256": _sha(task),
                 "pictures_sha256": _sha("p"), "items": len(right), "images": len(right), "chance": 0.5},
        "model": {"name": model, "hash": _sha(model), "visual_hash": _sha("v"), "arch": "tiny", "activation": "gelu",
                  "precision": "fp32", "device": "cpu", "details": {}},
        "protocol": {"name": protocol, "seed": 0, "allow_nan": False},
        "metrics": {"accuracy": score}, "baselines": {"smaller box": blind},
        "ties": 0, "nan": 0, "versions": {}, "items_sha256": "",
    }
    # fmt: on
    if reference:
        result["task"]["reference"] = _sha(reference)
    return write(workspace.root / "results", result, rows)


def _item(at: int, good: bool, text: str) -> ItemRow:
    cue = "no" if at % 2 else "without"
    phrase = text or (f"no hat on dog {at}" if at % 2 else f"dog {at} without a hat")
    # fmt: off
    return {
        "id": f"i{at}", "image": f"s{at}.png", "text": phrase, "options": [[5, 5, 40, 50], [55, 5, 40, 50]],
        "scores": [0.3, 0.2] if good else [0.2, 0.3], "pred": 0 if good else 1, "target": 0, "correct": good,
        "tie": False, "rank": None, "cue": cue, "position": "middle", "cluster": f"s{at}",
        "slices": {"cue": cue, "position": text or "middle"},
    }
    # fmt: on


def _score(correct: int, n: int) -> Score:
    interval = wilson(correct, n)
    return {"correct": correct, "n": n, "value": interval.estimate, "low": interval.low, "high": interval.high}


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def build_workspace(folder: Path) -> Workspace:
    """Create an empty workspace."""
    return create_workspace(folder)


def fill_results(workspace: Workspace) -> None:
    """Add results of two models on three tasks, one of them with different protocols, and images of the demo."""
    for model, denied, affirmed in (("base", 4, 18), ("tuned", 17, 16)):
        make_result(workspace, "demo-negref", model, [at < denied for at in range(20)])
        make_result(workspace, "demo-affirm", model, [at < affirmed for at in range(20)])
        make_result(workspace, "negrefcocog", model, [at % 2 == 0 for at in range(20)])
        make_result(
            workspace, "negrefcocog", model, [model == "base" or at % 2 == 0 for at in range(20)], protocol="official"
        )
    pictures = workspace.root / "benchmarks" / "demo"
    pictures.mkdir(parents=True)
    for at in range(20):
        Image.new("RGB", (100, 60), (40, 60, 80)).save(pictures / f"s{at}.png")


def lines(app: Any) -> str:
    """Return the text of the screen; check that it has no control or override characters."""
    strips = app.screen._compositor.render_strips()
    text = "\n".join("".join(segment.text for segment in strip if not segment.control) for strip in strips)
    assert not [c for c in text if unicodedata.category(c) == "Cc" and c != "\n"], "a control character gets out"
    assert not _BIDI.search(text)
    return text


async def until(pilot: Any, true: Callable[[], bool]) -> None:
    """Wait until `true` returns True."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < deadline:
        await pilot.pause()
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen:\n" + lines(pilot.app))


def running(app: ResultsApp, size: tuple[int, int] = (120, 36)) -> Any:
    """Run the app with notifications."""
    return app.run_test(size=size, notifications=True)
