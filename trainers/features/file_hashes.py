"""Cache of the sha256 of files, shared by all users of the cache folder. No torch.

A file is known by its path, size, modification time, change time and inode. A file system gives two changes within one
tick of its clock the same times, so a file that changed just before it was read is read again the next time, as git
does for its index. Programs can restore the modification time, but not the change time.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.errors import TrainerError
from trainers.features.cache_files import (
    Progress,
    append,
    end_partial_line,
    ignore_progress,
    is_sha256,
    locked,
    read_json_lines,
)

SETTLED_S = 2.0
"""Age from which a file's times can be trusted: the coarsest clock of a common file system (FAT) ticks every 2 s."""
_HASHED_AT_ONCE = 64
"""Maximum number of hashes that a killed process loses."""
_READ_TRIES = 3
_CHUNK = 1 << 20

_Stamp = tuple[str, int, int, int, int]
"""Resolved path, size in bytes, modification time and change time in ns, inode."""


@dataclass(frozen=True, slots=True)
class HashedFiles:
    hashes: Mapping[Path, str]
    """sha256 by path."""
    problems: Mapping[Path, TrainerError]
    """Why the other files could not be read."""


class FileHashes:
    def __init__(self, cache: Path | None) -> None:
        self._path = None if cache is None else cache / "features" / "bytes.jsonl"
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)

    def of(self, paths: Sequence[Path], *, progress: Progress = ignore_progress) -> list[str]:
        """Return the hashes in the order of `paths`; read only new or changed files.

        Raises:
            TrainerError: a file cannot be read.
        """
        hashed = self.hash_all(paths, progress=progress)
        for problem in hashed.problems.values():
            raise problem
        return [hashed.hashes[path] for path in paths]

    def hash_all(self, paths: Iterable[Path], *, progress: Progress = ignore_progress) -> HashedFiles:
        """Return the hashes of all readable files; read only new or changed ones."""
        wanted = list(dict.fromkeys(paths))
        folders = {folder: folder.resolve() for folder in {path.parent for path in wanted}}
        names = {path: str(folders[path.parent] / path.name) for path in wanted}
        hashes: dict[Path, str] = {}
        problems: dict[Path, TrainerError] = {}
        with nullcontext() if self._path is None else locked(self._path.with_suffix(".lock"), progress):
            known = self._known()
            new: list[Path] = []
            for path in wanted:
                try:
                    stamp = _stamp(names[path], path.stat())
                except OSError as error:
                    problems[path] = _problem(path, error)
                    continue
                if stamp in known:
                    hashes[path] = known[stamp]
                else:
                    new.append(path)
            with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="hash") as pool:
                for start in range(0, len(new), _HASHED_AT_ONCE):
                    progress(start, len(new))
                    batch = new[start : start + _HASHED_AT_ONCE]
                    read = list(pool.map(lambda path: _hash_file(path, names[path]), batch))
                    self._save(result for result in read if isinstance(result, _HashedFile))
                    for path, result in zip(batch, read, strict=True):
                        if isinstance(result, _HashedFile):
                            hashes[path] = result.sha256
                        else:
                            problems[path] = result
            if new:
                progress(len(new), len(new))
        return HashedFiles(hashes, {path: problems[path] for path in wanted if path in problems})

    def _known(self) -> dict[_Stamp, str]:
        if self._path is None:
            return {}
        end_partial_line(self._path)
        lines = (parsed for _, parsed in read_json_lines(self._path) if _is_entry(parsed))
        return {(path, size, mtime, ctime, inode): sha for path, size, mtime, ctime, inode, sha in lines}

    def _save(self, files: Iterable[_HashedFile]) -> None:
        lines = [json.dumps([*file.stamp, file.sha256]) + "\n" for file in files if file.settled]
        if self._path is not None and lines:
            append(self._path, "".join(lines).encode())


@dataclass(frozen=True, slots=True)
class _HashedFile:
    stamp: _Stamp
    sha256: str
    settled: bool
    """Whether any later change gives the file another stamp."""


def _hash_file(path: Path, name: str) -> _HashedFile | TrainerError:
    """Hash a file that may change meanwhile: the result belongs to one stamp, or is not settled."""
    try:
        for _ in range(_READ_TRIES):
            began = time.time_ns()
            if not stat.S_ISREG(path.stat().st_mode):  # a pipe could block, and a device has no end
                return TrainerError(f"{path}: not a file")
            digest = hashlib.sha256()
            with path.open("rb") as file:
                before = _stamp(name, os.fstat(file.fileno()))
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                unchanged = before == _stamp(name, os.fstat(file.fileno()))
            if unchanged:
                break
        settled = unchanged and max(before[2], before[3]) < began - SETTLED_S * 1e9
        return _HashedFile(before, digest.hexdigest(), settled)
    except OSError as error:
        return _problem(path, error)


def _problem(path: Path, error: OSError) -> TrainerError:
    return TrainerError(f"{path}: {error.strerror or error}")


def _stamp(name: str, status: os.stat_result) -> _Stamp:
    return name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _is_entry(parsed: Any) -> bool:
    return (
        isinstance(parsed, list)
        and len(parsed) == 6
        and isinstance(parsed[0], str)
        and all(type(each) is int for each in parsed[1:5])
        and is_sha256(parsed[5])
    )
