"""The identity of an image is its content: in the split, the pool, the masks and done.json."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.clip_models import draw_pictures, freeze, make_tiny, pairs_of, tiny_config

from trainers.data.dataset import split_by_caption, write_pool
from trainers.data.training_data import TrainingData, load, tables
from trainers.errors import RunRefused, TrainerError
from trainers.features.image_features import ImageFeatures
from trainers.loop.finetune import Interrupted, run_training
from trainers.models.saving import save_model
from trainers.run_files import RunWriter
from trainers.settings import RunConfig, create_run

PICTURES = 12


def corpus_of(root: Path, *, pictures: int = PICTURES, each: int = 2) -> Path:
    """Create a corpus in `root` in which every second image has two names."""
    paths = draw_pictures(root / "pictures", pictures)
    for path in paths[::2]:
        twin = path.with_name(f"twin-{path.name}")
        shutil.copyfile(path, twin)
        paths.append(twin)
    freeze(root / "export", pairs_of(paths, each=each))
    save_model(make_tiny(), root / "model")
    return root


def gathered(config: RunConfig) -> TrainingData:
    folder = Path(config.cache)
    folder.mkdir(exist_ok=True)
    return load(config, ImageFeatures(folder, make_tiny()), RunWriter(folder), lambda: False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return corpus_of(tmp_path)


def pool_of(root: Path, names: list[str]) -> str:
    (root / "pool").mkdir()
    for name in names:
        shutil.copyfile(root / "pictures" / name, root / "pool" / f"of-{name}")
    write_pool(root / "pool" / "pool.jsonl", [(f"of-{name}", (f"a picture {name}",)) for name in names])
    return str(root / "pool" / "pool.jsonl")


def test_a_split_by_caption_is_of_the_pairs_in_the_order_of_the_export(root: Path) -> None:
    texts = [pair.text for pair in gathered(tiny_config(root, val_share=0.0, keep="last")).train]
    read = gathered(tiny_config(root, split="caption", seed=7))
    rows = split_by_caption(len(texts), val_share=0.2, seed=7)
    assert [[pair.text for pair in part] for part in (read.train, read.val)] == [
        [texts[row] for row in part] for part in rows
    ]
    assert {pair.image for pair in read.train} & {pair.image for pair in read.val}


def test_a_picture_under_two_names_is_on_one_side(root: Path) -> None:
    for seed in range(5):
        read = gathered(tiny_config(root, val_share=0.4, seed=seed))
        train, val = ({pair.path.read_bytes() for pair in pairs} for pairs in (read.train, read.val))
        assert train
        assert val
        assert not train & val


def test_what_is_validated_on_is_not_in_the_pool(root: Path) -> None:
    names = [path.name for path in sorted((root / "pictures").iterdir())]
    config = tiny_config(root, val_share=0.4, replay_share=0.5, replay_pool=pool_of(root, names))
    read = gathered(config)
    assert read.pool is not None
    pooled, validated = ({each.path.read_bytes() for each in some} for some in (read.pool, read.val))
    assert not pooled & validated
    assert len(pooled) == len(read.pool) == PICTURES - len(validated)
    assert read.summary["pool"]["dropped_to_validate"] == len(validated)
    assert any(len(picture.texts) == 2 for picture in read.pool), "a picture under two names keeps the texts of both"


def test_the_same_picture_has_one_number_in_set_and_pool(root: Path) -> None:
    """The number identifies an image for same_image_mask and for the exclusion of hard images."""
    config = tiny_config(root, val_share=0.0, keep="last", replay_share=0.5, replay_pool=pool_of(root, ["p001.png"]))
    folder, model = Path(config.cache), make_tiny()
    store = ImageFeatures(folder, model)
    materials = load(config, store, RunWriter(folder), lambda: False)
    read = tables(materials, model, store, RunWriter(folder), lambda: False)
    own = next(row for row, pair in enumerate(materials.train) if pair.path.name == "p001.png")
    assert read.pool is not None
    assert read.pool.names.tolist() == [int(read.train.names[read.train.image_rows[own]])]


def test_a_pool_of_validated_pictures_alone_is_refused(root: Path) -> None:
    read = gathered(tiny_config(root, val_share=0.4))
    pool = pool_of(root, sorted({pair.path.name for pair in read.val}))
    with pytest.raises(TrainerError, match="every image of the replay pool"):
        gathered(tiny_config(root, val_share=0.4, replay_share=0.5, replay_pool=pool))


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, True),
        ({"keep": "last"}, False),
        ({"keep": "last", "patience": 2}, True),
        ({"val_share": 0.4}, False),
        ({"val_share": 0.4, "criterion": "masked_loss"}, True),
        ({"val_share": 0.4, "criterion": "recall_at_1"}, True),
        ({"val_share": 0.4, "same_image_mask": True}, True),
    ],
)
def test_a_choice_without_a_validation_to_compare_is_refused(
    tmp_path: Path, settings: dict[str, Any], refused: bool
) -> None:
    """Of three images, a share of 0.2 leaves none for validation with some seed, and 0.4 leaves one with two pairs."""
    paths = draw_pictures(tmp_path / "pictures", 3)
    freeze(tmp_path / "export", pairs_of(paths, each=2))
    wanted = 1 if settings.get("val_share") else 0
    for seed in range(200):
        sizes = gathered(tiny_config(tmp_path, **{**settings, "keep": "last", "patience": None, "seed": seed})).summary
        if sizes["validate"]["pictures"] == wanted:
            break
    config = tiny_config(tmp_path, **settings, seed=seed)
    if refused:
        with pytest.raises(RunRefused, match=r"compares validations, and val_share = 0\.\d leaves"):
            gathered(config)
    else:
        gathered(config)


def test_done_json_describes_the_data(root: Path) -> None:
    (root / "pictures" / "p003.png").unlink()
    create_run(root / "r", tiny_config(root, steps=2, replay_share=0.5, max_unusable=0.1))
    run_training(root / "r")
    data = json.loads((root / "r" / "done.json").read_text())["data"]
    assert (data["pairs"], data["pairs_missing_picture"], data["first_missing_picture"]) == (34, 2, "src/p003.png")
    assert data["train"]["pairs"] + data["validate"]["pairs"] == 34
    assert data["train"]["pictures"] + data["validate"]["pictures"] == PICTURES - 1
    assert data["pool"]["pictures"] == data["train"]["pictures"]
    assert len(data["pictures_sha256"]) == len(data["pool"]["sha256"]) == 64
    log = (root / "r" / "log.txt").read_text()
    left_out = "1 image left out (1 missing, 0 unreadable), listed in excluded_images.jsonl"
    assert f"\nwarning: {left_out}; the first is src/p003.png: missing\n" in log


@pytest.mark.parametrize("what", ["picture", "pool"])
def test_other_pictures_or_another_pool_do_not_resume(root: Path, what: str) -> None:
    pool = Path(pool_of(root, ["p001.png", "p003.png"]))
    create_run(root / "r", tiny_config(root, steps=9, replay_share=0.5, replay_pool=str(pool)))
    with pytest.raises(Interrupted):
        run_training(root / "r", stop=_after(root / "r" / "metrics.jsonl"))
    if what == "picture":
        shutil.copyfile(root / "pictures" / "p001.png", root / "pictures" / "p005.png")
    else:
        write_pool(pool, [("of-p001.png", ("another text",))])
    with pytest.raises(TrainerError, match="data or model changed since"):
        run_training(root / "r")


def _after(path: Path):  # type: ignore[no-untyped-def]
    return path.is_file


@pytest.mark.parametrize(
    ("pictures", "each", "settings", "message"),
    [
        (1, 1, {}, "only 1 pair"),
        (1, 3, {"same_image_mask": True}, "all training pairs are of 1 image"),
    ],
)
def test_what_has_nothing_to_compare_is_refused(
    tmp_path: Path, pictures: int, each: int, settings: dict[str, bool], message: str
) -> None:
    freeze(tmp_path / "export", pairs_of(draw_pictures(tmp_path / "pictures", pictures), each=each))
    config = tiny_config(tmp_path, val_share=0.0, keep="last", **settings)
    with pytest.raises(TrainerError, match=message):
        gathered(config)
    own = replace(config, settings=replace(config.settings, replay_share=0.5))
    with pytest.raises(TrainerError, match=message):
        gathered(own)  # its own captions are true of the image
    other = draw_pictures(tmp_path / "other", 2, seed=5)
    write_pool(tmp_path / "other" / "pool.jsonl", [(path.name, ("a dog",)) for path in other])
    pool = str(tmp_path / "other" / "pool.jsonl")
    fine = replace(config, settings=replace(config.settings, replay_share=0.5, replay_pool=pool))
    assert gathered(fine).pool is not None, "with other images there is something to compare"
