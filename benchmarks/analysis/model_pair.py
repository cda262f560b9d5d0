"""Compares two models on every task that both were run on: difference, test, slices, and the items that flipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.analysis.comparison import ComparisonRow, Report, Slice, compare, slices_of_run
from benchmarks.analysis.statistics import PairedDifference, with_holm
from benchmarks.errors import BenchError
from benchmarks.results import read

_Place = tuple[str, str, str, str]
"""Task, its version, data set hash and protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedItem:
    """An item that only one of the two models has right."""

    id: str
    image: str
    text: str
    cue: str
    gained: bool
    """Whether the second model has it right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTask:
    """Two models on one task under one protocol."""

    first: ComparisonRow
    second: ComparisonRow
    affirmed: tuple[ComparisonRow | None, ComparisonRow | None]
    """The results of both models on the affirmative twin, where the task has denied phrases and the twin was run."""
    difference: PairedDifference
    """Second - first; p is corrected for the tasks of one protocol."""
    slices: tuple[Slice, ...]
    """Of the second model, each compared with the first."""
    flipped: tuple[FlippedItem, ...]
    """In the order of the file of the second result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPair:
    first: str
    second: str
    tasks: tuple[PairedTask, ...]
    problems: tuple[str, ...]
    """Files that could not be read."""

    def as_dict(self) -> dict[str, Any]:
        """Return the object for --json."""
        return asdict(self)


def compare_pair(
    folder: Path,
    first: str,
    second: str,
    *,
    cache: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ModelPair:
    """Compare the model `second` with the model `first`; each is a name, or the beginning of a hash.

    Raises:
        BenchError: one of them matches no model or several, or both are one model, or they share no task.
    """
    report = compare(folder, base=first, slices=False, cache=cache, progress=progress)
    model = _hash_of(report, second)
    rows = [row for row in report.rows if row.model_hash == model and row.base is not None]
    if not rows:
        raise BenchError(
            f"{first} and {second} were not run on the same items", hint="negwb bench run TASK --model ..."
        )
    bases = {_place(row): row for row in report.rows if row.is_reference}
    corrected = _corrected(rows)
    tasks = []
    for row in rows:
        theirs = bases[_place(row)]
        slices = slices_of_run(folder, row.run, theirs.run, cache=cache)
        flipped = _flipped(folder, theirs.run, row.run)
        paired = corrected[_place(row)]
        affirmed = (report.twin_of(theirs), report.twin_of(row)) if row.denied else (None, None)
        tasks.append(
            PairedTask(first=theirs, second=row, affirmed=affirmed, difference=paired, slices=slices, flipped=flipped)
        )
    names = tasks[0].first.model, tasks[0].second.model
    return ModelPair(first=names[0], second=names[1], tasks=tuple(tasks), problems=report.problems)


def _place(row: ComparisonRow) -> _Place:
    return row.task, row.version, row.dataset_sha256, row.protocol


def _hash_of(report: Report, wanted: str) -> str:
    model = report.model_called(wanted)
    if any(row.is_reference and row.model_hash == model for row in report.rows):
        raise BenchError(f"{wanted!r} is the same model as the first", hint="name two models")
    return model


def _corrected(rows: list[ComparisonRow]) -> dict[_Place, PairedDifference]:
    """Return the differences, corrected for the tasks of these two models only."""
    corrected: dict[_Place, PairedDifference] = {}
    for protocol in {row.protocol for row in rows}:
        own = [row for row in rows if row.protocol == protocol]
        family = with_holm([replace(row.base, p_holm=None) for row in own if row.base])
        corrected |= {_place(row): each for row, each in zip(own, family, strict=True) if each}
    return corrected


def _flipped(folder: Path, first_run: str, second_run: str) -> tuple[FlippedItem, ...]:
    theirs = {row["id"]: row["correct"] for row in read(folder / f"{first_run}.json").items()}
    return tuple(
        FlippedItem(id=row["id"], image=row["image"], text=row["text"], cue=row["cue"], gained=row["correct"])
        for row in read(folder / f"{second_run}.json").items()
        if theirs.get(row["id"], row["correct"]) is not row["correct"]
    )
