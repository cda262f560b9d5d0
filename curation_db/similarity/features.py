"""Similarity by cached CLIP features of images and texts; reads the cache that training and benchmarks fill.

A folder of the cache has `key.json`, `features.f32` (unit vectors) and `rows.jsonl` with [row, id, dimension, checksum]
per vector (`trainers.features.feature_store`). The id of an image is the SHA-256 of its file, the id of a text that of
"text", a zero byte, and the text. Of several folders the one with most vectors is used. Damaged lines count as missing.

The cosine is rescaled by the mean cosine m of the asked vector to all vectors of the folder, so that an unrelated image
has similarity 0 and an equal one 1:  max(0, (cosine - m) / (1 - m))
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from curation_db.foreign_json import JsonError, parse_json

Floats = NDArray[np.float32]
Stamp = tuple[str, int]
"""Folder and size of its index; a folder that grows gets another stamp."""
_ROWS_AT_ONCE: Final = 8_192
"""Bounds the memory of a comparison: 16 MB for vectors of 512 numbers."""


class CachedFeatures:
    """The vectors of one folder, by id."""

    def __init__(self, folder: Path, width: int, rows: dict[str, int]) -> None:
        self.rows = rows
        self._width = width
        self._data: Floats = np.memmap(folder / "features.f32", np.float32, "r").reshape(-1, width)

    def similarity(self, asked: str, ids: Sequence[str]) -> NDArray[np.float64] | None:
        """Return the similarity of each id to `asked`, 0 for ids without a vector; None if `asked` has none."""
        if asked not in self.rows:
            return None
        vector = np.array(self._data[self.rows[asked]])
        mean = float(vector @ self._mean)
        places = [at for at, each in enumerate(ids) if each in self.rows]
        chosen = np.array([self.rows[ids[at]] for at in places], dtype=np.int64)
        found = np.zeros(len(ids))
        for start in range(0, len(places), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            cosines = np.asarray(self._data[chosen[part]] @ vector, dtype=np.float64)
            found[places[part]] = np.clip((cosines - mean) / max(1 - mean, 1e-9), 0, 1)
        return found

    @cached_property
    def _mean(self) -> Floats:
        used = sorted(self.rows.values())
        total = np.zeros(self._width)
        for start in range(0, len(used), _ROWS_AT_ONCE):
            total += self._data[used[start : start + _ROWS_AT_ONCE]].sum(axis=0, dtype=np.float64)
        return np.asarray(total / len(used), dtype=np.float32)


def text_id(text: str) -> str:
    return hashlib.sha256(b"text\0" + text.encode("utf-8", "surrogatepass")).hexdigest()


def stamps(cache: Path) -> tuple[Stamp, ...]:
    """Return what identifies the state of the cache."""
    return tuple((folder.name, _size(folder / "rows.jsonl")) for folder in sorted(_folders(cache)))


def largest(cache: Path, kind: Literal["image", "text"]) -> CachedFeatures | None:
    """Return the features of whole images or of texts with the most vectors; None if there are none."""
    folders = [folder for folder in _folders(cache) if _kind(folder) == kind]
    loaded = (_loaded(folder, _size(folder / "rows.jsonl")) for folder in folders)
    return max((each for each in loaded if each is not None), key=lambda each: len(each.rows), default=None)


def _folders(cache: Path) -> Iterator[Path]:
    yield from (path.parent for path in (cache / "features").glob("*/key.json"))


@lru_cache(maxsize=64)
def _kind(folder: Path) -> str:
    """Return image or text; "" for the features of regions of images, whose ids name no file."""
    try:
        key: Any = parse_json((folder / "key.json").read_bytes())
    except (OSError, JsonError):
        return ""
    return str(key.get("kind", "")) if isinstance(key, dict) and "cutting" not in key else ""


@lru_cache(maxsize=4)
def _loaded(folder: Path, size: int) -> CachedFeatures | None:
    """Return the features of a folder; None without a usable vector. `size`: of its index, part of the cache key."""
    try:
        lines = (folder / "rows.jsonl").read_bytes().splitlines()
        floats = _size(folder / "features.f32") // 4
    except OSError:
        return None
    parsed = [row for row in map(_row, lines) if row is not None]
    widths = {width for _, _, width in parsed}
    if len(widths) != 1 or floats == 0 or floats % (width := widths.pop()):
        return None
    rows = {name: row for row, name, _ in parsed if row < floats // width}
    return CachedFeatures(folder, width, rows) if rows else None


def _row(line: bytes) -> tuple[int, str, int] | None:
    try:
        row, name, width, _ = parse_json(line)
    except (JsonError, ValueError, TypeError):
        return None
    usable = type(row) is int and row >= 0 and isinstance(name, str) and type(width) is int and width > 0
    return (row, name, width) if usable else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
