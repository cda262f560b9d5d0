"""Cache of image and text features: computed once, memory-mapped. Never imports torch.

A store belongs to one key, which holds everything that can change a feature except its input. (Torch's thread count is
not in the key, although it may change the last bits.) A row belongs to the id of its input. For an image this is the
sha256 of its bytes, so a renamed image is recognised and a changed one is computed again. Rows are appended before
their index line, so a killed process loses at most one batch. One process at a time fills a store. Each row has a
checksum, which is checked when the row is used; a damaged row or index line is computed again and counted.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from curation_db.atomic_write import replace_file
from trainers.features.cache_files import (
    Progress,
    append,
    ignore_progress,
    is_sha256,
    locked,
    read_json_lines,
)

CODE = 4
"""Version of the code from input to feature; raised when it changes."""
_PACKAGES = ("pillow", "numpy", "torch", "torchvision", "open_clip_torch")
"""Their versions are part of every key."""

Floats = NDArray[np.float32]
Compute = Callable[[Sequence[str]], Iterable[tuple[Sequence[str], Floats]]]
"""Function from missing ids to batches of ids with their features (N, D); ids without features are left out."""


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
        **package_versions(),
    }


def package_versions(*more: str) -> dict[str, str]:
    """Return the versions of the packages that change features, and of `more`; part of every key of a cache."""
    return {name: _version(name) for name in (*_PACKAGES, *more)}


def damage_line(count: int) -> str:
    """Return the warning about `FeatureStore.damaged` rows."""
    return f"{count:,} damaged row{'' if count == 1 else 's'} of the feature cache: computed again"


class FeatureStore:
    """Features by id, in a folder below `cache`; in memory only where `cache` is None."""

    def __init__(self, cache: Path | None, key: Mapping[str, Any]) -> None:
        text = json.dumps(key, sort_keys=True, default=str)
        self.folder = None if cache is None else cache / "features" / hashlib.sha256(text.encode()).hexdigest()[:32]
        self.damaged = 0
        """Number of damaged rows and index lines since the store was opened; their features are computed again."""
        self._unsaved: dict[str, Floats] = {}
        """Rows with non-finite values, which are never written to disk; all rows where there is no folder."""
        self._rows = self._width = 0
        if self.folder is not None:
            self._data, self._index = self.folder / "features.f32", self.folder / "rows.jsonl"
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "key.json").exists():
                replace_file(self.folder / "key.json", json.dumps(key, indent=2, default=str) + "\n")

    def rows(self, ids: Sequence[str], compute: Compute, *, progress: Progress = ignore_progress) -> Floats:
        """Return the features of `ids` in order; `compute` computes the missing ones.  -> (N, D)

        Each batch is on disk before the next one is computed.
        """
        with self._lock(progress):
            saved = self._fill(ids, compute)
            # Copy under the lock: another process that detects damage truncates the file.
            data = self._map()
            if all(each in saved for each in ids):
                return np.asarray(data[[saved[each] for each in ids]])
            return np.stack([data[saved[each]] if each in saved else self._unsaved[each] for each in ids])

    def fill(self, ids: Sequence[str], compute: Compute, *, progress: Progress = ignore_progress) -> None:
        """Compute and save the missing features; `compute` may leave ids out, whose inputs it cannot read."""
        with self._lock(progress):
            self._fill(ids, compute)

    def _lock(self, progress: Progress) -> AbstractContextManager[None]:
        return nullcontext() if self.folder is None else locked(self.folder / "lock", progress)

    def _fill(self, ids: Sequence[str], compute: Compute) -> dict[str, int]:
        saved = self._saved(set(ids))
        missing = [each for each in dict.fromkeys(ids) if each not in saved and each not in self._unsaved]
        for batch, features in compute(missing) if missing else ():
            self._add(batch, features, saved)
        return saved

    def _saved(self, ids: set[str]) -> dict[str, int]:
        """Return the row numbers of those `ids` that are intact on disk; remove what is damaged from the index.

        An index line is [row number, id, D, checksum of id and row], so a lost or repeated line never assigns the
        features of another input. The last line of an id counts.
        """
        if self.folder is None:
            return {}
        self._data.touch()
        self._index.touch()
        lines = list(read_json_lines(self._index))
        os.truncate(self._index, sum(len(line) for line, _ in lines))  # the partial line of a killed process
        widths = Counter(parsed[2] for _, parsed in lines if _is_row(parsed))
        self._width = widths.most_common(1)[0][0] if widths else 0
        self._rows = self._data.stat().st_size // (4 * self._width) if self._width else 0
        os.truncate(self._data, self._rows * self._width * 4)  # the partial row of a killed process
        valid = {line: parsed for line, parsed in lines if self._has_row(parsed)}
        rows = {parsed[1]: (parsed[0], parsed[3]) for parsed in valid.values() if parsed[1] in ids}
        data = self._map()
        bad = {each for each, (row, checksum) in rows.items() if _checksum(each, data[row]) != checksum}
        if len(valid) < len(lines) or bad:
            intact = [line for line, parsed in valid.items() if parsed[1] not in bad]
            self.damaged += len(lines) - len(intact)
            replace_file(self._index, b"".join(intact), only_writer=True)
        return {each: row for each, (row, _) in rows.items() if each not in bad}

    def _has_row(self, parsed: Any) -> bool:
        return _is_row(parsed) and parsed[2] == self._width and parsed[0] < self._rows

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
        append(self._data, rows.tobytes())
        append(self._index, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
        saved |= {each: self._rows + at for at, each in enumerate(new)}
        self._rows += len(new)

    def _map(self) -> Floats:
        shape = (self._rows, self._width)
        return np.memmap(self._data, np.float32, "r", shape=shape) if self._rows else np.empty(shape, np.float32)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _is_row(parsed: Any) -> bool:
    return (
        isinstance(parsed, list)
        and len(parsed) == 4
        and all(type(each) is int for each in (parsed[0], parsed[2], parsed[3]))
        and parsed[0] >= 0
        and parsed[2] > 0
        and is_sha256(parsed[1])
    )


def _checksum(id_: str, row: Floats) -> int:
    return zlib.crc32(row.tobytes(), zlib.crc32(id_.encode()))
