"""Which settings of runs differ, and how runs are grouped by one."""

from __future__ import annotations

from typing import Any

from trainers.run_files import TrainingStatus
from trainers.settings import AppliedRecipe, RunConfig, TrainSettings
from workbench.jobs.training.run_comparison import differing, group_runs, settings_of
from workbench.jobs.training.run_monitor import RunRow


def config(recipe: str = "", **settings: Any) -> RunConfig:
    applied = AppliedRecipe(name=recipe, summary="s", settings={}) if recipe else None
    return RunConfig(model="m", export="/e/set-001", cache="c", settings=TrainSettings(**settings), recipe=applied)


def row(name: str, value: str | None, best: float | None = None, **more: Any) -> RunRow:
    settings = {} if value is None else {"lr": value}
    best_point = None if best is None else (10.0, best)
    return RunRow(name, TrainingStatus.DONE, settings=settings, best=best_point, **more)


def test_exactly_the_settings_with_different_values_differ() -> None:
    runs = [config(lr=1e-6, seed=1), config(lr=5e-6, seed=1, frozen=("visual.",)), config("negwb", lr=1e-6, seed=1)]
    assert differing([settings_of(each) for each in runs]) == ["recipe", "lr", "frozen"]
    assert differing([settings_of(runs[0])] * 2) == []
    assert differing([]) == []


def test_a_setting_that_one_run_lacks_differs() -> None:
    assert differing([{"lr": "1"}, {}]) == ["lr"]


def test_settings_have_all_choices_as_text() -> None:
    settings = settings_of(config("negwb", lr=5e-6, steps=None))
    assert (settings["model"], settings["export"], settings["device"]) == ("m", "/e/set-001", "cpu")
    assert (settings["recipe"], settings["lr"], settings["steps"]) == ("negwb", "5e-06", "none")
    assert settings["keep"] == "best"
    assert settings.keys() > TrainSettings().to_dict().keys()


def test_groups_are_in_the_order_of_their_numbers_and_keep_the_order_within() -> None:
    rows = [row("a", "1e-5"), row("b", "2e-6"), row("damaged", None), row("c", "1e-5"), row("d", "none")]
    groups = group_runs(rows, "lr")
    assert [(group.value, [each.name for each in group.rows]) for group in groups] == [
        ("2e-6", ["b"]),
        ("1e-5", ["a", "c"]),
        ("none", ["d"]),
        ("", ["damaged"]),
    ]


def test_the_mean_of_a_group_needs_a_value_of_each_run_and_one_criterion() -> None:
    def mean(*rows: RunRow) -> float | None:
        (group,) = group_runs(rows, "lr")
        return group.mean_best

    assert mean(row("a", "1", 2.0), row("b", "1", 3.0)) == 2.5
    assert mean(row("a", "1", 2.0), row("b", "1")) is None
    assert mean(row("a", "1", 2.0), row("b", "1", 0.3, criterion="recall_at_1")) is None
