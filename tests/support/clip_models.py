"""Tiny CLIP models built from their configuration, drawn images and exports for tests that need a model."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from curation_db.exporting.manifest import (
    ITEMS_FILE,
    MANIFEST_FILE,
    ExportItem,
    Manifest,
    ManifestCounts,
    file_facts,
    hash_of,
)
from trainers.models.clip_model import ClipModel, build
from trainers.settings import RunConfig, TrainSettings

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
LONG_AGO = 1_700_000_000
WORDS = ("dog", "cat", "hat", "red", "tree", "ball", "bench", "with", "no", "a", "man", "cup")


def sentence(rng: random.Random) -> str:
    """Return some words."""
    return " ".join(rng.choices(WORDS, k=rng.randint(2, 12)))


def make_tiny(seed: int = 0, **text: Any) -> ClipModel:
    """A tiny model with random weights; `text` changes its text configuration."""
    torch.manual_seed(seed)
    config = TINY | {"text_cfg": TINY["text_cfg"] | text}
    return build(config, {}, name="tiny", arch="tiny")


def draw_pictures(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """Write small distinct images, old enough for the feature store to cache their hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, paths = random.Random(seed), []
    for index in range(count):
        picture = Image.new("RGB", (40, 36), tuple(rng.choices(range(256), k=3)))
        ImageDraw.Draw(picture).rectangle([index % 20, 4, 30, 20], fill=tuple(rng.choices(range(256), k=3)))
        paths.append(folder / f"p{index:03d}.png")
        picture.save(paths[-1])
        os.utime(paths[-1], (LONG_AGO, LONG_AGO))
    return paths


def freeze(folder: Path, items: list[ExportItem]) -> str:
    """Write `items` as an export; return its hash."""
    folder.mkdir(parents=True)
    (folder / ITEMS_FILE).write_text("".join(item.to_line() for item in items), encoding="utf-8")
    files = {ITEMS_FILE: file_facts(folder / ITEMS_FILE)}
    sha = hash_of(files)
    manifest = Manifest(
        name=folder.name,
        tool_version="test",
        event_seq=0,
        selection={},
        counts=ManifestCounts(pairs=len(items)),
        files=files,
        export_sha256=sha,
    )
    (folder / MANIFEST_FILE).write_text(manifest.to_text(), encoding="utf-8")
    return sha


def tiny_config(corpus: Path, *, save_pth: bool = False, **settings: Any) -> RunConfig:
    """Return the config of a training on a corpus with model/, export/ and pictures/; few small steps by default."""
    values = {"lr": 1e-3, "batch": 8, "epochs": 2, "threads": 1, "log_every": 1, "checkpoint_every": 3} | settings
    return RunConfig(
        model=str(corpus / "model"),
        export=str(corpus / "export"),
        pictures={"src": (str(corpus / "pictures"),)},
        cache=str(corpus / "cache"),
        save_pth=save_pth,
        settings=TrainSettings(**values),
    )


def zero_block(path: Path) -> None:
    """Zero an aligned block of 4 KiB, as a disk loses it; one that is not zero already."""
    data = bytearray(path.read_bytes())
    blocks = range(4096, len(data) - 4096, 4096)
    start = max(blocks, key=lambda start: sum(map(bool, data[start : start + 4096 : 64])))
    data[start : start + 4096] = bytes(4096)
    path.write_bytes(data)


def pairs_of(paths: list[Path], *, each: int = 1, seed: int = 1) -> list[ExportItem]:
    """Items of the source "src", so many of each picture."""
    rng = random.Random(seed)
    return [
        ExportItem(
            key=f"c{number}-{turn}",
            source="src",
            image_key=str(number),
            file_name=path.name,
            text=sentence(rng),
            caption=sentence(rng),
        )
        for number, path in enumerate(paths)
        for turn in range(each)
    ]
