"""Scores of a finished run over alpha, its interpolation with the base model; in this process: nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.run_files import GUARD_IMAGE_TO_TEXT, GUARD_TEXT_TO_IMAGE, TrainingStatus, read_run, read_work
from trainers.settings import RunConfig, read_config
from workbench.errors import UsageError
from workbench.jobs.training.runs import new_run_folder
from workbench.workspace.layout import Workspace
from workbench.workspace.models import MODEL, find_run, require_torch, short_name

if TYPE_CHECKING:
    from benchmarks.schema import Score
    from benchmarks.task import Task
    from trainers.alpha_sweep import InterpolatedModel
    from trainers.loop.validation import Validator

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """Scores of the weights base + alpha * (tuned - base)."""

    alpha: float
    validation: dict[str, float]
    """Fields of `Validation.to_row`; empty for a run without validation pairs."""
    tasks: dict[str, Score] = field(default_factory=dict)
    """Headline metric under the strict protocol, by task."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A score from 0 to 1 that a plot shows."""

    name: str
    value: Callable[[SweepPoint], float]


@dataclass(frozen=True, slots=True)
class Sweep:
    run: Path
    config: RunConfig
    base: str
    interpolation: float
    """Share of the trained weights in the model of the run, which is that of alpha = 1."""
    points: list[SweepPoint]
    negated: Axis | None
    """None: no score on negated texts was measured; like `affirmative`."""
    affirmative: Axis | None


class AlphaSweep:
    """The models and the tasks of a sweep, loaded once."""

    def __init__(
        self,
        workspace: Workspace,
        run: str,
        tasks: Sequence[Task],
        *,
        device: str = "cpu",
        progress: Progress = lambda stage, done, total: None,
        started: Callable[[str], None] = lambda line: None,
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        """
        Args:
            run: A finished run that is not routed.
            progress: Called with the name of a step, what is done of it, and its total.
            started: Called with a line before each step that takes seconds.
            warn: Called with each warning about a model or the cache.

        Raises:
            UsageError: the run does not exist, is unfinished or routed, or has nothing to measure.
            TrainerError: a model or the data of the run cannot be loaded.
        """
        self._workspace, self._tasks = workspace, tasks
        self._progress, self._warn = progress, warn
        self.folder = _finished_run(workspace, run)
        self.config = read_config(self.folder)
        if self.config.routed:
            hint = "its alpha would change one of its two text towers: sweep the run that it was made of"
            raise UsageError(f"{run} is a routed model", hint=hint)
        if not self.config.settings.val_share and not tasks:
            raise UsageError(f"the run {run} has no validation pairs", hint="name tasks to measure: --task TASK")
        require_torch()
        from trainers.alpha_sweep import InterpolatedModel, validator_of  # noqa: PLC0415  # torch takes seconds
        from trainers.models.loading import load_model  # noqa: PLC0415

        started(f"reading the base {self.config.model} and {self.folder.name}")
        base, tuned = (load_model(spec, device=device) for spec in (self.config.model, str(self.folder / MODEL)))
        for line in dict.fromkeys((*base.warnings, *tuned.warnings)):
            warn(line)
        self._interpolated: InterpolatedModel = InterpolatedModel(base, tuned)

        def log(line: str) -> None:
            if work := read_work(line):
                progress(*work)

        self._validator: Validator | None = validator_of(self.config, tuned, log)

    def measure(self, alphas: Sequence[float]) -> Sweep:
        """Return the scores of each alpha.

        Raises:
            BenchError: a task cannot be run.
        """
        from trainers.alpha_sweep import interpolation_of  # noqa: PLC0415

        points = []
        for number, alpha in enumerate(alphas):
            self._progress("alpha", number, len(alphas))
            points.append(self._point(alpha))
        self._progress("alpha", len(alphas), len(alphas))
        negated, affirmative = self._axes(points[0])
        share = interpolation_of(self.config.settings, self.folder)
        return Sweep(self.folder, self.config, short_name(self.config.model), share, points, negated, affirmative)

    def _point(self, alpha: float) -> SweepPoint:
        from benchmarks.protocols import Protocol  # noqa: PLC0415
        from benchmarks.runner import measure  # noqa: PLC0415

        self._interpolated.set_alpha(alpha)
        model, cache = self._interpolated.model, self._workspace.cache
        validation = {} if self._validator is None else self._validator.measure(model).to_row()
        scores = {}
        for task in self._tasks:
            metrics = measure(model, task, protocol=Protocol("strict"), cache_folder=cache, warn=self._warn)
            scores[task.name] = next(iter(metrics.values()))
        return SweepPoint(alpha, validation, scores)

    def _axes(self, point: SweepPoint) -> tuple[Axis | None, Axis | None]:
        """Return the axes of the plot: the first task of either kind, else validation and guard."""
        from benchmarks.affirmative_twins import is_negated_task  # noqa: PLC0415
        from benchmarks.schema import NO_CUE  # noqa: PLC0415

        negated: list[Axis] = []
        affirmative: list[Axis] = []
        for task in self._tasks:
            is_negated = is_negated_task(task.name, (item.slices.get("cue", NO_CUE) for item in task.items))
            (negated if is_negated else affirmative).append(_task_axis(task.name))
        if point.validation:
            negated.append(Axis("R@1 of the validation texts", lambda each: each.validation["val_recall_at_1"]))
        if GUARD_TEXT_TO_IMAGE in point.validation:
            affirmative.append(Axis("affirmative R@1 (mean of both directions)", _guard))
        return next(iter(negated), None), next(iter(affirmative), None)

    def save(self, point: SweepPoint, name: str | None = None) -> Path:
        """Save the model of `point` as a run, and return its folder.

        Raises:
            UsageError: the name is invalid.
            TrainerError: the folder exists, or it cannot be written.
        """
        from trainers.alpha_sweep import save_interpolated_run  # noqa: PLC0415

        folder = self.new_folder(point.alpha, name)
        self._interpolated.set_alpha(point.alpha)
        save_interpolated_run(self.folder, self._interpolated.model, point.alpha, folder, point.validation)
        return folder

    def new_folder(self, alpha: float, name: str | None) -> Path:
        """Return the folder of the run that `save` creates.

        Raises:
            UsageError: the name is invalid or taken.
        """
        folder = new_run_folder(self._workspace, name or f"{self.folder.name}-alpha-{alpha:g}")
        if folder.exists():
            raise UsageError(f"{folder} exists already", hint="choose another name: --name NAME")
        return folder


def _finished_run(workspace: Workspace, run: str) -> Path:
    folder = find_run(workspace, run)
    if folder is None:
        raise UsageError(f"there is no run {run!r}", hint="list the runs: negwb report --runs")
    if read_run(folder).status is not TrainingStatus.DONE:
        raise UsageError(f"the run {run} is not finished", hint=f"continue it with: negwb train --resume {run}")
    return folder


def _task_axis(name: str) -> Axis:
    return Axis(name, lambda point: point.tasks[name]["value"])


def _guard(point: SweepPoint) -> float:
    return (point.validation[GUARD_TEXT_TO_IMAGE] + point.validation[GUARD_IMAGE_TO_TEXT]) / 2


def sweep_json(sweep: Sweep) -> dict[str, Any]:
    return {
        "run": sweep.run.name,
        "base": sweep.base,
        "interpolation": sweep.interpolation,
        "protocol": "strict",
        "points": [
            {"alpha": point.alpha, "validation": point.validation, "tasks": point.tasks} for point in sweep.points
        ],
    }
