"""Reads and writes result files: a result as JSON, and its items as JSON lines beside it.

A result is never changed: a rerun of the same model, task, data set and protocol gets the next number. The items are
written before the result with their hash, so every existing result is complete. Readers skip invalid files and report
the reason. Does not import torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

from benchmarks.errors import BenchError
from benchmarks.schema import (
    NO_CUE,
    SCHEMA,
    ItemRow,
    Result,
    TaskFacts,
    item_problem,
    items_problem,
    result_problem,
)
from curation_db.atomic_write import create_file
from curation_db.foreign_json import JsonError, parse_json

ITEMS_SUFFIX: Final = ".items.jsonl"


@dataclass(frozen=True, slots=True)
class StoredResult:
    path: Path
    result: Result

    @property
    def items_path(self) -> Path:
        return self.path.with_name(self.path.stem + ITEMS_SUFFIX)

    def has_whole_items(self) -> bool:
        """Return whether the file of items exists and has its hash; its content is not parsed."""
        try:
            content = self.items_path.read_bytes()
        except OSError:
            return False
        return hashlib.sha256(content).hexdigest() == self.result["items_sha256"]

    def items(self) -> list[ItemRow]:
        """Read the items, in the order of the task.

        Raises:
            BenchError: The file is missing or changed, or is inconsistent with the result.
        """
        rows = read_items(self.items_path, self.result["items_sha256"])
        if problem := items_problem(self.result, rows):
            raise BenchError(f"{self.path} is damaged: {problem}")
        return rows


@dataclass(frozen=True, slots=True)
class ResultListing:
    results: tuple[StoredResult, ...]
    """Valid results, oldest first."""
    problems: tuple[str, ...]
    """One line for each invalid file."""


def base_name(task: TaskFacts, model_hash: str, protocol: str) -> str:
    """Return the name of a result without its run number."""
    name = re.sub(r"[^\w-]+", "-", task["name"])
    return f"{name}.{protocol}.{short_hash(model_hash, 12)}.{task['dataset_sha256'][:8]}"


def write(folder: Path, result: Result, rows: Sequence[ItemRow]) -> StoredResult:
    """Add a result to `folder`; set its `run` and `items_sha256`.

    The run number is reserved by creating the file of items with an unused name, which only one process can do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(_dump(row) + "\n" for row in rows).encode()
    base = base_name(result["task"], result["model"]["hash"], result["protocol"]["name"])
    for number in count(1):
        run = f"{base}.{number}"
        if not (folder / f"{run}.json").exists() and create_file(folder / (run + ITEMS_SUFFIX), lines):
            break
    stored: Result = {**result, "run": run, "items_sha256": hashlib.sha256(lines).hexdigest()}
    path = folder / f"{run}.json"
    create_file(path, (json.dumps(stored, indent=2, allow_nan=False) + "\n").encode())
    return StoredResult(path, stored)


def read(path: Path) -> StoredResult:
    """Read the result at `path`.

    Raises:
        BenchError: The file is not a result, is damaged, or was written by a newer negwb.
    """
    try:
        content = _parse(path.read_bytes())
    except (OSError, JsonError) as error:
        raise BenchError(f"{path}: {error}") from error
    if not isinstance(content, dict) or type(content.get("schema")) is not int:
        raise BenchError(f"{path} is not a result of negwb")
    if content["schema"] > SCHEMA:
        raise BenchError(f"{path} was written by a newer negwb (schema {content['schema']}; known: {SCHEMA})")
    if problem := result_problem(content):
        raise BenchError(f"{path} is damaged: {problem}")
    return StoredResult(path, cast("Result", content))


def list_results(folder: Path) -> ResultListing:
    results: list[StoredResult] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            results.append(read(path))
        except BenchError as error:
            problems.append(error.message)
    results.sort(key=lambda stored: (stored.result["created"], len(stored.path.name), stored.path.name))
    return ResultListing(tuple(results), tuple(problems))


def read_items(path: Path, sha256: str | None = None) -> list[ItemRow]:
    """Read the items in the file at `path`; verify `sha256` if it is given.

    Raises:
        BenchError: The file is missing or changed, or has an invalid line.
    """
    try:
        content = path.read_bytes()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise BenchError(f"{path} was changed: its hash is not the one in the result")
        return list(_rows(path, content.decode()))
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: {error}") from error


def _rows(path: Path, content: str) -> Iterator[ItemRow]:
    for number, line in enumerate(content.split("\n")[:-1], 1):
        try:
            content = _parse(line)
        except JsonError as error:
            raise BenchError(f"{path}, line {number}: {error}") from error
        if problem := item_problem(content):
            raise BenchError(f"{path}, line {number}: {problem}")
        yield _with_no_cue(cast("ItemRow", content))


def _with_no_cue(row: ItemRow) -> ItemRow:
    """Return the row with `NO_CUE`: older versions wrote "none", which differs from the cue "none" by the position."""
    if row["position"] != "none" or row["cue"] != "none":
        return row
    slices = row["slices"]
    return {**row, "cue": NO_CUE, "slices": {**slices, "cue": NO_CUE} if "cue" in slices else slices}


def _parse(content: bytes | str) -> Any:
    """Parse standard JSON: Python's parser would accept NaN and Infinity."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not valid in JSON")

    return parse_json(content, parse_constant=refuse)


def short_hash(sha256: str, length: int) -> str:
    """Return the first characters of a hash without its prefix ("sha256:")."""
    return re.sub(r"\W", "", sha256.rpartition(":")[2])[:length]


def _dump(row: ItemRow) -> str:
    return json.dumps(row, allow_nan=False)
