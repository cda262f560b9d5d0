"""The cost of a training: its arithmetic, and the measurement on a tiny model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.clip_models import tiny_config

from trainers.__main__ import DONE_CODE, FAILED_CODE, main
from trainers.cost import COST, TrainingCost, missing_of, read_cost, write_cost
from trainers.cost_probe import probe_cost
from trainers.errors import TrainerError
from trainers.interrupts import Interrupted
from trainers.loop.finetune import run_training
from trainers.recipes.recipe import list_recipes, read_recipe
from trainers.run_files import TrainingStatus, read_run
from trainers.settings import RunConfig, create_run, write_config

ONE = TrainingCost(
    load_s=2, images=1000, missing_images=400, image_s=0.05, pairs=3000, batch=512, steps=90, step_s=1.5,
    validations=17, texts=12_000, text_s=0.002,
)  # fmt: skip


def test_the_parts_of_the_cost() -> None:
    assert (ONE.features_s, ONE.steps_s, ONE.texts_s) == pytest.approx((20, 135, 24))
    assert ONE.total_s == pytest.approx(181)


@pytest.mark.parametrize(
    ("images", "sampled", "computed", "missing"),
    [(1000, 64, 64, 936), (1000, 64, 16, 234), (1000, 64, 0, 0), (40, 40, 40, 0), (0, 0, 0, 0)],
)
def test_the_images_without_features_are_extrapolated(images: int, sampled: int, computed: int, missing: int) -> None:
    assert missing_of(images, sampled=sampled, computed=computed) == missing


def test_a_cost_is_read_as_written_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    write_cost(tmp_path, ONE)
    assert read_cost(tmp_path) == ONE
    content = json.loads((tmp_path / COST).read_text())
    for damaged in ("", "[]", "{}", json.dumps(content | {"steps": "x"})):
        (tmp_path / COST).write_text(damaged)
        with pytest.raises(TrainerError):
            read_cost(tmp_path)


RICH = {
    "replay_share": 0.5, "false_captions": False, "hard_pictures": 2, "anchor_weight": 1.0, "same_image_mask": True,
    "schedule": "cosine", "warm_up": 0.1, "clip_norm": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {"split": "caption"},
        {"steps": 7, **RICH},
        pytest.param({"val_share": 0.0, "keep": "last"}, marks=pytest.mark.long),
    ],
)
def test_the_counts_are_those_of_the_training(
    corpus: Path, tmp_path: Path, own_threads: None, settings: dict[str, object]
) -> None:
    config = tiny_config(corpus, **settings)
    probe, run = tmp_path / "probe", tmp_path / "run"
    probe.mkdir()
    write_config(probe, config)
    cost = probe_cost(probe)
    assert sorted(path.name for path in probe.iterdir()) == ["config.json", COST, "log.txt"], "nothing is trained"
    assert cost == read_cost(probe)
    assert min(cost.load_s, cost.step_s, cost.text_s) > 0
    assert (cost.images, cost.batch) == (24, 8)
    create_run(run, config)
    done = run_training(run)
    assert cost.steps == done["steps"]
    if settings.get("split") == "caption":  # otherwise the split depends on the content of the images
        assert cost.pairs == done["data"]["train"]["pairs"]
    validated = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines() if "val_loss" in line]
    assert cost.validations == (len(validated) + 1 if validated else 0), "the saved model is validated, too"


@pytest.mark.parametrize("recipe", [recipe.name for recipe in list_recipes()])
def test_every_recipe_can_be_measured(corpus: Path, tmp_path: Path, own_threads: None, recipe: str) -> None:
    small = {"batch": 8, "threads": 1}
    write_config(tmp_path, tiny_config(corpus, **read_recipe(recipe).settings | small))
    assert probe_cost(tmp_path).step_s > 0


def test_the_features_of_the_sample_stay_in_the_store(corpus: Path, tmp_path: Path, own_threads: None) -> None:
    config = replace(tiny_config(corpus), cache=str(tmp_path / "cache"))
    (tmp_path / "probe").mkdir()
    write_config(tmp_path / "probe", config)
    assert probe_cost(tmp_path / "probe").missing_images == 0, "24 images are one sample"
    (index,) = (tmp_path / "cache").glob("features/*/rows.jsonl")
    assert len(index.read_text().splitlines()) == 24


def test_the_child_reports_a_refusal_and_an_interruption(corpus: Path, tmp_path: Path, own_threads: None) -> None:
    def folder(name: str, config: RunConfig) -> Path:
        (tmp_path / name).mkdir()
        write_config(tmp_path / name, config)
        return tmp_path / name

    good = folder("good", tiny_config(corpus))
    with pytest.raises(Interrupted):
        probe_cost(good, stop=lambda: True)
    assert not (good / COST).exists()
    assert main(["--cost", str(good)]) == DONE_CODE
    assert read_cost(good).steps > 0
    bad = folder("bad", replace(tiny_config(corpus), model=str(tmp_path / "none")))
    assert main(["--cost", str(bad)]) == FAILED_CODE
    state = read_run(bad)
    assert (state.status, state.result["refused"]) == (TrainingStatus.FAILED, True)
