"""Append-only cache of JSON values by the hash of their input, written as they are computed.

A store belongs to one key, which holds everything that can change a value except its input. A killed process loses at
most the value that it was writing. One process at a time fills a store. Each line has a checksum; a damaged line is
computed again. Does not import torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from curation_db.atomic_write import replace_file
from trainers.features.cache_files import Progress, append, ignore_progress, is_sha256, locked, read_json_lines

FOLDER: Final = "segmentation"
"""Below the cache of the workspace."""

Compute = Callable[[Sequence[str]], Iterable[Mapping[str, Any]]]
"""Function from missing ids to groups of values by id; a group is written at once."""


class LineStore:
    """Values by id, in a folder below `cache`; in memory only where `cache` is None."""

    def __init__(self, cache: Path | None, key: Mapping[str, Any]) -> None:
        text = json.dumps(key, sort_keys=True, default=str)
        self.folder = None if cache is None else cache / FOLDER / hashlib.sha256(text.encode()).hexdigest()[:32]
        self.damaged = 0
        """Number of damaged lines since the store was opened; their values are computed again."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "key.json").exists():
                replace_file(self.folder / "key.json", json.dumps(key, indent=2, default=str) + "\n")

    def values(self, ids: Sequence[str], compute: Compute, *, progress: Progress = ignore_progress) -> dict[str, Any]:
        """Return the values of `ids`; `compute` computes the missing ones, each group of which is kept at once."""
        if self.folder is None:
            return {id_: value for group in compute(list(dict.fromkeys(ids))) for id_, value in group.items()}
        with locked(self.folder / "lock", progress):
            path = self.folder / "values.jsonl"
            known = self._read(path, set(ids))
            missing = [id_ for id_ in dict.fromkeys(ids) if id_ not in known]
            for group in compute(missing) if missing else ():
                append(path, "".join(_line(id_, value) for id_, value in group.items()).encode())
                known |= group
            return known

    def _read(self, path: Path, ids: set[str]) -> dict[str, Any]:
        known: dict[str, Any] = {}
        length = 0
        for line, parsed in read_json_lines(path):
            length += len(line)
            if not _is_whole(parsed):
                self.damaged += 1
            elif parsed[0] in ids:
                known[parsed[0]] = parsed[1]
        if path.exists():
            os.truncate(path, length)  # the partial line of a killed process
        return known


def _line(id_: str, value: Any) -> str:
    return json.dumps([id_, value, _checksum(id_, value)]) + "\n"


def _is_whole(parsed: Any) -> bool:
    return (
        isinstance(parsed, list)
        and len(parsed) == 3
        and is_sha256(parsed[0])
        and parsed[2] == _checksum(parsed[0], parsed[1])
    )


def _checksum(id_: str, value: Any) -> int:
    return zlib.crc32(json.dumps([id_, value]).encode())
