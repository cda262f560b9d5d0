"""Cache of image and text features: computed once, memory-mapped. Never imports torch.

A store belongs to one key, which holds everything that can change a feature except its input. (Torch's thread count is
not in the key, although it may change the last bits.) A row belongs to the id of its input. For an image this is the
sha256 of its bytes, so a renamed image is recognised and a changed one is computed again. Rows are appended before
their index line, so a killed process loses at most one batch. One process at a time fills a store. Damage is never
fatal: a feature with a wrong index line or checksum is computed again.
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
    from trainers.models.clip_model import ClipModel

CODE = 3
"""Version of the code from input to feature; raised when it changes."""
_PACKAGES = ("pillow", "numpy", "torch", "torchvision", "open_clip_torch")
"""Their versions are part of every key."""
_BATCH = 64
_HASHED_AT_ONCE = 64
"""Maximum number of hashes that a killed process loses."""
_SETTLED_S = 2.0
"""A file that changed more recently can change again within one tick of the file system's clock."""
_CHUNK = 1 << 20
_MAX_ASPECT_RATIO = 1000
"""A larger aspect ratio makes the resized image larger than memory."""
_ID = re.compile("[0-9a-f]{64}")

Progress = Callable[[int, int], None]
"""Callback with the number done and the total, or with (0, 0) while waiting for another process.

An exception from it ends the pass; finished work is kept.
"""
Floats = NDArray[np.float32]
Compute = Callable[[Sequence[str]], Iterable[tuple[Sequence[str], Floats]]]
"""Function from missing ids to batches of ids with their features (N, D)."""


def feature_key(kind: Literal["image", "text"], weights: str, numerics: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that a feature depends on, apart from its input.

    Args:
        kind: what is encoded.
        weights: hash of the weights and the configuration that encode it.
        numerics: everything else that changes the numbers: preprocessing, activation, precision, device class.
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
    """Features by id, in a folder below `cache`; in memory only where `cache` is None."""

    def __init__(self, cache: Path | None, key: Mapping[str, Any]) -> None:
        text = json.dumps(key, sort_keys=True, default=str)
        self.folder = None if cache is None else cache / "features" / hashlib.sha256(text.encode()).hexdigest()[:32]
        self._unsaved: dict[str, Floats] = {}
        """Rows with non-finite values, which are never written to disk; all rows where there is no folder."""
        self._rows = self._width = 0
        if self.folder is not None:
            self._data, self._index = self.folder / "features.f32", self.folder / "rows.jsonl"
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "key.json").exists():
                replace_file(self.folder / "key.json", json.dumps(key, indent=2, default=str) + "\n")

    def rows(self, ids: Sequence[str], compute: Compute, *, progress: Progress = lambda done, of: None) -> Floats:
        """Return the features of `ids` in order; `compute` computes the missing ones.  -> (N, D)

        Each batch is on disk before the next one is computed.
        """
        with nullcontext() if self.folder is None else _locked(self.folder / "lock", progress):
            saved = self._saved(set(ids))
            missing = [each for each in dict.fromkeys(ids) if each not in saved and each not in self._unsaved]
            for batch, features in compute(missing):
                self._add(batch, features, saved)
            # Copy under the lock: another process that detects damage truncates the file.
            data = self._map()
            if all(each in saved for each in ids):
                return np.asarray(data[[saved[each] for each in ids]])
            return np.stack([data[saved[each]] if each in saved else self._unsaved[each] for each in ids])

    def _saved(self, ids: set[str]) -> dict[str, int]:
        """Return the row numbers of those `ids` that are intact on disk; truncate a partial end of the files.

        An index line is [row number, id, D, checksum]. It contains its number, so a lost or repeated line never assigns
        the features of another input. The last line of an id counts.
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
            raise ValueError(f"features of dimension {rows.shape[1]} in a store of dimension {self._width}")
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
        """Number of images encoded since this store was opened."""

    @property
    def folder(self) -> Path:
        """The folder of the model's features."""
        assert self._store.folder is not None
        return self._store.folder

    def identify(self, paths: Sequence[Path], *, progress: Progress = lambda done, of: None) -> list[str]:
        """Return the sha256 of the images' bytes (`FileHashes.of`)."""
        return self._hashes.of(paths, progress=progress)

    def features(self, paths: Sequence[Path], *, progress: Progress = lambda done, of: None) -> Floats:
        """Return unit features in the order of `paths`; compute missing ones.  -> (N, D)

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
        """Return the features of at most one batch.  -> (N, D)

        A batch is padded to its full size, because the last bits of a feature depend on the batch size. With padding
        they depend on the image alone.
        """
        images = [open_image(path) for path in paths]
        full = images + [images[-1]] * (_BATCH - len(images))
        features = self._model.encode_images(full).numpy()[: len(images)]
        return np.ascontiguousarray(features, dtype=np.float32)


def image_key(model: ClipModel) -> dict[str, Any]:
    numerics = {
        "vision_cfg": model.config["vision_cfg"],  # the weights do not contain the number of heads
        "activation": model.activation,
        "preprocess": dict(model.preprocess_config),
        "colour": "convert to RGB",
        "exif": "ignored",
        "precision": model.precision,
        "device": model.device.type,
        "batch": _BATCH,
    }
    return feature_key("image", model.visual_hash, numerics)


def open_image(path: Path) -> Image.Image:
    """Open an image as the input of features.  -> RGB

    Raises:
        TrainerError: the file cannot be decoded, or is a decompression bomb.
    """
    try:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
    except Exception as error:  # Pillow's readers raise nearly any exception on a hostile file
        raise TrainerError(f"{path} cannot be read as an image: {first_line(error)}") from error
    if max(rgb.size) > _MAX_ASPECT_RATIO * min(rgb.size):
        width, height = rgb.size
        raise TrainerError(f"{path} cannot be read as an image: it is too narrow ({width} x {height})")
    return rgb


class FileHashes:
    """Cache of the sha256 of files by path, size and modification time, shared by all users of the cache folder."""

    def __init__(self, cache: Path | None) -> None:
        self._path = None if cache is None else cache / "features" / "bytes.jsonl"
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)

    def of(self, paths: Sequence[Path], *, progress: Progress = lambda done, of: None) -> list[str]:
        """Return the hashes in the order of `paths`; read only new or changed files.

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
                self._store(hashes)
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
            _append(self._path, b"\n")  # end the partial line of a killed process, so that the next line is valid
        return known

    def _store(self, hashes: Mapping[tuple[str, int, int], str]) -> None:
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
    """Yield the complete lines of a JSON Lines file with their values; None for an invalid line."""
    data = path.read_bytes() if path.is_file() else b""
    for line in data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]:
        try:
            parsed = parse_json(line)
        except JsonError:
            parsed = None
        yield line + b"\n", parsed


@contextmanager
def _locked(path: Path, progress: Progress = lambda done, of: None) -> Iterator[None]:
    """Hold an exclusive lock, which the system releases when the process ends."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress(0, 0)  # may raise, so that a long wait can be interrupted
                time.sleep(0.05)
        yield
