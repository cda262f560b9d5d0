"""Picture features computed once and memory-mapped; a text-tower training never touches a pixel again.

A store belongs to one key: everything that can change a feature except the picture itself. (Torch's thread count is
not in it: it may change last bits.) A row belongs to a picture's bytes, so a renamed picture is found again and a
changed one is computed anew. Rows are appended before their index line, so a process killed at any moment loses at
most one batch. Damaged index lines are never fatal: what they told is found out again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from curation_db.foreign_json import JsonError, parse_json
from curation_db.text import first_line
from trainers.clip_models import ClipModel
from trainers.errors import TrainerError

TOWER_CODE = 2
"""Raised when our own way from picture to feature changes."""
_BATCH = 64
_HASHED_AT_ONCE = 64
"""Files whose hashes are lost with a kill, at most."""
_NARROW = 1000
"""Sides in this relation make the resized picture larger than memory."""
_SHA = re.compile("[0-9a-f]{64}")

Progress = Callable[[int, int], None]
"""Told how many of how many pictures are done, and (with 0) while waiting for another process.

What it raises ends the pass; what is done stays.
"""
Floats = NDArray[np.float32]


def store_key(model: ClipModel) -> dict[str, Any]:
    """All that a feature depends on, apart from the picture (DESIGN section 7)."""
    return {
        "visual_hash": model.visual_hash,
        "vision_cfg": model.config["vision_cfg"],  # heads are in no weight
        "activation": model.activation,
        "preprocess": dict(model.preprocess_config),
        "colour": "convert to RGB",
        "exif": "ignored",
        "pillow": PIL.__version__,
        "torchvision": version("torchvision"),
        "precision": model.precision,
        "stored": "float32",
        "normalised": True,
        "device": model.device.type,
        "tower_code": TOWER_CODE,
    }


def key_hash(key: dict[str, Any]) -> str:
    """The key as a folder name."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


class FeatureStore:
    """The features of one model's image tower, in a folder below `cache`."""

    def __init__(self, cache: Path, model: ClipModel) -> None:
        self._model = model
        key = store_key(model)
        self.folder = cache / "features" / key_hash(key)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "key.json").write_text(json.dumps(key, indent=2) + "\n", encoding="utf-8")
        self._data = self.folder / "features.f32"
        self._index = self.folder / "rows.jsonl"
        self._bytes = _ByteIndex(cache / "features" / "bytes.jsonl")
        self.computed = 0
        """Pictures that went through the tower since this store was opened."""

    def identify(self, paths: Sequence[Path], *, progress: Progress = lambda done, of: None) -> list[str]:
        """sha256 of the pictures' bytes, in the order of `paths`; what was read before is remembered.

        Raises:
            TrainerError: a file cannot be read.
        """
        return self._bytes.hashes(paths, progress)

    def features(self, paths: Sequence[Path], *, progress: Progress = lambda done, of: None) -> Floats:
        """Unit features, in the order of `paths`; computed where they are missing.  -> (N, D)

        Raises:
            TrainerError: a picture cannot be read.
        """
        hashes = self.identify(paths)
        with _locked(self.folder / "lock", progress):
            rows = self._known()
            todo = {sha: path for sha, path in zip(hashes, paths, strict=True) if sha not in rows}
            self._compute(list(todo.items()), rows, progress)
            # copied under the lock: who finds damage there cuts the file
            return np.asarray(self._map(len(rows))[[rows[sha] for sha in hashes]])

    def _map(self, rows: int) -> Floats:
        shape = (rows, self._model.embed_dim)
        return np.memmap(self._data, np.float32, "r", shape=shape) if rows else np.empty(shape, np.float32)

    def _known(self) -> dict[str, int]:
        """The rows that are whole, by the hash of their picture; what a kill or damage left behind them is cut off.

        A line says its own number, so one that is lost or added never gives a picture the features of another.
        """
        rows: dict[str, int] = {}
        self._data.touch()
        held = self._data.stat().st_size // self._row_bytes
        whole = 0
        for line, told in _lines(self._index):
            if len(rows) == held or not _is_row(told, len(rows)) or told[1] in rows:
                break
            rows[told[1]] = len(rows)
            whole += len(line)
        self._index.touch()
        os.truncate(self._index, whole)
        os.truncate(self._data, len(rows) * self._row_bytes)
        return rows

    @property
    def _row_bytes(self) -> int:
        return self._model.embed_dim * 4

    def _compute(self, todo: list[tuple[str, Path]], rows: dict[str, int], progress: Progress) -> None:
        for start in range(0, len(todo), _BATCH):
            progress(start, len(todo))
            batch = todo[start : start + _BATCH]
            features = self._encode([path for _, path in batch])
            _append(self._data, features.tobytes())
            first = len(rows)
            rows |= {sha: first + at for at, (sha, _) in enumerate(batch)}
            _append(self._index, "".join(f"{json.dumps([rows[sha], sha])}\n" for sha, _ in batch).encode())
            self.computed += len(batch)
        if todo:
            progress(len(todo), len(todo))

    def _encode(self, paths: Sequence[Path]) -> Floats:
        """At most one batch.  -> (N, D)

        It is filled up, as the last bits depend on a batch's size: so they depend on the picture alone, not on what
        else was asked for.
        """
        images = [open_picture(path) for path in paths]
        full = images + [images[-1]] * (_BATCH - len(images))
        features = self._model.encode_images(full).numpy()[: len(images)]
        return np.ascontiguousarray(features, dtype=np.float32)


def _is_row(told: Any, row: int) -> bool:
    return isinstance(told, list) and len(told) == 2 and told[0] == row and _is_sha(told[1])


def _is_sha(told: object) -> bool:
    return isinstance(told, str) and _SHA.fullmatch(told) is not None


def open_picture(path: Path) -> Image.Image:
    """The picture as features are made of it.  -> RGB

    Raises:
        TrainerError: it cannot be decoded, or is a bomb.
    """
    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
    except Exception as error:  # Pillow's readers raise nearly anything on a hostile file, also on a bomb
        raise TrainerError(f"{path} cannot be read as a picture: {first_line(error)}") from error
    if max(picture.size) > _NARROW * min(picture.size):
        width, height = picture.size
        raise TrainerError(f"{path} cannot be read as a picture: it is too narrow ({width} x {height})")
    return picture


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path) -> Iterator[tuple[bytes, Any]]:
    """The whole lines of a JSON-lines file with their values; None is the value of one that is no JSON."""
    data = path.read_bytes() if path.is_file() else b""
    for line in data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]:
        try:
            told = parse_json(line)
        except JsonError:
            told = None
        yield line + b"\n", told


@contextmanager
def _locked(path: Path, progress: Progress = lambda done, of: None) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however it ends."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress(0, 0)  # it may raise: an hour's waiting can be interrupted
                time.sleep(0.05)
        yield


class _ByteIndex:
    """sha256 of files, remembered by path, size and time, for all stores of a cache; written as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def hashes(self, paths: Sequence[Path], progress: Progress = lambda done, of: None) -> list[str]:
        keys = [_stamp(path) for path in paths]
        with _locked(self._path.with_suffix(".lock"), progress):
            known = {(told[0], told[1], told[2]): told[3] for _, told in _lines(self._path) if _is_stamped(told)}
            self._end_half_line()
            todo = {key: path for key, path in zip(keys, paths, strict=True) if key not in known}
            items = list(todo.items())
            for start in range(0, len(items), _HASHED_AT_ONCE):
                progress(start, len(items))
                new = {key: _sha_of(path) for key, path in items[start : start + _HASHED_AT_ONCE]}
                _append(self._path, "".join(json.dumps([*key, sha]) + "\n" for key, sha in new.items()).encode())
                known |= new
            if items:
                progress(len(items), len(items))
        return [known[key] for key in keys]

    def _end_half_line(self) -> None:
        """What a killed process left behind must not swallow the next line."""
        if self._path.is_file() and (data := self._path.read_bytes()) and not data.endswith(b"\n"):
            _append(self._path, b"\n")


def _is_stamped(told: Any) -> bool:
    kinds = (str, int, int)
    return isinstance(told, list) and len(told) == 4 and all(map(isinstance, told, kinds)) and _is_sha(told[3])


def _sha_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise TrainerError(f"{path}: {error.strerror}") from error


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise TrainerError(f"{path}: {error.strerror}") from error
    return str(path.absolute()), status.st_size, status.st_mtime_ns
