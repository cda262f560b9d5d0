"""Validation: shuffled pairs, losses with and without mask, R@1, the guard, and the choice of the best epoch."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from support.clip_models import draw_pictures, freeze, make_tiny, pairs_of, tiny_config
from torch import nn

from trainers.data.dataset import TrainingPair, split_by_caption
from trainers.data.training_data import load
from trainers.errors import RunRefused
from trainers.features.image_features import ImageFeatures
from trainers.loop.batches import Table
from trainers.loop.checkpoints import FOLDER
from trainers.loop.finetune import Interrupted, Trainer, run_training
from trainers.loop.interpolation import alpha_grid, choose_alpha
from trainers.loop.validation import Validator, recall_at_1
from trainers.models.clip_model import WEIGHTS_FILE
from trainers.models.saving import save_model
from trainers.run_files import INTERPOLATION, LOG, Criterion, RunWriter, is_better, read_metrics
from trainers.settings import TrainSettings, create_run

IMAGES, EACH = 60, 5
SCALE = 100.0


class PerfectTower(nn.Module):
    """The feature of a text, whose only token is the number of its image, is the feature of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(SCALE).log())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.eye(IMAGES)[ids[:, 0]]

    encode_all = forward


def perfect() -> Any:
    model = PerfectTower()
    return SimpleNamespace(model=model, text_tower=model, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus in which the captions of an image are neighbours."""
    root = tmp_path_factory.mktemp("validation")
    freeze(root / "export", pairs_of(draw_pictures(root / "pictures", IMAGES), each=EACH))
    save_model(make_tiny(), root / "model")
    return root


def validation_pairs(root: Path, **settings: Any) -> tuple[TrainingPair, ...]:
    config = tiny_config(root, **settings)
    folder = Path(config.cache)
    folder.mkdir(exist_ok=True)
    return load(config, ImageFeatures(folder, make_tiny()), RunWriter(folder), lambda: False).val


def table_of(pairs: tuple[TrainingPair, ...]) -> Table:
    numbers: dict[str, int] = {}
    rows = torch.tensor([numbers.setdefault(pair.image, len(numbers)) for pair in pairs])
    return Table(torch.eye(IMAGES)[: len(numbers)], rows[:, None], rows, torch.arange(len(numbers)))


def test_with_a_perfect_text_tower_the_losses_are_near_their_floor(root: Path) -> None:
    """In the order of the export both would be compared with ln 5 = 1.609: an image's captions are neighbours."""
    settings = {"val_share": 0.9, "batch": 16}
    pairs = validation_pairs(root, **settings)
    assert len(pairs) > 200
    measured = Validator(table_of(pairs), None, TrainSettings(**settings)).measure(perfect())
    assert measured.masked_loss < 1e-6
    assert measured.recall_at_1 == 1.0
    assert measured.loss < 0.35 * math.log(EACH)
    masked = TrainSettings(**settings, same_image_mask=True)
    assert Validator(table_of(pairs), None, masked).measure(perfect()).loss == measured.masked_loss


def test_the_order_depends_on_the_seed_alone(root: Path) -> None:
    orders = [[pair.text for pair in validation_pairs(root, seed=seed)] for seed in (3, 3)]
    assert orders[0] == orders[1]
    images = [pair.image for pair in validation_pairs(root, val_share=0.9, seed=3)]
    neighbours = sum(one == other for one, other in itertools.pairwise(images))
    assert neighbours < len(images) / 4, "in the order of the export it is 4 of 5"


def test_the_split_by_caption_is_the_published_one(root: Path) -> None:
    np.random.seed(42)
    indices = list(range(IMAGES * EACH))
    np.random.shuffle(indices)
    at = int(np.floor(0.2 * len(indices)))
    assert split_by_caption(IMAGES * EACH, val_share=0.2, seed=42) == (indices[at:], indices[:at])
    texts = [item.text for item in pairs_of(draw_pictures(root / "again", IMAGES), each=EACH)]
    read = validation_pairs(root, split="caption")
    assert [pair.text for pair in read] == [texts[row] for row in indices[:at]]


def test_the_validation_of_a_split_by_caption_is_the_published_mean() -> None:
    """Batches of 2, 2 and 1 have the same weight: (ln 2 + ln 2 + 0) / 3 with features that are all equal."""
    table = Table(torch.eye(IMAGES)[:5], torch.zeros(5, 1, dtype=torch.long), torch.arange(5), torch.arange(5))
    features = Table(torch.ones(5, IMAGES) / math.sqrt(IMAGES), table.ids, table.image_rows, table.names)
    by_caption, by_image = (TrainSettings(batch=2, split=split) for split in ("caption", "image"))
    assert Validator(features, None, by_caption).measure(perfect()).loss == pytest.approx(2 / 3 * math.log(2))
    assert Validator(features, None, by_image).measure(perfect()).loss == pytest.approx(4 / 5 * math.log(2))


class TestRecall:
    def test_a_tie_is_wrong(self) -> None:
        keys = torch.eye(3)
        relevant = torch.tensor([[0, 0], [1, 1]])
        assert recall_at_1(torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]), keys, relevant) == 1.0
        assert recall_at_1(torch.tensor([[1.0, 1, 0], [0, 1.0, 0]]), keys, relevant) == 0.5
        assert recall_at_1(torch.zeros(2, 3), keys, relevant) == 0.0

    def test_each_relevant_key_is_right(self) -> None:
        keys = torch.eye(3)
        relevant = torch.tensor([[0, 0], [0, 1]])
        for best in (0, 1):
            assert recall_at_1(keys[best : best + 1], keys, relevant) == 1.0
        assert recall_at_1(torch.tensor([[1.0, 1, 0]]), keys, relevant) == 1.0, "both are right: no tie with others"
        assert recall_at_1(keys[2:], keys, relevant) == 0.0

    def test_many_queries_are_cut_into_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trainers.loop.validation._CHUNK", 4)
        queries, rows = torch.eye(10), torch.arange(10)
        assert recall_at_1(queries, queries, torch.stack([rows, rows], 1)) == 1.0
        assert recall_at_1(queries, queries, torch.stack([rows, rows.roll(1)], 1)) == 0.0

    def test_equal_texts_of_two_images_are_one_query(self) -> None:
        ids = torch.tensor([[0], [0], [1]])
        table = Table(torch.eye(IMAGES)[[0, 0, 1]], ids, torch.arange(3), torch.arange(3))
        settings = TrainSettings()
        measured = Validator(table, table, settings).measure(perfect())
        assert measured.recall_at_1 == 1.0
        assert measured.guard == (1.0, 1.0)


@pytest.mark.parametrize(
    ("criterion", "value", "best", "better"),
    [
        ("loss", 1.0, 2.0, True),
        ("masked_loss", 2.0, 1.0, False),
        ("recall_at_1", 0.5, 0.4, True),
        ("recall_at_1", 0.4, 0.4, False),
        ("recall_at_1", 0.0, None, True),
    ],
)
def test_a_better_value(criterion: Criterion, value: float, best: float | None, better: bool) -> None:
    assert is_better(criterion, value, best) is better


@pytest.mark.parametrize("criterion", ["loss", "masked_loss", "recall_at_1"])
def test_the_best_epoch_is_chosen_by_the_criterion(root: Path, tmp_path: Path, criterion: Criterion) -> None:
    create_run(tmp_path / "r", tiny_config(root, epochs=3, lr=2e-2, batch=64, criterion=criterion))
    done = run_training(tmp_path / "r")
    key = {"loss": "val_loss", "masked_loss": "val_masked_loss", "recall_at_1": "val_recall_at_1"}[criterion]
    rows = [row for row in read_metrics(tmp_path / "r") if key in row and row["step"]]
    sign = -1 if criterion == "recall_at_1" else 1
    best = min(rows, key=lambda row: sign * row[key])
    assert len(rows) == 3
    assert (done["criterion"], done["best_value"], done["kept_step"]) == (criterion, best[key], best["step"])
    saved = {key: best[key] for key in done["validation"]}
    assert done["validation"] == pytest.approx(saved), "the saved model is the one of that epoch"
    assert not (tmp_path / "r" / FOLDER).exists()


def test_the_interpolated_model_is_validated_again(root: Path, tmp_path: Path) -> None:
    """A run that interpolates little is close to the base model, not to its last epoch."""
    create_run(tmp_path / "r", tiny_config(root, epochs=3, lr=2e-2, batch=64, interpolation=1e-5))
    done = run_training(tmp_path / "r")
    assert done["validation"]["val_loss"] == pytest.approx(done["validation_base"]["val_loss"], abs=0.01)
    assert abs(done["validation"]["val_loss"] - done["best_value"]) > 0.05


class TestChoiceOfInterpolation:
    """Alpha is the largest at which the guard, affirmative captions of validation images, loses little."""

    SETTINGS: ClassVar = {"epochs": 2, "lr": 2e-2, "batch": 64, "val_share": 0.5, "keep": "last"}

    @pytest.fixture(scope="class")
    def chosen(self, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("choice") / "r"
        create_run(folder, tiny_config(root, **self.SETTINGS, interpolation=0.4, interpolation_max_loss=0.01))
        run_training(folder)
        return folder

    def test_the_curve_and_the_choice_are_in_the_folder(self, chosen: Path) -> None:
        done = json.loads((chosen / "done.json").read_text())
        choice = json.loads((chosen / INTERPOLATION).read_text())
        assert done["interpolation"] == choice
        curve = [(row["alpha"], (row["guard_text_to_image"], row["guard_image_to_text"])) for row in choice["curve"]]
        assert [alpha for alpha, _ in curve] == alpha_grid(0.4)
        assert choice["alpha"] == choose_alpha(curve, 0.01)
        assert 0 < choice["alpha"] < 0.4, "else this test shows nothing"
        guard = ("guard_text_to_image", "guard_image_to_text")
        assert curve[0][1] == tuple(done["validation_base"][name] for name in guard)
        assert dict(curve)[choice["alpha"]] == tuple(done["validation"][name] for name in guard)
        assert (choice["max_loss"], choice["images"]) == (0.01, done["data"]["validate"]["pictures"])
        assert f"interpolation {choice['alpha']:g} is chosen on the guard" in (chosen / LOG).read_text()

    def test_the_weights_are_those_of_the_chosen_alpha(self, chosen: Path, root: Path, tmp_path: Path) -> None:
        alpha = json.loads((chosen / INTERPOLATION).read_text())["alpha"]
        create_run(tmp_path / "r", tiny_config(root, **self.SETTINGS, interpolation=alpha))
        run_training(tmp_path / "r")
        assert (tmp_path / "r/model" / WEIGHTS_FILE).read_bytes() == (chosen / "model" / WEIGHTS_FILE).read_bytes()

    def test_a_signal_during_the_choice_costs_no_step(
        self, chosen: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "r"
        create_run(folder, tiny_config(root, **self.SETTINGS, interpolation=0.4, interpolation_max_loss=0.01))
        with pytest.raises(Interrupted):
            run_training(folder, stop=lambda: "interpolation 0.2: " in (folder / LOG).read_text())
        assert not (folder / INTERPOLATION).exists()
        monkeypatch.setattr(Trainer, "learn", None)
        run_training(folder)
        assert (folder / "model" / WEIGHTS_FILE).read_bytes() == (chosen / "model" / WEIGHTS_FILE).read_bytes()

    def test_without_captions_it_is_refused_before_the_first_step(self, tmp_path: Path) -> None:
        items = pairs_of(draw_pictures(tmp_path / "pictures", 12), each=2)
        freeze(tmp_path / "export", [replace(item, caption=None) for item in items])
        save_model(make_tiny(), tmp_path / "model")
        create_run(tmp_path / "r", tiny_config(tmp_path, val_share=0.5, interpolation_max_loss=0.02))
        with pytest.raises(RunRefused, match="with original captions are 0") as refused:
            run_training(tmp_path / "r")
        assert "interpolation_max_loss" in refused.value.hint
        assert not read_metrics(tmp_path / "r")


def test_the_guard_is_measured_at_each_epoch(root: Path, tmp_path: Path) -> None:
    create_run(tmp_path / "r", tiny_config(root, epochs=2, batch=64))
    done = run_training(tmp_path / "r")
    first, *rows = [row for row in read_metrics(tmp_path / "r") if "val_loss" in row]
    assert first["step"] == 0, "the base model, before the first step"
    assert {name: first[name] for name in done["validation_base"]} == done["validation_base"]
    assert [{"guard_text_to_image", "guard_image_to_text"} <= row.keys() for row in rows] == [True, True]
    assert all(0 <= row["guard_text_to_image"] <= 1 for row in rows)
    assert "guard_text_to_image" in done["validation_base"]
    assert json.loads((tmp_path / "r" / "done.json").read_text())["validation"] == done["validation"]
    create_run(tmp_path / "off", tiny_config(root, epochs=1, batch=64, guard_images=0))
    assert "guard_text_to_image" not in run_training(tmp_path / "off")["validation"]
