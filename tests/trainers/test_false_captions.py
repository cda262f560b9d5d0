"""False captions are further texts that no image matches, in the loss of a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image
from support.clip_models import draw_pictures, freeze, make_tiny, pairs_of, tiny_config

from trainers.data.dataset import EpochOrder
from trainers.data.training_data import load
from trainers.errors import RunRefused
from trainers.features.image_features import ImageFeatures
from trainers.loop.finetune import run_training
from trainers.models.loading import load_model
from trainers.models.saving import save_model
from trainers.run_files import LOG, RunWriter, read_metrics
from trainers.settings import RunConfig, create_run


def make_config(root: Path, *, concept: str | None) -> RunConfig:
    """Two pairs of each image; every third denies no thing."""
    items = pairs_of(draw_pictures(root / "pictures", 8), each=2)
    items = [
        replace(item, concept=concept, negation_type="action" if n % 3 == 2 else "absence")
        for n, item in enumerate(items)
    ]
    freeze(root / "export", items)
    save_model(make_tiny(), root / "model")
    return tiny_config(root, steps=1, keep="last", false_captions=True, replay_share=0.25)


def expected_loss(config: RunConfig, scratch: Path) -> float:
    """Return the first loss, of strings and image files, without the tables and the text tower of trainers."""
    loaded = load(config, ImageFeatures(scratch, load_model(config.model)), RunWriter(scratch), lambda: False)
    rows = EpochOrder(len(loaded.train), 6, config.settings.seed).rows(0).tolist()
    pairs = [loaded.train[row] for row in rows]
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{config.model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{config.model}")
    with torch.no_grad():
        images = model.encode_image(torch.stack([preprocess(Image.open(pair.path)) for pair in pairs]), normalize=True)
        texts = model.encode_text(tokenizer([pair.text for pair in pairs]), normalize=True)
        false = [f"{pair.caption} with a hat" for pair in pairs if pair.false_caption is not None]
        assert 0 < len(false) < len(pairs)
        further = model.encode_text(tokenizer(false), normalize=True)
        scale = model.logit_scale.exp()
        by_image = torch.cat([scale * images @ texts.T, scale * images @ further.T], dim=1)
        target = torch.arange(len(pairs))
        by_text = scale * texts @ images.T
        losses = [torch.nn.functional.cross_entropy(logits, target) for logits in (by_image, by_text)]
    return float(sum(losses) / 2)


def test_the_loss_is_that_of_a_plain_computation(tmp_path: Path) -> None:
    config = make_config(tmp_path, concept="hat")
    config = replace(config, settings=replace(config.settings, batch=6, replay_share=0.0))
    create_run(tmp_path / "r", config)
    run_training(tmp_path / "r")
    losses = [row["loss"] for row in read_metrics(tmp_path / "r") if "loss" in row]
    assert losses == pytest.approx([expected_loss(config, tmp_path / "scratch")], rel=1e-5)
    assert "training pairs have a false caption" in (tmp_path / "r" / LOG).read_text()


def test_a_training_replays_beside_false_captions(tmp_path: Path) -> None:
    config = make_config(tmp_path, concept="hat")
    config = replace(config, settings=replace(config.settings, anchor_weight=1.0, same_image_mask=True))
    create_run(tmp_path / "r", config)
    assert run_training(tmp_path / "r")["steps"] == 1


def test_pairs_without_a_false_caption_are_refused(tmp_path: Path) -> None:
    create_run(tmp_path / "r", make_config(tmp_path, concept=None))
    with pytest.raises(RunRefused, match="no training pair has a false caption"):
        run_training(tmp_path / "r")
