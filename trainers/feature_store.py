"""Features of images and texts, computed once and memory-mapped. Never imports torch.

A store belongs to one key: all that can change a feature except its input. (Torch's thread count is not in the key,
although it may change the last bits.) A row belongs to the id of its input, for an image the sha256 of its bytes: a
renamed image is recognised and a changed one is computed anew. Rows are appended before their index line, so a process
that is killed at any moment loses at most one batch. One process at a time fills a store. Damage is never fatal: an
index line that is wrong, or a row whose checksum differs, is computed again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation_db.atomic_write import replace_file
from curation_db.foreign_json import JsonError, parse_json
from curation_db.language.sanitize import first_line
from trainers.errors import TrainerError

if TYPE_CHECKING:
    from trainers.clip_models import ClipModel

CODE = 3
"""Raised when our own way from input to feature changes."""
_PACKAGES = ("pillow", "numpy", "torch", "torchvision", "open_clip_torch")
"""Their versions are part of every key."""
_BATCH = 64
_HASHED_AT_ONCE = 64
"""Files whose hashes are lost with a kill, at most."""
_SETTLED_S = 2.0
"""A file changed more recently than this can change again within one tick of its file system's clock."""
_CHUNK = 1 << 20
_NARROW = 1000
"""Sides in this relation make the resized picture larger than memory."""
_ID = re.compile("[0-9a-f]{64}")

Progress = Callable[[int, int], None]
"""Receives how many of how many are done, and (with 0, 0) while another process is waited for.

What it raises ends the pass; what is done stays.
"""
Floats = NDArray[np.float32]
Compute = Callable[[Sequence[str]], Iterable[tuple[Sequence[str], Floats]]]
"""Takes the ids that are missing; yields them in batches, each with its features (N, D)."""


def feature_key(kind: Literal["image", "text"], weights: str, numerics: Mapping[str, Any]) -> dict[str, Any]:
    """All that a feature depends on, apart from its input.

    Args:
        kind: what is encoded.
        weights: hash of the weights and the configuration that encode it.
        numerics: what else changes the numbers: preprocessing, activation, precision, device class.
    """
    return {
        "kind": kind,
        "hash": weights,
        "dtype": "float32",
        "normalised": True,
        "code": CODE,
        **numerics,
        **{name: _version(name) for name in _PACKAGES},
    }


class FeatureStore:
    """Features by id, in a folder below `cache`; with None in memory only."""

    def __init__(self, cache: Path | None, key: Mapping[str, Any]) -> None:
        text = json.dumps(key, sort_keys=True, default=str)
        self.folder = None if cache is None else cache / "features" / hashlib.sha256(text.encode()).hexdigest()[:32]
        self._unsaved: dict[str, Floats] = {}
        """Rows that are not finite, which are never written to the disk; without a folder all rows."""
        self._rows = self._width = 0
        if self.folder is not None:
            self._data, self._index = self.folder / "features.f32", self.folder / "rows.jsonl"
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "key.json").exists():
                replace_file(self.folder / "key.json", json.dumps(key, indent=2, default=str) + "\n")

    def rows(self, ids: Sequence[str], compute: Compute, *, progress: Progress = lambda done, of: None) -> Floats:
        """Features of `ids` in their order; `compute` is called with those that are missing.  -> (N, D)

        Each batch is on the disk before the next one is computed.
        """
        with nullcontext() if self.folder is None else _locked(self.folder / "lock", progress):
            saved = self._saved(set(ids))
            missing = [each for each in dict.fromkeys(ids) if each not in saved and each not in self._unsaved]
            for batch, features in compute(missing):
                self._add(batch, features, saved)
            # Copied under the lock: a process that recognises damage truncates the file.
            data = self._map()
            if all(each in saved for each in ids):
                return np.asarray(data[[saved[each] for each in ids]])
            return np.stack([data[saved[each]] if each in saved else self._unsaved[each] for each in ids])

    def _saved(self, ids: set[str]) -> dict[str, int]:
        """Row numbers of those of `ids` that are on the disk and intact; truncates a half-written end of the files.

        An index line is [row number, id, D, checksum]. It has its own number, so a line that is lost or repeated never
        gives an input the features of another. The last line of an id counts.
        """
        if self.folder is None:
            return {}
        self._data.touch()
        self._index.touch()
        size, self._rows, whole = self._data.stat().st_size, 0, 0
        rows: dict[str, tuple[int, int]] = {}
        for line, parsed in _lines(self._index):
            if not _is_row(parsed, self._rows) or parsed[2] != (self._width if self._rows else parsed[2]):
                break
            if size < (self._rows + 1) * parsed[2] * 4:
                break
            if parsed[1] in ids:
                rows[parsed[1]] = parsed[0], parsed[3]
            self._rows, self._width = self._rows + 1, parsed[2]
            whole += len(line)
        os.truncate(self._index, whole)
        os.truncate(self._data, self._rows * self._width * 4)
        data = self._map()
        return {each: row for each, (row, checksum) in rows.items() if _checksum(each, data[row]) == checksum}

    def _add(self, ids: Sequence[str], features: Floats, saved: dict[str, int]) -> None:
        finite: NDArray[np.bool_] = np.all(np.isfinite(features), axis=1) & (self.folder is not None)
        self._unsaved |= {each: row for each, row, good in zip(ids, features, finite, strict=True) if not good}
        rows = np.ascontiguousarray(features[finite], dtype=np.float32)
        if self.folder is None or not len(rows):
            return
        if self._rows and rows.shape[1] != self._width:
            raise ValueError(f"features of {rows.shape[1]} numbers in a store of {self._width}")
        self._width = rows.shape[1]
        new = [each for each, good in zip(ids, finite, strict=True) if good]
        lines = [
            [self._rows + at, each, self._width, _checksum(each, row)]
            for at, (each, row) in enumerate(zip(new, rows, strict=True))
        ]
        _append(self._data, rows.tobytes())
        _append(self._index, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
        saved |= {each: self._rows + at for at, each in enumerate(new)}
        self._rows += len(new)

    def _map(self) -> Floats:
        shape = (self._rows, self._width)
        return np.memmap(self._data, np.float32, "r", shape=shape) if self._rows else np.empty(shape, np.float32)


class ImageFeatures:
    """The features of one model's image tower, in a folder below `cache`."""

    def __init__(self, cache: Path, model: ClipModel) -> None:
        self._model = model
        self._store = FeatureStore(cache, image_key(model))
        self._hashes = FileHashes(cache)
        self.computed = 0
        """Images that went through the tower since this store was opened."""

    @property
    def folder(self) -> Path:
        """The folder of the model's features."""
        assert self._store.folder is not None
        return self._store.folder

    def identify(self, paths: Sequence[Path], *, progress: Progress = lambda done, of: None) -> list[str]:
        """sha256 of the images' bytes, as `FileHashes.of`."""
        return self._hashes.of(paths, progress=progress)

    def features(self, paths: Sequence[Path], *, progress: Progress = lambda done, of: None) -> Floats:
        """Unit features, in the order of `paths`; computed where they are missing.  -> (N, D)

        Raises:
            TrainerError: an image cannot be read.
        """
        if not paths:
            return np.empty((0, self._model.embed_dim), np.float32)
        hashes = self.identify(paths)
        by_hash = dict(zip(hashes, paths, strict=True))

        def compute(missing: Sequence[str]) -> Iterator[tuple[Sequence[str], Floats]]:
            for start in range(0, len(missing), _BATCH):
                progress(start, len(missing))
                batch = missing[start : start + _BATCH]
                yield batch, self._encode([by_hash[each] for each in batch])
                self.computed += len(batch)
            if missing:
                progress(len(missing), len(missing))

        return self._store.rows(hashes, compute, progress=progress)

    def _encode(self, paths: Sequence[Path]) -> Floats:
        """Features of at most one batch.  -> (N, D)

        A batch is filled up to its full size, because the last bits of a feature depend on that size: they then depend
        on the image alone, not on what else was asked for.
        """
        images = [open_picture(path) for path in paths]
        full = images + [images[-1]] * (_BATCH - len(images))
        features = self._model.encode_images(full).numpy()[: len(images)]
        return np.ascontiguousarray(features, dtype=np.float32)


def image_key(model: ClipModel) -> dict[str, Any]:
    """The key of `ImageFeatures`."""
    numerics = {
        "vision_cfg": model.config["vision_cfg"],  # the number of heads is in no weight
        "activation": model.activation,
        "preprocess": dict(model.preprocess_config),
        "colour": "convert to RGB",
        "exif": "ignored",
        "precision": model.precision,
        "device": model.device.type,
        "batch": _BATCH,
    }
    return feature_key("image", model.visual_hash, numerics)


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


class FileHashes:
    """sha256 of files, remembered by path, size and time for everything that uses the cache; written as it grows."""

    def __init__(self, cache: Path | None) -> None:
        self._path = None if cache is None else cache / "features" / "bytes.jsonl"
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)

    def of(self, paths: Sequence[Path], *, progress: Progress = lambda done, of: None) -> list[str]:
        """Hashes in the order of `paths`; only files that are new or changed are read.

        Raises:
            TrainerError: a file cannot be read.
        """
        folders = {folder: folder.resolve() for folder in {path.parent for path in paths}}
        stamps = [_stamp(path, folders[path.parent]) for path in paths]
        with nullcontext() if self._path is None else _locked(self._path.with_suffix(".lock"), progress):
            known = self._known()
            new = {stamp: path for stamp, path in zip(stamps, paths, strict=True) if stamp not in known}
            items = list(new.items())
            for start in range(0, len(items), _HASHED_AT_ONCE):
                progress(start, len(items))
                hashes = {stamp: _sha256(path) for stamp, path in items[start : start + _HASHED_AT_ONCE]}
                self._remember(hashes)
                known |= hashes
            if items:
                progress(len(items), len(items))
        return [known[stamp] for stamp in stamps]

    def _known(self) -> dict[tuple[str, int, int], str]:
        if self._path is None:
            return {}
        lines = _lines(self._path)
        known = {(parsed[0], parsed[1], parsed[2]): parsed[3] for _, parsed in lines if _is_stamped(parsed)}
        if self._path.is_file() and (data := self._path.read_bytes()) and not data.endswith(b"\n"):
            _append(self._path, b"\n")  # half a line of a killed process must not swallow the next one
        return known

    def _remember(self, hashes: Mapping[tuple[str, int, int], str]) -> None:
        latest = (time.time() - _SETTLED_S) * 1e9
        lines = [json.dumps([*stamp, sha]) + "\n" for stamp, sha in hashes.items() if stamp[2] < latest]
        if self._path is not None and lines:
            _append(self._path, "".join(lines).encode())


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _is_row(parsed: Any, row: int) -> bool:
    return (
        isinstance(parsed, list)
        and len(parsed) == 4
        and all(type(each) is int for each in (parsed[0], parsed[2], parsed[3]))
        and parsed[0] == row
        and parsed[2] > 0
        and _is_id(parsed[1])
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_stamped(parsed: Any) -> bool:
    kinds = (str, int, int)
    return isinstance(parsed, list) and len(parsed) == 4 and all(map(isinstance, parsed, kinds)) and _is_id(parsed[3])


def _checksum(id_: str, row: Floats) -> int:
    return zlib.crc32(row.tobytes(), zlib.crc32(id_.encode()))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise TrainerError(f"{path}: {error.strerror}") from error
    return digest.hexdigest()


def _stamp(path: Path, folder: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise TrainerError(f"{path}: {error.strerror}") from error
    return str(folder / path.name), status.st_size, status.st_mtime_ns


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
            parsed = parse_json(line)
        except JsonError:
            parsed = None
        yield line + b"\n", parsed


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
