"""Stand-in models that read pixels and letters, and benchmark files with drawn images."""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DIMENSIONS = 24


class TinyModel:
    """Encodes images as the means of an 8x8 thumbnail through a fixed random matrix, texts by letters; counts calls."""

    def __init__(self, seed: int = 0, *, text_seed: int | None = None) -> None:
        rng = np.random.default_rng(seed)
        self.seed, self.text_seed = seed, seed if text_seed is None else text_seed
        self.image_weights = rng.normal(size=(8 * 8 * 3, DIMENSIONS))
        self.text_weights = np.random.default_rng(self.text_seed + 1000).normal(size=(256, DIMENSIONS))
        self.images = self.texts = 0

    @property
    def model_hash(self) -> str:
        return hashlib.sha256(f"{self.seed} {self.text_seed}".encode()).hexdigest()

    @property
    def visual_hash(self) -> str:
        return hashlib.sha256(f"visual {self.seed}".encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        return {"name": f"tiny-{self.seed}", "arch": "tiny", "activation": "none", "precision": "fp32", "device": "cpu"}

    def encode_images(self, images: Sequence[Image.Image]) -> Any:
        self.images += len(images)
        assert all(image.mode == "RGB" for image in images)
        return self._unit(np.stack([self._seen(image) for image in images]) @ self.image_weights)

    def encode_texts(self, texts: Sequence[str]) -> Any:
        self.texts += len(texts)
        counts = np.stack([np.bincount(list(text.encode()), minlength=256) for text in texts])
        return self._unit(counts @ self.text_weights)

    @staticmethod
    def _seen(image: Image.Image) -> np.ndarray:
        return np.asarray(image.resize((8, 8), Image.Resampling.BOX), dtype=np.float64).reshape(-1) / 255 - 0.5

    @staticmethod
    def _unit(rows: np.ndarray) -> Any:
        import torch

        return torch.from_numpy((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


class ConstantModel(TinyModel):
    """Returns the same feature for every input."""

    def _unit(self, rows: np.ndarray) -> Any:  # type: ignore[override]
        import torch

        return torch.eye(DIMENSIONS)[:1].repeat(len(rows), 1)


class BrokenModel(TinyModel):
    """Returns NaN for every input."""

    def _unit(self, rows: np.ndarray) -> Any:  # type: ignore[override]
        import torch

        return torch.full((len(rows), DIMENSIONS), float("nan"))


def needed_sizes(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Width and height of each picture so that it holds its boxes."""
    sizes: dict[str, tuple[int, int]] = {}
    for row in rows:
        width, height = sizes.get(row["image"], (0, 0))
        for x, y, w, h in row["bbox_list"]:
            width, height = max(width, round(x + w)), max(height, round(y + h))
        sizes[row["image"]] = (width, height)
    return sizes


def draw_picture(path: Path, size: tuple[int, int], seed: int) -> None:
    """Draw a coarse random pattern; every fifth image is grey, like some of COCO's."""
    noise = np.random.default_rng(seed).integers(0, 256, size=(6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize(size, Image.Resampling.BILINEAR)
    picture.convert("L" if seed % 5 == 0 else "RGB").save(path, quality=70)


def write_negrefcocog(path: Path, items: int = 24) -> Path:
    """A file of the shape of NegRefCOCOg.json that needs no data set: the first box of an item is the right one.

    Every thirteenth item shares the picture of the one before it, as 38 of the published 440 do. Cues stand at the
    beginning, in the middle and at the end of short and long phrases.
    """
    rng = np.random.default_rng(7)
    things = ("hat", "dog", "red umbrella", "striped shirt", "bench", "teddy bear", "surf board")
    phrases = (
        "no {thing} on the man {number}",
        "the woman {number} in a long blue coat who is not standing near a {thing} of any kind",
        "a chair {number} by the big window without {thing}",
        "picture {number} isn't near a {thing}",
    )
    rows: list[dict[str, Any]] = []
    for number in range(items):
        picture = rows[-1]["image"] if number % 13 == 12 else f"COCO_train2014_{1000 + number:012d}.jpg"
        x, y, width, height = (round(float(value), 2) for value in rng.uniform((0, 0, 60, 60), (200, 150, 240, 200)))
        other = [round(float(value), 2) for value in rng.uniform((0, 0, 40, 40), (150, 100, 280, 220))]
        right = [x, y, width, height]
        phrase = phrases[number % 4].format(thing=things[number % 7], number=number)
        rows.append({"image": picture, "phrase": phrase, "ref_bbox": right, "bbox_list": [right, other]})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def negrefcocog_folder(folder: Path, source: Path, items: int | None = None) -> list[dict[str, Any]]:
    """`folder` as `fetch` would leave it, with drawn pictures; the first `items` items, or the file itself."""
    rows: list[dict[str, Any]] = json.loads(source.read_bytes())[:items]
    pictures = folder / "train2014"
    pictures.mkdir(parents=True)
    content = source.read_bytes() if items is None else json.dumps(rows).encode()
    (folder / "NegRefCOCOg.json").write_bytes(content)
    for seed, (name, size) in enumerate(needed_sizes(rows).items()):
        draw_picture(pictures / name, size, seed)
    return rows


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a server for the files in `folder` on the loopback interface; yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
