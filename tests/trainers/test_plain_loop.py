"""Oracle: a training of ours ends where the published loop ends, which is written plainly in `plain_trainer`.

The published recipe is the default one. Captions have different lengths, several belong to one image, some are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import open_clip
import pytest
import torch
from support.clip_models import draw_pictures, freeze, make_tiny, pairs_of, tiny_config
from torch import Tensor

from benchmarks.speed.support.plain_trainer import ImageText, PlainTrainer, distance
from trainers.data.dataset import EpochOrder
from trainers.data.training_data import load
from trainers.features.image_features import ImageFeatures
from trainers.loop.finetune import Trainer, run_training
from trainers.models.loading import load_model
from trainers.models.saving import save_model
from trainers.run_files import RunWriter, read_metrics
from trainers.settings import RunConfig, TrainSettings, create_run

STEPS = 40
LOSS_TOLERANCE = 1e-5
"""Relative."""
WEIGHT_TOLERANCE = 1e-3
"""Distance from the reference, relative to the distance that the reference has moved."""

State = dict[str, Tensor]


@dataclass(frozen=True)
class Trained:
    losses: list[float]
    state: State


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    root = tmp_path_factory.mktemp("oracle")
    items = pairs_of(draw_pictures(root / "pictures", 12), each=5)
    items[7] = replace(items[7], text=items[30].text)
    items[8] = replace(items[8], text=items[7].text)
    freeze(root / "export", items)
    save_model(make_tiny(context_length=77), root / "model")
    return tiny_config(root, steps=STEPS, batch=16, lr=1e-4, keep="last")


@pytest.fixture(scope="module")
def start(config: RunConfig) -> State:
    return dict(load_model(config.model).model.state_dict())


@pytest.fixture(scope="module")
def reference(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The published loop over the batches of ours, with the model as open_clip loads it."""
    scratch = tmp_path_factory.mktemp("reference")
    loaded = load(config, ImageFeatures(scratch, load_model(config.model)), RunWriter(scratch), lambda: False)
    pairs = [ImageText(pair.path, pair.text) for pair in loaded.train]
    order = EpochOrder(len(pairs), config.settings.batch, config.settings.seed, drop_last=True)
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{config.model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{config.model}")
    assert tokenizer(["a dog"]).shape == (1, 77)
    trainer = PlainTrainer(model, preprocess, tokenizer, lr=config.settings.lr)
    losses = [trainer.step([pairs[row] for row in order.rows(step).tolist()]) for step in range(STEPS)]
    return Trained(losses, dict(model.state_dict()))


def ours(config: RunConfig, folder: Path) -> Trained:
    create_run(folder, config)
    run_training(folder)
    return Trained(
        [row["loss"] for row in read_metrics(folder) if row["step"]],
        dict(load_model(str(folder / "model")).model.state_dict()),
    )


def assert_equal_training(trained: Trained, reference: Trained, start: State) -> None:
    assert trained.losses == pytest.approx(reference.losses, rel=LOSS_TOLERANCE)
    assert distance(trained.state, reference.state) <= WEIGHT_TOLERANCE * distance(reference.state, start)


def test_a_training_ends_where_the_published_loop_ends(
    config: RunConfig, reference: Trained, start: State, tmp_path: Path
) -> None:
    published = TrainSettings()
    assert config.settings.frozen == published.frozen
    assert (config.settings.weight_decay, config.settings.betas) == (published.weight_decay, published.betas)
    assert_equal_training(ours(config, tmp_path / "r"), reference, start)
    assert not torch.equal(reference.state["logit_scale"], start["logit_scale"])
    assert torch.equal(reference.state["ln_final.weight"], start["ln_final.weight"])


def test_a_trainer_that_does_nothing_fails(
    config: RunConfig, reference: Trained, start: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "learn", lambda trainer, batch, step: trainer.loss(batch).item())
    idle = ours(config, tmp_path / "r")
    assert distance(idle.state, start) == 0
    with pytest.raises(AssertionError):
        assert_equal_training(idle, reference, start)
    for part in (replace(idle, losses=reference.losses), replace(idle, state=reference.state)):
        with pytest.raises(AssertionError):
            assert_equal_training(part, reference, start)
