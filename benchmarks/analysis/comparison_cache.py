"""Cache of the derived figures of a report, by the hashes of the results that they follow from.

Resampling and reading of items take a second per 20 results; a cached entry costs nothing. The cache is one JSON file;
a damaged or foreign one is ignored, and everything is computed again. Does not import torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from curation_db.atomic_write import replace_file
from curation_db.foreign_json import JsonError, parse_json

Value = TypeVar("Value")

CODE: Final = "7"
"""Raised when equal results give other figures."""
_FILE: Final = "comparisons.json"
_MAX_ENTRIES: Final = 20_000
"""Oldest entries are dropped above it; an entry has about 1 kB."""


def key_of(*parts: object) -> str:
    """Return the key of figures that follow from `parts`, which JSON can represent."""
    content = json.dumps([CODE, *parts], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()


class ComparisonCache:
    """Derived figures in a folder; without a folder nothing is stored."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / _FILE
        self._entries = {} if self._path is None else _read(self._path)
        self._new: dict[str, Any] = {}

    def get(self, key: str, kind: type[Value], compute: Callable[[], Value]) -> Value:
        """Return the cached value of type `kind`, a dataclass or built-in; else compute and add it.

        Infinite and NaN figures are not in JSON; such a value is computed each time.
        """
        import msgspec  # noqa: PLC0415 -- 25 ms, which commands without results do not need

        if key in self._entries:
            try:
                return msgspec.convert(self._entries[key], kind)
            except msgspec.ValidationError:
                del self._entries[key]
        value = compute()
        plain = msgspec.to_builtins(value)
        if _is_finite(plain):
            self._new[key] = plain
        return value

    def save(self) -> None:
        """Write the entries that are new; a folder that cannot be written costs time only."""
        if self._path is None or not self._new:
            return
        entries = {**_read(self._path), **self._new}  # another process may have added some
        newest = dict(list(entries.items())[-_MAX_ENTRIES:])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps(newest, allow_nan=False))
        except OSError:
            return
        self._entries, self._new = newest, {}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_bytes())
    except (OSError, JsonError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
