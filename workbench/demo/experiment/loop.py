"""The demo's training and evaluation: train every experiment, run the exam on them and on the base model.

All trainings take the same number of steps from the same model and differ only in their data, so the difference
between `tuned` and `trained-on-all` on denied phrases measures human curation: the curation gain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.protocols import Protocol
from benchmarks.results import StoredResult, list_results
from curation_db.exporting.manifest import Manifest
from curation_db.stats.intervals import Interval, cluster_bootstrap_difference, student_t
from trainers.run_files import RunState, TrainingStatus, read_run
from trainers.settings import available_cores
from workbench.demo.experiment.exam_files import AFFIRM, FIND, NEGREF, TASKS, TWINS
from workbench.demo.experiment.experiments import ALL, MODEL, TUNED, Experiment, find_or_make_run
from workbench.jobs.training.training import OnStarted, run_all
from workbench.workspace.layout import Workspace
from workbench.workspace.models import BASE, Model, find_model, short_name
from workbench.workspace.operations import RESULTS, find_or_freeze, find_task, run_benches

TaskResults = dict[str, StoredResult]
"""Results of a model by task."""
STRICT = Protocol("strict")
_KEYS = {NEGREF: "negref", AFFIRM: "affirm", FIND: "retrieval_r1", TWINS: "twins"}


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """Run folders of all experiments and seeds."""

    export: Manifest
    """The export of the accepted pairs."""
    runs: dict[Experiment, list[Path]]
    """Run folders by experiment; the index is the seed."""

    def folders(self) -> list[Path]:
        """Return all run folders, ordered by seed."""
        return [folder for of_seed in zip(*self.runs.values(), strict=True) for folder in of_seed]


def make_plan(workspace: Workspace, *, event: int, experiments: Sequence[Experiment], seeds: int) -> DemoPlan:
    """Freeze the experiments' exports as of `event` and make their run folders, or find existing ones.

    Raises:
        NothingToDo: no pair was accepted.
    """
    exports = {each.name: find_or_freeze(workspace, each.selection, event) for each in experiments}
    runs = {
        each: [find_or_make_run(workspace, each, exports[each.name].name, seed) for seed in range(seeds)]
        for each in experiments
    }
    return DemoPlan(exports[TUNED.name], runs)


def train(
    folders: Sequence[Path],
    progress: Callable[[str, int, int], None],
    started: OnStarted = lambda folder, pid: None,
) -> None:
    """Train the unfinished runs, one process per core.

    Args:
        progress: Callback with the name of the run, its step and its number of steps.
        started: Callback with the run folder and the process id.

    Raises:
        TrainerError: a training failed.
        KeyboardInterrupt: the trainings were stopped; the same call continues them.
    """

    def report_state(state: RunState) -> None:
        if state.steps:
            progress(f"training {state.name}", state.step, state.steps)

    left = [folder for folder in folders if read_run(folder).status is not TrainingStatus.DONE]
    run_all(left, report_state, started, at_once=available_cores())


def run_exam(
    workspace: Workspace, folders: Sequence[Path], started: Callable[[Model], None] = lambda model: None
) -> dict[str, TaskResults]:
    """Return the strict exam results of the base model and of the trained runs; evaluate those that are missing.

    Args:
        started: Callback before a model is loaded.

    Returns:
        Results by name of the run, or `BASE`; then by task.

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
    """Return the newest strict results by the hashes of model and dataset."""
    listed = list_results(workspace.root / RESULTS).results
    strict = [stored for stored in listed if stored.result["protocol"]["name"] == STRICT.name]
    return {(stored.result["model"]["hash"], stored.result["task"]["dataset_sha256"]): stored for stored in strict}


def figures(plan: DemoPlan, results: dict[str, TaskResults]) -> dict[str, Any]:
    """Return accuracies in percent by experiment (means over seeds) and the curation gain in percentage points."""
    report: dict[str, Any] = {"base": _percent([results[BASE]])}
    for experiment, folders in plan.runs.items():
        report[experiment.key] = _percent([results[folder.name] for folder in folders])
    pairs = [
        (results[ours.name], results[theirs.name])
        for ours, theirs in zip(plan.runs[TUNED], plan.runs[ALL], strict=True)
    ]
    gain = curation_gain(pairs)
    report["curation_gain"] = {
        "mean": round(100 * gain.estimate, 2),
        "low": round(100 * gain.low, 2),
        "high": round(100 * gain.high, 2),
    }
    return report


def _percent(each: Sequence[TaskResults]) -> dict[str, float]:
    def mean(task: str) -> float:
        values = [next(iter(results[task].result["metrics"].values()))["value"] for results in each]
        return round(100 * sum(values) / len(values), 2)

    return {key: mean(task) for task, key in _KEYS.items()}


def curation_gain(pairs: Sequence[tuple[TaskResults, TaskResults]]) -> Interval:
    """Return the accuracy on denied phrases of tuned minus trained-on-all, paired by item, with its 95 % interval.

    With one pair of trainings the interval is a bootstrap clustered by scene: it covers the choice of questions. With
    several pairs it is a Student t interval of the differences: it covers the seed of the trainings.
    """
    differences = [_difference(ours, theirs) for ours, theirs in pairs]
    return differences[0] if len(differences) == 1 else student_t([each.estimate for each in differences])


def _difference(ours: TaskResults, theirs: TaskResults) -> Interval:
    mine, other = (
        {item["id"]: (item["correct"], item["cluster"]) for item in results[NEGREF].items()}
        for results in (ours, theirs)
    )
    right, clusters = zip(*mine.values(), strict=True)
    return cluster_bootstrap_difference(right, [other[name][0] for name in mine], clusters)
