"""The comparison of recipes in the demo world: figures against reference values, and a small comparison as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainers.run_files import DONE
from trainers.settings import TrainSettings, read_config
from workbench.demo.comparison.arms import ARMS, RATES, REFERENCE, SHARED, Arm
from workbench.demo.comparison.compare import ComparisonPlan, compare_recipes
from workbench.demo.comparison.summary import arm_figures, choose_rate, u_score
from workbench.demo.comparison.table import as_table
from workbench.errors import UsageError


def accuracies(negref: float, affirm: float) -> dict[str, float]:
    return {"negref": negref, "affirm": affirm, "unseen": 10.0, "retrieval_r1": 60.0}


def test_u_is_0_for_a_model_that_ignores_negation_and_100_for_a_perfect_one() -> None:
    assert [u_score(accuracies(*pair)) for pair in ((0, 100), (100, 0), (50, 50), (100, 100))] == [0, 0, 0, 100]


def test_the_rate_is_chosen_by_the_mean_of_u_over_the_seeds_and_not_by_negated_accuracy() -> None:
    sweep = {
        1e-2: [accuracies(95, 20), accuracies(95, 20)],  # the sign of the text is flipped
        1e-3: [accuracies(60, 99), accuracies(20, 99)],
        3e-3: [accuracies(50, 99), accuracies(50, 99)],
    }
    assert choose_rate(sweep) == 3e-3


def test_of_equal_rates_the_lowest_is_chosen() -> None:
    assert choose_rate({3e-3: [accuracies(40, 90)], 1e-3: [accuracies(40, 90)]}) == 1e-3


def test_intervals_are_those_of_student_over_the_seeds() -> None:
    """Reference: R, t.test(c(80, 82, 84, 86, 88)) gives 84 [80.07, 87.93]."""
    ours = [accuracies(value, 98) for value in (80, 82, 84, 86, 88)]
    other = [accuracies(value, 98) for value in (70, 72, 74, 76, 78)]
    figures = arm_figures(ours, accuracies(2, 99), other)
    assert figures["negated"] == {"mean": 84, "low": 80.07, "high": 87.93}
    assert figures["affirmative"] == {"mean": 98, "low": 98, "high": 98}
    assert figures["affirmative_loss"] == {"mean": 1, "low": 1, "high": 1}
    assert figures["u"] == {"mean": 82, "low": 78.07, "high": 85.93}
    # paired: both vary by seed, their difference does not
    assert figures["u_difference"] == {"mean": 10, "low": 10, "high": 10}


def test_one_seed_has_no_interval() -> None:
    figures = arm_figures([accuracies(80, 98)], accuracies(2, 99), None)
    assert figures["negated"] == {"mean": 80, "low": None, "high": None}
    assert "u_difference" not in figures


def test_all_recipes_take_the_same_number_of_steps_of_the_same_size() -> None:
    settings = [TrainSettings.from_dict(arm.values(lr=1e-3, seed=0)) for arm in ARMS]
    shared = {(each.batch, each.steps, each.patience, each.threads, each.lr) for each in settings}
    assert shared == {(SHARED["batch"], SHARED["steps"], None, 1, 1e-3)}
    assert sorted({arm.name for arm in ARMS}) == sorted(arm.name for arm in ARMS)
    assert REFERENCE in {arm.name for arm in ARMS}
    assert len(RATES) >= 3


def test_a_workspace_is_not_mixed_with_a_comparison(tmp_path: Path) -> None:
    (tmp_path / "negwb.toml").touch()
    with pytest.raises(UsageError, match="is a workspace"):
        compare_recipes(tmp_path, ComparisonPlan(), lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == ["negwb.toml"]


@pytest.mark.long
def test_a_small_comparison_continues_and_reads_the_test_scenes_with_the_chosen_rate_alone(tmp_path: Path) -> None:
    arms = (Arm("negclip", "negclip"), Arm(REFERENCE, "negwb"), Arm("routed", "negwb", routed=True))
    plan = ComparisonPlan(
        seeds=2,
        pictures=24,
        arms=arms,
        rates=(1e-4, 1e-3),
        shared={**SHARED, "steps": 3, "batch": 8},
        validation_scenes=20,
        test_scenes=30,
    )
    started = []
    figures = compare_recipes(tmp_path, plan, lambda *_: None, lambda folder, _: started.append(folder))
    # two rates with the first seed, and the chosen one with the second; the routed arm trains where it chooses another
    assert len(started) == 2 * 2 + len({(arm["recipe"], arm["lr"]) for arm in figures["arms"].values()})
    assert {read_config(folder).settings.lr for folder in started} == {1e-4, 1e-3}
    for name, arm in figures["arms"].items():
        end = ", routed" if name == "routed" else ""
        graded = {
            folder: json.loads((folder / "accuracies.json").read_text())
            for folder in started
            if folder.name.startswith(arm["recipe"])
        }
        of_rate = {
            read_config(folder).settings.lr: [each[f"validation, 20 scenes{end}"]]
            for folder, each in graded.items()
            if f"validation, 20 scenes{end}" in each
        }
        assert arm["validation_u"] == {f"{lr:g}": round(u_score(each), 2) for lr, [each] in of_rate.items()}
        assert arm["lr"] == choose_rate(of_rate)
        tested = [folder for folder, each in graded.items() if f"test, 30 scenes{end}" in each]
        assert [read_config(folder).settings.lr for folder in tested] == [arm["lr"]] * 2
    base = figures["base"]["affirm"]
    assert figures["arms"]["routed"]["affirmative"] == {"mean": base, "low": base, "high": base}
    seeds = {read_config(folder).settings.seed: read_config(folder).export for folder in started}
    assert len(set(seeds.values())) == 2  # each seed has its own pairs

    table = as_table(figures)
    assert [row[0] for row in table.rows] == ["base", "negclip", "negwb", "routed"]

    ended = {folder: (folder / DONE).stat().st_mtime_ns for folder in started}
    (started[0] / DONE).unlink()  # as after a kill
    again = list[Path]()
    assert compare_recipes(tmp_path, plan, lambda *_: None, lambda folder, _: again.append(folder)) == figures
    assert again == [started[0]]
    assert {folder: (folder / DONE).stat().st_mtime_ns for folder in started[1:]} == {
        folder: at for folder, at in ended.items() if folder != started[0]
    }
