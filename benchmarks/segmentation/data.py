"""Data of referring segmentation: items with a phrase and the region that it describes, and their subsets.

A file is read row by row: a bad row is reported with its place, and the good rows are used. Does not import torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.affirmative_twins import AFFIRMATIVE_SUFFIX, NEGATED_SUFFIX
from benchmarks.errors import BenchError
from benchmarks.segmentation.choices import Subset
from benchmarks.segmentation.masks import Mask, Size
from benchmarks.task import BenchItem, Task, slices_of
from curation_db.foreign_json import finite_number
from curation_db.language.negation_cues import negates

VERSION: Final = "1"
"""Version of the readers and of the rule for a subset."""


_SUFFIXES: Final[Mapping[Subset, str]] = {
    Subset.NEGATED: NEGATED_SUFFIX,
    Subset.AFFIRMED: AFFIRMATIVE_SUFFIX,
    Subset.ALL: "",
}


@dataclass(frozen=True, slots=True)
class Region:
    """The true region of an item; drawn when it is needed, because the masks of a data set do not fit into memory."""

    size: Size
    """Height and width of the image, in pixels."""
    draw: Callable[[], Mask] = field(repr=False)
    where: str = ""
    """Its place in the file, as "row 12", for messages."""

    def mask(self) -> Mask:
        """Return the mask (H, W)."""
        return self.draw()


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that is left out."""

    path: Path
    row: str
    """Its place in the file, as "row 12" or "sentence 7"."""
    reason: str

    @property
    def text(self) -> str:
        return f"{self.path}, {self.row}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class SegmentationData:
    """The items of a data set, read and checked."""

    path: Path
    """The file with the phrases."""
    task: Task
    """Items and images; of the kind "segmentation"."""
    regions: Mapping[str, Region]
    """By the item's id."""
    inclusive: bool
    """Whether the published code counts an IoU of exactly the threshold as right."""
    problems: tuple[RowProblem, ...] = ()
    """Rows that were left out."""

    def subset(self, subset: Subset, *, most: int | None = None) -> SegmentationData:
        """Return the data with the phrases of a subset; the name and the hash of the task tell it.

        Only these regions are drawn, and those without a pixel are left out and reported.

        Args:
            most: Take only so many, those whose ids have the smallest hashes; None: all.

        Raises:
            BenchError: No phrase is in the subset.
        """
        items, problems = [], list(self.problems)
        for item in (each for each in self.task.items if _is_in(each, subset)):
            if reason := _problem_of(self.regions[item.id]):
                problems.append(RowProblem(self.path, self.regions[item.id].where, reason))
            else:
                items.append(item)
        if not items:
            hint = "" if subset is Subset.ALL else "choose another subset: --subset all"
            raise BenchError(f"{self.task.name} has no {subset} phrase".replace("no all", "no"), hint=hint)
        if most is not None and most < len(items):
            chosen = {item.id for item in sorted(items, key=lambda item: _digest(item.id))[:most]}
            items = [item for item in items if item.id in chosen]
        identity = hashlib.sha256("\0".join([self.task.dataset_sha256, *(item.id for item in items)]).encode())
        task = replace(
            self.task,
            name=self.task.name + _SUFFIXES[subset],
            items=tuple(items),
            dataset_sha256=identity.hexdigest(),
        )
        regions = {item.id: self.regions[item.id] for item in items}
        return replace(self, task=task, regions=regions, problems=tuple(problems))


def _problem_of(region: Region) -> str:
    """Return why a region cannot be scored; "" if it can."""
    try:
        return "" if region.mask().any() else "the region has no pixel of the image"
    except ValueError as error:
        return str(error)


def _is_in(item: BenchItem, subset: Subset) -> bool:
    return subset is Subset.ALL or negates(item.text) is (subset is Subset.NEGATED)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class Referred:
    """A phrase of a data set's file and the region that it describes."""

    id: str
    image: str
    text: str
    region: Region
    slices: Mapping[str, str] = field(default_factory=dict)
    """Cuts beside those that every text has."""


@dataclass
class RowReader:
    """Collects the good rows of a data set and the problems of the others."""

    path: Path
    rows: list[Referred] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)

    def read(self, where: str, parse: Callable[[], Iterable[Referred]]) -> None:
        """Add what `parse` returns; a ValueError of it is the problem of this row."""
        try:
            parsed = list(parse())
            if taken := [each.id for each in parsed if each.id in self._ids]:
                raise ValueError(f"the id {taken[0]!r} is taken")
        except ValueError as error:
            self.problems.append(RowProblem(self.path, where, str(error)))
            return
        self._ids |= {each.id for each in parsed}
        self.rows += parsed

    def data(self, name: str, dataset_sha256: str, pictures: Path, *, inclusive: bool) -> SegmentationData:
        """Return the data of all good rows.

        Raises:
            BenchError: There is no good row; the message names the first problem.
        """
        if not self.rows:
            first = f"; the first: {self.problems[0].text}" if self.problems else ""
            raise BenchError(f"{self.path} has no usable row: {len(self.problems):,} are bad{first}")
        items = tuple(
            BenchItem(
                id=row.id,
                image=row.image,
                text=row.text,
                target=0,
                cluster=row.image,
                slices={**slices_of(row.text), **row.slices},
            )
            for row in self.rows
        )
        task = Task(
            name=name,
            version=VERSION,
            kind="segmentation",
            dataset_sha256=dataset_sha256,
            items=items,
            pictures=pictures,
        )
        regions = {row.id: row.region for row in self.rows}
        return SegmentationData(
            path=self.path, task=task, regions=regions, inclusive=inclusive, problems=tuple(self.problems)
        )


def object_of(row: Any) -> Mapping[str, Any]:
    """Return `row` if it is a JSON object.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(row, Mapping):
        raise ValueError("expected an object")
    return row


def text_of(row: Mapping[str, Any], key: str) -> str:
    """Return a text that is not blank.

    Raises:
        ValueError: There is none under this key.
    """
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key!r} must be a text")
    return value


def id_of(row: Mapping[str, Any], key: str) -> str:
    """Return an id, a whole number or a text, as text.

    Raises:
        ValueError: There is none under this key.
    """
    value = row.get(key)
    if type(value) not in (int, str) or value == "":
        raise ValueError(f"{key!r} must be a number or a text")
    return str(value)


def size_of(row: Mapping[str, Any]) -> Size:
    """Return height and width of an image.

    Raises:
        ValueError: They are no positive whole numbers.
    """
    sides = row.get("height"), row.get("width")
    if not all(type(side) is int and side > 0 for side in sides):
        raise ValueError("'width' and 'height' must be positive whole numbers")
    return int(sides[0] or 0), int(sides[1] or 0)


def numbers_of(values: Any, what: str) -> list[float]:
    """Return a list of finite numbers.

    Raises:
        ValueError: It is no such list.
    """
    numbers = [finite_number(value) for value in values] if isinstance(values, list) else []
    if not numbers or any(number is None for number in numbers):
        raise ValueError(f"{what} must be numbers")
    return [number for number in numbers if number is not None]


def numbered(rows: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield each row with its place for messages, from 0 as in the file's list."""
    return ((f"row {place}", row) for place, row in enumerate(rows))
