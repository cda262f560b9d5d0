"""The default recipe is the published one: its losses equal those of a plain loop without trimming and caches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from support.clip_models import tiny_config
from torch.nn import functional

from trainers.dataset import EpochOrder
from trainers.feature_store import ImageFeatures
from trainers.finetune import run_training
from trainers.models.loading import load_model
from trainers.run_files import RunWriter, read_metrics
from trainers.settings import RunConfig, TrainSettings, create_run
from trainers.training_data import load

STEPS = 12


def _plain(config: RunConfig, scratch: Path) -> list[float]:
    """AdamW on the trained weights, symmetric cross-entropy, images encoded at every step."""
    loaded, settings = load_model(config.model), config.settings
    model = loaded.model
    store = ImageFeatures(scratch / "cache", loaded)
    pairs = load(config, store, RunWriter(scratch), lambda: False).train
    trained = [p for n, p in model.named_parameters() if not n.startswith(("visual.", "ln_final."))]
    optimizer = torch.optim.AdamW(trained, lr=settings.lr, betas=(0.9, 0.999), weight_decay=0.01)
    order = EpochOrder(len(pairs), settings.batch, settings.seed, drop_last=True)
    losses = []
    for step in range(STEPS):
        batch = [pairs[row] for row in order.rows(step).tolist()]
        with torch.no_grad():
            pixels = torch.stack([loaded.preprocess(Image.open(pair.path)) for pair in batch])
            images = functional.normalize(model.encode_image(pixels), dim=-1)
        texts = functional.normalize(model.encode_text(loaded.tokenizer([pair.text for pair in batch])), dim=-1)
        logits = model.logit_scale.exp() * images @ texts.T
        target = torch.arange(len(batch))
        loss = (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_losses_are_those_of_a_plain_loop(corpus: Path, tmp_path: Path) -> None:
    config = tiny_config(corpus, steps=STEPS)
    published = TrainSettings()
    assert config.settings.frozen == published.frozen
    assert (config.settings.weight_decay, config.settings.betas) == (published.weight_decay, published.betas)
    create_run(tmp_path / "r", config)
    run_training(tmp_path / "r")
    ours = [row["loss"] for row in read_metrics(tmp_path / "r")]
    assert ours == pytest.approx(_plain(config, tmp_path), abs=1e-5)
    assert max(ours) - min(ours) > 0.01, "it learned something"
