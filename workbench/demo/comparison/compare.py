"""The whole comparison: data of each seed, sweep of the learning rate, trainings of all seeds, exam, figures.

Everything is stored as it is finished, and the same call continues an interrupted comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from workbench.demo.build import StepProgress
from workbench.demo.comparison.arms import ARMS, RATES, REFERENCE, SHARED, Arm
from workbench.demo.comparison.summary import Percents, arm_figures, choose_rate, mean_u
from workbench.demo.comparison.trials import Exam, Trial, prepare_trial, train
from workbench.demo.comparison.worlds import TrainingWorld, make_world
from workbench.demo.experiment.exam import SCENES, TEST, VALIDATION
from workbench.demo.experiment.exam_files import SCENES as TEST_SCENES
from workbench.errors import UsageError
from workbench.jobs.training.training import OnStarted
from workbench.workspace.layout import SETTINGS_FILE


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """Extent of a comparison."""

    seeds: int = 5
    """Seeds of the images, of the candidates and of the order of the data, for the chosen learning rates."""
    sweep_seeds: int = 1
    """Number of the first seeds with which all learning rates are compared."""
    pictures: int = 700
    """Images to curate per seed."""
    arms: tuple[Arm, ...] = ARMS
    rates: tuple[float, ...] = RATES
    shared: Mapping[str, Any] = field(default_factory=lambda: SHARED)
    validation_scenes: int = SCENES
    test_scenes: int = TEST_SCENES
    """Each scene has an affirmed and a denied phrase."""


def compare_recipes(
    folder: Path, plan: ComparisonPlan, progress: StepProgress, started: OnStarted = lambda folder, pid: None
) -> dict[str, Any]:
    """Run the comparison in `folder`, or continue it; return its figures as JSON types.

    Raises:
        UsageError: the folder is a workspace.
        TrainerError: a training failed.
        KeyboardInterrupt: interrupted; the same call continues.
    """
    if (folder / SETTINGS_FILE).exists():
        raise UsageError(f"{folder} is a workspace", hint="name another folder: negwb demo FOLDER --compare-recipes")
    root = folder.absolute()
    worlds = [
        make_world(root / f"seed-{seed}", seed, pictures=plan.pictures, progress=progress)
        for seed in range(max(plan.seeds, plan.sweep_seeds))
    ]
    trials = partial(_trials, root, plan)
    sweep = {arm: {lr: trials(arm, lr, worlds[: plan.sweep_seeds]) for lr in plan.rates} for arm in plan.arms}
    in_sweep = (trial for by_rate in sweep.values() for each in by_rate.values() for trial in each)
    train(list(in_sweep), partial(progress, "training: sweep of the learning rate"), started)
    exam = Exam("validation", VALIDATION, plan.validation_scenes)
    validated = {
        arm: {lr: exam.grade_all(each, progress) for lr, each in by_rate.items()} for arm, by_rate in sweep.items()
    }
    rates = {arm: choose_rate(by_rate) for arm, by_rate in validated.items()}

    final = {arm: trials(arm, rates[arm], worlds[: plan.seeds]) for arm in plan.arms}
    train([trial for each in final.values() for trial in each], partial(progress, "training: all seeds"), started)
    exam = Exam("test", TEST, plan.test_scenes)
    tested = {arm: exam.grade_all(each, progress) for arm, each in final.items()}
    base = exam.grade_base(root)
    return {
        "seeds": plan.seeds,
        "sweep_seeds": plan.sweep_seeds,
        "pairs": [world.pairs for world in worlds],
        "steps": plan.shared["steps"],
        "batch": plan.shared["batch"],
        "rates": list(plan.rates),
        "base": base,
        "arms": {arm.name: _figures(arm, rates[arm], validated[arm], tested, base) for arm in plan.arms},
    }


def _trials(root: Path, plan: ComparisonPlan, arm: Arm, lr: float, worlds: Iterable[TrainingWorld]) -> list[Trial]:
    return [prepare_trial(root, arm, world, lr=lr, shared=plan.shared) for world in worlds]


def _figures(
    arm: Arm,
    lr: float,
    validated: Mapping[float, Sequence[Percents]],
    tested: Mapping[Arm, Sequence[Percents]],
    base: Percents,
) -> dict[str, Any]:
    reference = next((each for other, each in tested.items() if other.name == REFERENCE and other != arm), None)
    return {
        "recipe": arm.recipe,
        "lr": lr,
        "validation_u": {f"{rate:g}": round(mean_u(each), 2) for rate, each in validated.items()},
        **arm_figures(tested[arm], base, reference),
    }
