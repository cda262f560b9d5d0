"""Sets that cannot teach are named before the first step, and a loss that stays at chance in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from support.clip_models import draw_pictures, freeze, make_tiny, pairs_of, tiny_config

from curation_db.exporting.manifest import ExportItem
from trainers.data.data_checks import cut_negations, repeated_pairs, same_image_share
from trainers.data.dataset import TrainingPair
from trainers.loop.batches import BatchSource, Table
from trainers.loop.finetune import Trainer, run_training
from trainers.models.saving import save_model
from trainers.settings import TrainSettings, create_run

CONTEXT = 24
LONG = "a man and a dog and a tree and a ball and a cup and a cat"
"""19 tokens with start and end: 5 more fit."""


def pair(text: str, image: str = "i", concept: str | None = "hat") -> TrainingPair:
    return TrainingPair(image, Path("p"), text, concept=concept)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("a man with no hat", False),
        (f"no hat on {LONG} and {LONG}", False),
        (f"{LONG} with red and no hat", False),
        (f"{LONG} with a red and no hat", True),
        (f"{LONG} and {LONG} with no hat", True),
        (f"{LONG} and {LONG} without a concept", True),
        (f"{LONG} and {LONG}", False),
    ],
)
def test_a_negation_behind_the_token_limit_is_cut_off(text: str, cut: bool) -> None:
    assert bool(cut_negations([pair("a hat"), pair(text)], make_tiny().tokenizer, CONTEXT)) is cut


def test_the_negation_of_the_concept_counts() -> None:
    """The first "no" is read, but the one of the concept is not."""
    text = f"no cat, {LONG} and a man with no hat"
    tokenizer = make_tiny().tokenizer
    assert cut_negations([pair(text, concept="cat"), pair(text, concept="hat")], tokenizer, CONTEXT) == [1]


def test_a_pair_is_repeated_with_the_same_image_and_text() -> None:
    pairs = [pair("No hat."), pair("no hat", "other"), pair("no  hat"), pair("no cat"), pair("no hat!")]
    assert repeated_pairs(pairs) == [2, 4]


def test_the_share_of_rows_with_another_text_of_their_image() -> None:
    """Images 0 and 1 have two texts each, 2 to 5 have one: 4 of the 8 rows of the only batch."""
    images = torch.tensor([0, 0, 1, 1, 2, 3, 4, 5])
    pairs = Table(torch.eye(6), torch.zeros(8, 1), images, torch.arange(6))
    assert same_image_share(BatchSource(pairs, None, TrainSettings(batch=8, epochs=1))) == 0.5


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checks")
    paths = draw_pictures(root / "pictures", 6)
    texts = (f"{LONG} and {LONG} with no hat", "no cat here", "no cat here")
    items = [
        ExportItem(key=f"{p.stem}-{n}", source="src", image_key=p.stem, file_name=p.name, text=text)
        for p in paths
        for n, text in enumerate(texts)
    ]
    freeze(root / "export", items)
    freeze(root / "good", pairs_of(paths, each=1))
    save_model(make_tiny(), root / "model")
    return root


def test_what_cannot_teach_is_named_before_the_first_step(root: Path, tmp_path: Path) -> None:
    create_run(tmp_path / "r", tiny_config(root, steps=1, batch=18, val_share=0, keep="last"))
    data = run_training(tmp_path / "r")["data"]
    log = (tmp_path / "r" / "log.txt").read_text()
    cut = "warning: 6 texts of 18 lose the negation, which is behind the limit of 24 tokens; the first is: "
    assert cut + LONG in log
    assert "warning: 6 pairs of 18 repeat an image with the same text; the first is: no cat here\n" in log
    assert "warning: 100.0% of the rows of a batch have another text of their image in it" in log
    assert (data["cut_negations"], data["repeated_pairs"], data["same_image_share"]) == (6, 6, 1.0)
    assert data["first_cut_negation"].startswith(LONG)
    assert json.loads((tmp_path / "r" / "done.json").read_text())["data"] == data


def test_a_sound_set_gives_no_warning(root: Path, tmp_path: Path) -> None:
    config = json.loads(tiny_config(root, steps=1, val_share=0, keep="last").to_text()) | {"export": str(root / "good")}
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "config.json").write_text(json.dumps(config))
    data = run_training(tmp_path / "r")["data"]
    assert (data["cut_negations"], data["first_cut_negation"], data["repeated_pairs"]) == (0, None, 0)
    assert "warning" not in (tmp_path / "r" / "log.txt").read_text()


CHANCE = "the loss is still that of chance"


@pytest.mark.parametrize(
    ("steps", "share", "warned"), [(40, 1.2, True), (40, 0.99, True), (40, 0.9, False), (19, 1.2, False)]
)
def test_a_loss_that_stays_at_chance_gives_one_warning(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, share: float, warned: bool
) -> None:
    """The losses are those of chance times a share; the two terms of other losses do not count."""

    def learn(self: Trainer, batch: Any, step: int) -> float:
        self.contrast = torch.tensor(share * self.chance_loss(batch))
        return 99.0

    monkeypatch.setattr(Trainer, "learn", learn)
    create_run(tmp_path / "r", tiny_config(root, steps=steps, batch=18, val_share=0, keep="last"))
    run_training(tmp_path / "r")
    log = (tmp_path / "r" / "log.txt").read_text()
    assert log.count(CHANCE) == warned
    assert (f"after 20 steps {CHANCE}: {share * math.log(18):.3f}, with ln(batch) = 2.890" in log) == warned
