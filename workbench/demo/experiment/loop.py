"""The demo's second half: train on what was accepted and on everything the judges passed, examine both and the base.

Both trainings take the same steps from the same model; only what they learn from differs, so the difference on the
denied phrases is what the person was worth: the curation gain.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.protocols import Protocol
from benchmarks.results import StoredResult, list_results
from curation_db.exporting.manifest import Manifest
from curation_db.stats.intervals import Interval, cluster_bootstrap_difference, student_t
from trainers.run_files import RunState, TrainingStatus, read_run
from workbench.demo.experiment.exam_files import AFFIRM, FIND, NEGREF, TASKS
from workbench.demo.experiment.experiments import ALL, MODEL, TUNED, Experiment, find_or_freeze, find_or_make_run
from workbench.jobs.training import OnStarted, run_all
from workbench.workspace.layout import Workspace
from workbench.workspace.models import BASE, Model, find_model, short_name
from workbench.workspace.operations import RESULTS, find_task, run_benches

Progress = Callable[[str, int, int], None]
TaskResults = dict[str, StoredResult]
"""A model's results by task."""
STRICT = Protocol("strict")
_KEYS = {NEGREF: "negref", AFFIRM: "affirm", FIND: "retrieval_r1"}


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What is trained: a run folder for each experiment and seed."""

    export: Manifest
    """What was accepted."""
    runs: dict[Experiment, list[Path]]
    """By seed."""

    def folders(self) -> list[Path]:
        """All of them, experiments of one seed beside each other."""
        return [folder for of_seed in zip(*self.runs.values(), strict=True) for folder in of_seed]


def make_plan(workspace: Workspace, *, event: int, experiments: Sequence[Experiment], seeds: int) -> DemoPlan:
    """Freeze the experiments' sets as of `event` and make their run folders, or find those of an earlier time.

    Raises:
        NothingToDo: nothing was accepted.
    """
    sets = {experiment.name: find_or_freeze(workspace, experiment, event) for experiment in experiments}
    runs = {
        experiment: [find_or_make_run(workspace, experiment, sets[experiment.name].name, seed) for seed in range(seeds)]
        for experiment in experiments
    }
    return DemoPlan(sets[TUNED.name], runs)


def train(folders: Sequence[Path], progress: Progress, started: OnStarted = lambda folder, pid: None) -> None:
    """Train what is not trained yet, a process on each core; `started` is called with each process.

    Raises:
        TrainerError: one failed.
        KeyboardInterrupt: stopped; the same call goes on.
    """

    def tell(state: RunState) -> None:
        if state.steps:
            progress(f"training {state.name}", state.step, state.steps)

    left = [folder for folder in folders if read_run(folder).status is not TrainingStatus.DONE]
    run_all(left, tell, started, at_once=_cores())


def _cores() -> int:
    """Those this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_exam(
    workspace: Workspace, folders: Sequence[Path], started: Callable[[Model], None] = lambda model: None
) -> dict[str, TaskResults]:
    """The strict results on the exam of the base and of the trained runs, measured where they are not there yet.

    `started` is called before a model is loaded.

    Returns:
        By name of the run, or `BASE`; then by task.

    Raises:
        BenchError: a task cannot be run.
    """
    tasks = [find_task(workspace, name) for name in TASKS]
    ends = {folder.name: read_run(folder).result for folder in folders}
    hashes = {name: str(end["model"]["model_hash"]) for name, end in ends.items()}
    hashes[BASE] = str(next(iter(ends.values()))["base"]["model_hash"])
    known = _results(workspace)
    for name in sorted(hashes, key=lambda name: name != BASE):
        missing = [task for task in tasks if (hashes[name], task.dataset_sha256) not in known]
        if missing:
            model = Model(str(MODEL), short_name(str(MODEL))) if name == BASE else find_model(workspace, name)
            run_benches(workspace, missing, [model], rules=(STRICT,), started=started)
    known = _results(workspace)
    return {name: {task.name: known[model, task.dataset_sha256] for task in tasks} for name, model in hashes.items()}


def _results(workspace: Workspace) -> dict[tuple[str, str], StoredResult]:
    """The newest strict ones, by the hashes of model and data."""
    listed = list_results(workspace.root / RESULTS).results
    strict = [stored for stored in listed if stored.result["protocol"]["name"] == STRICT.name]
    return {(stored.result["model"]["hash"], stored.result["task"]["dataset_sha256"]): stored for stored in strict}


def figures(plan: DemoPlan, marks: dict[str, TaskResults]) -> dict[str, Any]:
    """Accuracies in percent, by experiment (means over the seeds), and the curation gain in percentage points."""
    told: dict[str, Any] = {"base": _percent([marks[BASE]])}
    for experiment, folders in plan.runs.items():
        told[experiment.key] = _percent([marks[folder.name] for folder in folders])
    pairs = [
        (marks[ours.name], marks[theirs.name]) for ours, theirs in zip(plan.runs[TUNED], plan.runs[ALL], strict=True)
    ]
    gain = curation_gain(pairs)
    told["curation_gain"] = {
        "mean": round(100 * gain.estimate, 2),
        "low": round(100 * gain.low, 2),
        "high": round(100 * gain.high, 2),
    }
    return told


def _percent(each: Sequence[TaskResults]) -> dict[str, float]:
    def mean(task: str) -> float:
        values = [next(iter(marks[task].result["metrics"].values()))["value"] for marks in each]
        return round(100 * sum(values) / len(values), 2)

    return {key: mean(task) for task, key in _KEYS.items()}


def curation_gain(pairs: Sequence[tuple[TaskResults, TaskResults]]) -> Interval:
    """Share right of the denied phrases: tuned - trained on all, paired by item, with its 95 % interval.

    One pair of trainings: a bootstrap clustered by scene, so the interval is about the exam's questions. Several: the
    differences of the pairs as a t sample, so it is about the seed of the trainings.
    """
    differences = [_difference(ours, theirs) for ours, theirs in pairs]
    return differences[0] if len(differences) == 1 else student_t([each.estimate for each in differences])


def _difference(ours: TaskResults, theirs: TaskResults) -> Interval:
    mine, other = (
        {item["id"]: (item["correct"], item["cluster"]) for item in marks[NEGREF].items()} for marks in (ours, theirs)
    )
    right, clusters = zip(*mine.values(), strict=True)
    return cluster_bootstrap_difference(right, [other[name][0] for name in mine], clusters)
