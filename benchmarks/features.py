"""Keeps the features of one feature space on disk, and knows files by the hash of their bytes.

A space is everything but the input that decides about a feature; it names a folder of immutable shards, each written
atomically, so any number of processes may fill it and a kill costs at most one batch. Anything damaged counts as
absent. Deletable at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from curation_db.foreign_json import parse_json

Features = npt.NDArray[np.float32]
"""(N, D), one row per input."""

_SETTLED_S: Final = 2.0
"""A file changed this recently could change again within one tick of its clock, unseen."""
_CHUNK: Final = 1 << 20


class FeatureStore:
    """Features by key, in memory and (with a folder) on disk."""

    def __init__(self, folder: Path | None, space: Mapping[str, object]) -> None:
        """`folder` is the cache's; None keeps nothing beyond this object's life."""
        told = json.dumps(space, sort_keys=True, default=str)
        self._rows: dict[str, Features] = {}
        self._folder = None if folder is None else folder / "features" / hashlib.sha256(told.encode()).hexdigest()[:24]
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not (self._folder / "space.json").exists():
                write_atomically(self._folder / "space.json", lambda file: file.write(told.encode()))
            for shard in sorted(self._folder.glob("*.npz")):
                self._read(shard)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def add(self, keys: Sequence[str], rows: Features) -> None:
        """Keeps `rows` (N, D) under `keys`; what is not finite is never written to disk."""
        self._rows.update(zip(keys, rows, strict=True))
        sound = np.asarray(np.isfinite(rows).all(axis=1))
        kept = [key for key, good in zip(keys, sound, strict=True) if good]
        if self._folder is None or not kept:
            return
        name = hashlib.sha256("".join(kept).encode()).hexdigest()[:24]
        write_atomically(
            self._folder / f"{name}.npz", lambda file: np.savez(file, keys=np.array(kept), rows=rows[sound])
        )

    def rows(self, keys: Sequence[str]) -> Features:
        """The features of `keys`, (N, D) in that order; all must be there."""
        return np.stack([self._rows[key] for key in keys])

    def _read(self, shard: Path) -> None:
        try:
            # Opened here: of a damaged file numpy would leave the handle open.
            with shard.open("rb") as file, np.load(file, allow_pickle=False) as told:
                keys, rows = told["keys"], told["rows"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return
        if rows.ndim == 2 and rows.dtype == np.float32 and len(keys) == len(rows):
            self._rows.update(zip(map(str, keys), rows, strict=True))


class FileHashes:
    """sha256 of files, remembered by path, size and time of change."""

    def __init__(self, folder: Path | None) -> None:
        self._index = None if folder is None else folder / "files.json"
        self._known: dict[str, list[object]] = {}
        self._fresh = False
        if self._index is not None and self._index.exists():
            try:
                told = parse_json(self._index.read_bytes())
                self._known = {str(path): list(facts) for path, facts in told.items()}
            except (ValueError, TypeError, AttributeError):
                pass  # an index that cannot be read costs one reading of the files

    def of(self, path: Path) -> str:
        """The sha256 of the bytes of the file at `path`."""
        stat = path.stat()
        facts, name = [stat.st_size, stat.st_mtime_ns], str(path.resolve())
        known = self._known.get(name, [])
        if known[:2] == facts and len(known) == 3:
            return str(known[2])
        sha256 = _sha256(path)
        if time.time() - stat.st_mtime > _SETTLED_S:
            self._known[name], self._fresh = [*facts, sha256], True
        return sha256

    def save(self) -> None:
        """Writes what was learnt."""
        if self._index is not None and self._fresh:
            content = json.dumps(self._known).encode()
            self._index.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._index, lambda file: file.write(content))


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Puts what `write` writes at `path`: all of it or nothing, whoever else does the same."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
