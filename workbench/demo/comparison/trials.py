"""One training of the comparison as a run folder, with its accuracies on the exam beside it.

The name of a run holds a hash of its recipe and data: a finished run is used, and a changed recipe is trained anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curation_db.atomic_write import replace_file
from trainers.models.clip_model import ClipModel
from trainers.models.loading import load_model
from trainers.models.routed import route_models
from trainers.run_files import RunState, TrainingStatus, read_run
from trainers.settings import RunConfig, TrainSettings, available_cores, create_run
from workbench.demo.build import StepProgress
from workbench.demo.comparison.arms import Arm
from workbench.demo.comparison.summary import Percents
from workbench.demo.comparison.worlds import TrainingWorld
from workbench.demo.experiment.exam import ExamEncoder, ExamFeatures, encode_exam, grade
from workbench.demo.experiment.experiments import MODEL
from workbench.jobs.training.training import OnStarted, run_all

_RUNS, _CACHE, _ACCURACIES = "runs", "cache", "accuracies.json"


@dataclass(frozen=True, slots=True)
class Trial:
    arm: Arm
    run: Path
    """The run folder; arms can share it."""
    steps: int

    def model(self) -> ClipModel:
        """Load the trained model."""
        tuned = load_model(str(self.run / "model"))
        return route_models(_base_model(), tuned) if self.arm.routed else tuned


def prepare_trial(root: Path, arm: Arm, world: TrainingWorld, *, lr: float, shared: Mapping[str, Any]) -> Trial:
    """Create the run folder of a training in the comparison's folder, or find it."""
    values = arm.values(lr=lr, seed=world.seed, shared=shared)
    digest = hashlib.sha256(json.dumps([values, world.export_sha256], sort_keys=True).encode()).hexdigest()[:8]
    run = root / _RUNS / f"{arm.recipe}-lr-{lr:g}-seed-{world.seed}-{digest}"
    settings = TrainSettings.from_dict(values)
    if not run.exists():
        config = RunConfig(
            model=str(MODEL),
            export=str(world.export),
            pictures=world.pictures,
            cache=str(root / _CACHE),
            settings=settings,
            recipe=arm.applied(settings),
        )
        create_run(run, config)
    return Trial(arm, run, settings.steps or 0)


def train(trials: Sequence[Trial], progress: Callable[[int, int], None], started: OnStarted) -> None:
    """Train the unfinished trials, one process per core.

    Args:
        progress: Callback with the number of steps taken, and of all steps.
        started: Callback with the run folder and the process id.

    Raises:
        TrainerError: a training failed.
        KeyboardInterrupt: the trainings were stopped; the same call continues them.
    """
    steps = {trial.run: trial.steps for trial in trials}
    taken = dict.fromkeys((run.name for run in steps), 0)

    def count(state: RunState) -> None:
        taken[state.name] = state.step
        progress(sum(taken.values()), sum(steps.values()))

    left = []
    for run in steps:
        state = read_run(run)
        count(state)
        if state.status is not TrainingStatus.DONE:
            left.append(run)
    run_all(left, count, started, at_once=available_cores())


class Exam:
    """The exam on one range of scenes. Images are drawn and encoded once, and only where no stored result is read."""

    def __init__(self, name: str, world: int, scenes: int) -> None:
        """
        Args:
            name: Key of the results in the stored files.
            world: Range of the scenes, `exam.VALIDATION` or `exam.TEST`.
            scenes: Number of scenes.
        """
        self._name, self._world, self._scenes = name, world, scenes

    @cached_property
    def _features(self) -> ExamFeatures:
        return encode_exam(_base_model(), self._world, scenes=self._scenes)

    def grade_all(self, trials: Sequence[Trial], progress: StepProgress) -> list[Percents]:
        """Return the accuracies in percent of each trial's model."""
        graded = list[Percents]()
        for trial in trials:
            graded.append(self._grade(trial.run, trial.model, routed=trial.arm.routed))
            progress(f"exam, {self._name}: {trial.arm.name}", len(graded), len(trials))
        return graded

    def grade_base(self, root: Path) -> Percents:
        """Return the accuracies in percent of the base model, stored in `root`."""
        return self._grade(root, _base_model)

    def _grade(self, folder: Path, model: Callable[[], ExamEncoder], *, routed: bool = False) -> Percents:
        path = folder / _ACCURACIES
        stored: dict[str, Percents] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        key = f"{self._name}, {self._scenes} scenes" + (", routed" if routed else "")
        if key not in stored:
            stored[key] = grade(model(), self._features).percent()
            replace_file(path, json.dumps(stored, indent=1) + "\n")
        return stored[key]


def _base_model() -> ClipModel:
    return load_model(str(MODEL))
