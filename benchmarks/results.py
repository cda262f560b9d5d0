"""The files that a benchmark leaves, and nothing else: one result as JSON, its items as JSON lines beside it.

Torch-free. A result is written once and never changed: a rerun of the same (model, task, dataset, protocol) gets the
next number. The items are written before the result that names their hash, so a result that is there is whole.
Readers pass over files that are none of ours, and say why.
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
    disagreement,
    misfit_of_item,
    misfit_of_result,
)
from curation_db.atomic_write import create_file
from curation_db.foreign_json import JsonError, parse_json

ITEMS_SUFFIX: Final = ".items.jsonl"


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result and where it lies."""

    path: Path
    result: Result

    @property
    def items_path(self) -> Path:
        """The file of its items."""
        return self.path.with_name(self.path.stem + ITEMS_SUFFIX)

    def items(self) -> list[ItemRow]:
        """Its items, in the task's order.

        Raises:
            BenchError: the file is missing or not the one that was written, or the result says other than it does.
        """
        rows = read_items(self.items_path, self.result["items_sha256"])
        if problem := disagreement(self.result, rows):
            raise BenchError(f"{self.path} is damaged: {problem}")
        return rows


@dataclass(frozen=True, slots=True)
class ResultListing:
    """What a folder of results holds."""

    results: tuple[StoredResult, ...]
    """Ours, oldest first."""
    problems: tuple[str, ...]
    """One line for each file that is none."""


def base_name(task: TaskFacts, model_hash: str, protocol: str) -> str:
    """What every run of the same question is called, before its number."""
    name = re.sub(r"[^\w-]+", "-", task["name"])
    return f"{name}.{protocol}.{_short(model_hash, 12)}.{task['dataset_sha256'][:8]}"


def write(folder: Path, result: Result, rows: Sequence[ItemRow]) -> StoredResult:
    """Adds a result to `folder`; its `run` and `items_sha256` are filled in here.

    The number is taken by linking the file of items under a name that nobody has, which only one process can do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(_dump(row) + "\n" for row in rows).encode()
    base = base_name(result["task"], result["model"]["hash"], result["protocol"]["name"])
    for number in count(1):
        run = f"{base}.{number}"
        if not (folder / f"{run}.json").exists() and create_file(folder / (run + ITEMS_SUFFIX), lines):
            break
    told: Result = {**result, "run": run, "items_sha256": hashlib.sha256(lines).hexdigest()}
    path = folder / f"{run}.json"
    create_file(path, (json.dumps(told, indent=2, allow_nan=False) + "\n").encode())
    return StoredResult(path, told)


def read(path: Path) -> StoredResult:
    """The result at `path`.

    Raises:
        BenchError: it is none, it is damaged, or a newer negwb wrote it.
    """
    try:
        told = _parsed(path.read_bytes())
    except (OSError, JsonError) as error:
        raise BenchError(f"{path}: {error}") from error
    if not isinstance(told, dict) or type(told.get("schema")) is not int:
        raise BenchError(f"{path} is no result of negwb")
    if told["schema"] > SCHEMA:
        raise BenchError(f"{path} was written by a newer negwb (schema {told['schema']}; known: {SCHEMA})")
    if problem := misfit_of_result(told):
        raise BenchError(f"{path} is damaged: {problem}")
    return StoredResult(path, cast("Result", told))


def list_results(folder: Path) -> ResultListing:
    """Every result in `folder`, whatever else lies there."""
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
    """The items in the file at `path`, checked against `sha256` where given.

    Raises:
        BenchError: it is missing, changed, or holds a line that is no item.
    """
    try:
        content = path.read_bytes()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise BenchError(f"{path} is not the file that its result was written with")
        return list(_rows(path, content.decode()))
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: {error}") from error


def _rows(path: Path, content: str) -> Iterator[ItemRow]:
    for number, line in enumerate(content.split("\n")[:-1], 1):
        try:
            told = _parsed(line)
        except JsonError as error:
            raise BenchError(f"{path}, line {number}: {error}") from error
        if problem := misfit_of_item(told):
            raise BenchError(f"{path}, line {number}: {problem}")
        yield _with_no_cue(cast("ItemRow", told))


def _with_no_cue(row: ItemRow) -> ItemRow:
    """A row of an older negwb wrote "none" where a text has no cue; only the position tells it from the cue "none"."""
    if row["position"] != "none" or row["cue"] != "none":
        return row
    slices = row["slices"]
    return {**row, "cue": NO_CUE, "slices": {**slices, "cue": NO_CUE} if "cue" in slices else slices}


def _parsed(content: bytes | str) -> Any:
    """JSON as its standard has it: Python's would let NaN and Infinity pass."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number in JSON")

    return parse_json(content, parse_constant=refuse)


def _short(sha256: str, length: int) -> str:
    """The first characters of a hash, whatever prefix ("sha256:") it carries."""
    return re.sub(r"\W", "", sha256.rpartition(":")[2])[:length]


def _dump(row: ItemRow) -> str:
    return json.dumps(row, allow_nan=False)
