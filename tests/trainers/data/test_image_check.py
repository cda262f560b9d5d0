"""Images that cannot be used are listed before the first step and left out; too many of them refuse the training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.clip_models import draw_pictures, freeze, make_tiny, pairs_of, tiny_config

from trainers.data.dataset import write_pool
from trainers.errors import TrainerError
from trainers.loop.finetune import run_training
from trainers.models.saving import save_model
from trainers.run_files import EXCLUDED_IMAGES
from trainers.settings import create_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A corpus of 12 images: one is missing, one no image, one cut off in its header, and three are special."""
    paths = draw_pictures(tmp_path / "pictures", 12)
    freeze(tmp_path / "export", pairs_of(paths, each=2))
    save_model(make_tiny(), tmp_path / "model")
    paths[1].unlink()
    paths[4].write_bytes(b"no image")
    paths[6].write_bytes(paths[6].read_bytes()[:30])
    Image.new("I;16", (40, 30), 30_000).save(paths[8])
    Image.new("RGBA", (40, 30), (255, 0, 0, 9)).save(paths[9])
    Image.new("RGBA", (40, 30), (0, 255, 0, 9)).save(paths[10])
    return tmp_path


def train(root: Path, **settings: Any) -> dict[str, Any]:
    create_run(root / "r", tiny_config(root, steps=2, **settings))
    return dict(run_training(root / "r"))


def excluded(root: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (root / "r" / EXCLUDED_IMAGES).read_text().splitlines()]


def test_unusable_images_are_listed_and_left_out(root: Path) -> None:
    done = train(root, max_unusable=0.25)
    images = [(row["image"].removeprefix(f"{root}/"), row["reason"].rpartition(": ")[2]) for row in excluded(root)]
    assert [name for name, _ in images] == ["src/p001.png", "pictures/p004.png", "pictures/p006.png"]
    assert images[0][1] == "missing"
    data = done["data"]
    assert data["images_excluded"] == {"missing": 1, "unreadable": 2}
    assert (data["pairs"], data["pairs_missing_picture"], data["pairs_unreadable_image"]) == (18, 2, 4)
    assert data["train"]["pictures"] + data["validate"]["pictures"] == 9
    log = (root / "r" / "log.txt").read_text()
    assert "warning: 3 images left out (1 missing, 2 unreadable), listed in excluded_images.jsonl" in log


def test_more_than_the_stated_share_is_refused_before_the_first_step(root: Path) -> None:
    with pytest.raises(
        TrainerError, match=r"3 of the 12 images of the export .*25\.0%.* max_unusable = 0\.24"
    ) as caught:
        train(root, max_unusable=0.24)
    assert str(root / "r" / EXCLUDED_IMAGES) in caught.value.hint
    assert len(excluded(root)) == 3
    assert not (root / "r" / "metrics.jsonl").exists()


def test_the_list_of_an_earlier_attempt_does_not_stay(root: Path) -> None:
    with pytest.raises(TrainerError):
        train(root)
    for number in (1, 4, 6):
        shutil.copyfile(root / "pictures" / "p000.png", root / "pictures" / f"p{number:03}.png")
    run_training(root / "r")
    assert not (root / "r" / EXCLUDED_IMAGES).exists()


def test_images_of_the_pool_are_checked_too(root: Path) -> None:
    pool = draw_pictures(root / "pool", 4, seed=9)
    pool[0].unlink()
    pool[1].write_bytes(b"no image")
    write_pool(root / "pool" / "pool.jsonl", [(path.name, ("a text",)) for path in pool])
    settings = {"replay_share": 0.5, "replay_pool": str(root / "pool" / "pool.jsonl")}
    with pytest.raises(TrainerError, match="2 of the 4 images of the replay pool"):
        train(root, max_unusable=0.25, **settings)
    assert len(excluded(root)) == 5
    shutil.rmtree(root / "r")
    done = train(root, max_unusable=0.5, **settings)
    assert done["data"]["pool"]["pictures"] == 2
    assert done["data"]["pool"]["dropped_to_validate"] == 0


@pytest.mark.parametrize(
    ("decode", "meaning"),
    [
        ("as-shown", "with grey squares behind them"),
        ("published", "used as opaque"),
    ],
)
def test_each_kind_of_special_image_is_named_once(root: Path, decode: str, meaning: str) -> None:
    done = train(root, max_unusable=0.25, decode=decode)
    lines = [line for line in (root / "r" / "log.txt").read_text().splitlines() if line.startswith("warning: ")]
    assert sum("1 image with more than 8 bits" in line for line in lines) == 1
    assert [line for line in lines if meaning in line and line.startswith("warning: 2 images")]
    first = str(root / "pictures" / "p009.png")
    assert done["data"]["image_traits"]["transparent"] == {"images": 2, "first": first}


def test_damage_of_the_cache_is_logged_once(root: Path) -> None:
    train(root, max_unusable=0.25)
    data = next((root / "cache").rglob("features.f32"))
    content = bytearray(data.read_bytes())
    content[64:192] = bytes(128)
    data.write_bytes(content)
    shutil.rmtree(root / "r")
    train(root, max_unusable=0.25)
    assert (root / "r" / "log.txt").read_text().count("warning: 2 damaged rows of the feature cache: ") == 1
