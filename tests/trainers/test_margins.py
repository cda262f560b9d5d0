"""Cross-validated margins: each image in one fold, and every pair measured by a model that has not seen its image."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.clip_models import draw_pictures, freeze, make_tiny, pairs_of, tiny_config

from curation_db.enums import NegationType
from curation_db.exporting.manifest import ExportItem
from trainers.data.dataset import TrainingPair, affirmed_caption, split_by_fold
from trainers.errors import TrainerError
from trainers.loop.finetune import run_training
from trainers.margins import measure_margins
from trainers.models.saving import save_model
from trainers.run_files import DONE, MARGINS
from trainers.settings import Fold, RunConfig, create_run

FOLDS = 3


def items_of(pictures: list[Path]) -> list[ExportItem]:
    """Pairs with captions and concepts, two of each image."""
    return [replace(item, concept="red hat", negation_type="absence") for item in pairs_of(pictures, each=2)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folds")
    pictures = draw_pictures(root / "pictures", 10)
    items = items_of(pictures)
    items[0] = replace(items[0], concept=None)
    freeze(root / "export", items)
    save_model(make_tiny(), root / "model")
    return root


def fold_config(root: Path, number: int, *, export: str = "export") -> RunConfig:
    config = tiny_config(root, steps=4, keep="last", replay_share=0.5, guard_images=0)
    return replace(config, export=str(root / export), fold=Fold(number, FOLDS))


def train(folder: Path, config: RunConfig) -> list[dict[str, Any]]:
    create_run(folder, config)
    run_training(folder)
    return [json.loads(line) for line in (folder / MARGINS).read_text().splitlines()]


class TestFolds:
    @pytest.mark.parametrize(("images", "folds"), [(10, 3), (10, 10), (7, 2)])
    def test_each_image_is_in_one_fold(self, images: int, folds: int) -> None:
        pairs = [TrainingPair(f"i{n % images}", Path("x"), "a text") for n in range(3 * images)]
        held_out = []
        for number in range(1, folds + 1):
            train, rows = split_by_fold(pairs, Fold(number, folds), seed=1)
            assert sorted(train + rows) == list(range(len(pairs)))
            assert not {pairs[row].image for row in train} & {pairs[row].image for row in rows}
            held_out.append({pairs[row].image for row in rows})
        assert sorted(image for part in held_out for image in part) == sorted({pair.image for pair in pairs})
        assert max(map(len, held_out)) - min(map(len, held_out)) <= 1

    def test_the_seed_deals_the_images(self) -> None:
        pairs = [TrainingPair(f"i{n}", Path("x"), "a text") for n in range(20)]
        of_seed = [split_by_fold(pairs, Fold(1, 2), seed=seed)[1] for seed in (1, 1, 2)]
        assert of_seed[0] == of_seed[1] != of_seed[2]

    @pytest.mark.parametrize(("number", "of"), [(0, 2), (3, 2), (1, 1)])
    def test_impossible_folds_are_refused(self, number: int, of: int) -> None:
        with pytest.raises(TrainerError, match="folds"):
            Fold(number, of)

    def test_config_json_keeps_the_fold(self, root: Path) -> None:
        config = fold_config(root, 2)
        assert RunConfig.from_text(config.to_text()) == config
        assert "fold" not in json.loads(tiny_config(root).to_text())


@pytest.mark.parametrize(
    ("concept", "negation_type", "affirmed"),
    [
        ("hat", NegationType.ABSENCE, "a man rides with a hat"),
        ("umbrella", NegationType.ABSENCE, "a man rides with an umbrella"),
        ("two dogs", NegationType.ABSENCE, "a man rides with two dogs"),
        ("red dress", NegationType.ATTRIBUTE, "a man rides with a red dress"),
        ("wearing a hat", NegationType.ACTION, "a man rides, wearing a hat"),
        (None, NegationType.ABSENCE, None),
        (" ", NegationType.ABSENCE, None),
    ],
)
def test_the_affirmed_caption_adds_the_concept(
    concept: str | None, negation_type: NegationType, affirmed: str | None
) -> None:
    item = ExportItem(
        key="k", source="s", image_key="1", text="no", caption="a man rides.", concept=concept,
        negation_type=str(negation_type),
    )  # fmt: skip
    assert affirmed_caption(item) == affirmed
    assert affirmed_caption(replace(item, caption=None)) is None


def test_a_margin_is_the_difference_of_two_cosines() -> None:
    model, path = make_tiny(), Path("x")
    pairs = [
        TrainingPair("a", path, "no hat", caption="a dog", concept="hat", affirmed="a dog with a hat"),
        TrainingPair("b", path, "no cat", caption="a tree"),
    ]
    images = torch.nn.functional.normalize(torch.randn(2, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    caption, affirmed = model.encode_texts(["a dog", "a dog with a hat"])
    margins = measure_margins(model, pairs, lambda paths: np.asarray(images))
    assert margins[0].item() == pytest.approx((images[0] @ (caption - affirmed)).item(), abs=1e-6)
    assert margins[1].isnan()


def test_the_folds_measure_every_pair_once(root: Path, tmp_path: Path) -> None:
    """GIVEN all folds of a run THEN each pair with a caption and a concept has one margin, and no model is saved."""
    rows = []
    for number in range(1, FOLDS + 1):
        folder = tmp_path / f"fold-{number}"
        rows += train(folder, fold_config(root, number))
        assert (folder / DONE).is_file()
        assert not list(folder.rglob("*.safetensors")), "no model and no checkpoint"
    assert sorted(row["key"] for row in rows) == sorted(f"c{n}-{turn}" for n in range(10) for turn in (0, 1))[1:]
    assert {row["source"] for row in rows} == {"src"}


def test_no_pair_of_the_fold_is_trained_on(root: Path, tmp_path: Path) -> None:
    """GIVEN other negated captions of the pairs in a fold THEN their margins are the same to the last bit.

    Other negated captions of the pairs outside change them.
    """
    before = train(tmp_path / "before", fold_config(root, 1))
    inside = {row["key"] for row in before}
    items = [json.loads(line) for line in (root / "export" / "items.jsonl").read_text().splitlines()]
    margins = {}
    for name, changes in (("in", lambda key: key in inside), ("out", lambda key: key not in inside)):
        changed = [ExportItem(**{**each, "text": "cat no cat"} if changes(each["key"]) else each) for each in items]
        freeze(root / f"export-{name}", changed)
        margins[name] = train(tmp_path / name, fold_config(root, 1, export=f"export-{name}"))
    assert margins["in"] == before
    assert margins["out"] != before
