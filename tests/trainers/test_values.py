"""Values with a closed form: the validation loss and the interpolated weights."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.clip_models import tiny_config
from torch import nn

from trainers.loop.batches import Table
from trainers.loop.finetune import Interrupted, Trainer, run_training
from trainers.loop.validation import Validation, Validator
from trainers.run_files import read_metrics
from trainers.settings import TrainSettings, create_run

PAIR = math.log(1 + math.exp(-1))
"""Cross-entropy of two pairs that match, at a scale of 1: softmax of (1, 0). Of one pair alone it is 0."""
THREE = math.log(1 + 2 * math.exp(-1))
"""Of three."""


class Plain(nn.Module):
    """The text's feature is the row of its first token; the scale is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(0.0))
        self.rows = nn.Parameter(torch.eye(8))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.rows[ids[:, 0]]


def trainer(*, pairs: int = 0, batch: int = 2, interpolation: float = 1.0) -> Trainer:
    model: Any = Plain()
    stand_in: Any = SimpleNamespace(model=model, text_tower=model, device=torch.device("cpu"))
    rows = torch.arange(pairs)
    settings = TrainSettings(batch=batch, interpolation=interpolation, frozen=("visual.",))
    validator = Validator(Table(torch.eye(8), rows[:, None], rows, torch.arange(8)), None, settings) if pairs else None
    feed: Any = None
    return Trainer(stand_in, feed, validator, settings)


def validation(*, pairs: int, batch: int) -> Validation:
    measured = trainer(pairs=pairs, batch=batch).validate()
    assert measured is not None
    return measured


@pytest.mark.parametrize(
    ("pairs", "batch", "loss"),
    [
        (2, 2, PAIR),
        (3, 2, (2 * PAIR + 1 * 0) / 3),  # two batches, of two and of one; their plain mean would be PAIR / 2
        (5, 2, (2 * PAIR + 2 * PAIR + 1 * 0) / 5),
        (5, 3, (3 * THREE + 2 * PAIR) / 5),
        (1, 2, 0.0),
        (3, 512, THREE),
    ],
)
def test_the_validation_loss_is_the_mean_over_pairs(pairs: int, batch: int, loss: float) -> None:
    measured = validation(pairs=pairs, batch=batch)
    assert (measured.loss, measured.masked_loss) == pytest.approx((loss, loss), abs=1e-6)


def test_without_validation_pairs_there_is_no_loss() -> None:
    assert trainer(pairs=0).validate() is None


@pytest.mark.parametrize(("share", "first", "second"), [(0.25, 1.75, 0.5), (0.75, 3.25, 1.5), (1.0, 4.0, 2.0)])
def test_interpolation_is_the_share_of_what_was_learned(share: float, first: float, second: float) -> None:
    """From 1 to 4 and from 0 to 2: a quarter of the way is 1.75 and 0.5."""
    one = trainer()
    with torch.no_grad():
        one.weights["rows"][0, 0] = 4.0
        one.weights["rows"][0, 1] = 2.0
    one.interpolate(share)
    assert one.weights["rows"][0, 0].item() == pytest.approx(first)
    assert one.weights["rows"][0, 1].item() == pytest.approx(second)
    assert one.weights["rows"][1, 1].item() == 1.0, "what did not move stays"


def test_the_model_of_a_run_lies_so_far_from_the_base(corpus: Path, tmp_path: Path) -> None:
    config = tiny_config(corpus, steps=6, keep="last")
    shares = {"whole": 1.0, "quarter": 0.25}
    for name, share in shares.items():
        create_run(tmp_path / name, replace(config, settings=replace(config.settings, interpolation=share)))
        run_training(tmp_path / name)
    base, whole, quarter = (
        load_file(folder / "open_clip_model.safetensors")
        for folder in (corpus / "model", tmp_path / "whole" / "model", tmp_path / "quarter" / "model")
    )
    moved = [name for name, value in base.items() if not torch.equal(value, whole[name])]
    assert moved
    for name in moved:
        expected = base[name] + 0.25 * (whole[name] - base[name])
        torch.testing.assert_close(quarter[name], expected, atol=1e-6, rtol=1e-5)


def test_the_logit_scale_is_clamped_after_each_step(corpus: Path, tmp_path: Path) -> None:
    largest = 10.0
    config = tiny_config(corpus, steps=1, keep="last", logit_scale_max=largest)
    create_run(tmp_path / "r", config)
    run_training(tmp_path / "r")
    assert load_file(corpus / "model" / "open_clip_model.safetensors")["logit_scale"].exp() > largest
    assert [row["logit_scale"] for row in read_metrics(tmp_path / "r") if row["step"]] == pytest.approx(
        [math.log(largest)]
    )
    assert (
        load_file(tmp_path / "r" / "model" / "open_clip_model.safetensors")["logit_scale"].exp() <= largest * 1.000001
    )


def test_a_training_stops_early_after_epochs_without_a_smaller_loss(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best epoch is the 4th, an equal loss is not smaller: patience 2 ends after the 6th. So does a resumed run."""
    losses = iter([0.05, 3.0, 2.0, 2.5, 1.9, 1.9, 2.0, 0.1, 0.1])  # the first is of the base model
    monkeypatch.setattr(Trainer, "validate", lambda _: Validation(next(losses), 0.0, 0.0))
    config, folder = tiny_config(corpus, epochs=8, patience=2, batch=16), tmp_path / "r"
    create_run(folder, config)
    with pytest.raises(Interrupted):
        run_training(folder, stop=lambda: len([row for row in read_metrics(folder) if "val_loss" in row]) == 7)
    done, per_epoch = run_training(folder), read_metrics(folder)[-1]["steps"] // 8
    assert (done["steps"], done["kept_step"], done["stopped_early"]) == (6 * per_epoch, 4 * per_epoch, True)


def test_a_training_without_patience_takes_all_steps(corpus: Path, tmp_path: Path) -> None:
    create_run(tmp_path / "r", tiny_config(corpus, steps=3))
    assert run_training(tmp_path / "r")["stopped_early"] is False
