"""What a benchmark is: items with one right option each, and where their pictures lie.

Torch-free. A task is data: it names its items, its baselines and the hash of the file it was read from, and knows
nothing of models. Items stay in the file's order, because the published rule breaks ties by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from benchmarks.errors import BenchError
from benchmarks.schema import NO_CUE
from curation_db.foreign_json import JsonError, parse_json
from curation_db.language import negation_cues


class Box(NamedTuple):
    """A region in pixels of its picture, as the file gives it: whole numbers and fractions alike."""

    x: float
    y: float
    width: float
    height: float


Baseline = Callable[[Sequence[Box]], Sequence[float]]
"""A guess without picture and text: a score for each box, in the order in which they are presented."""
TaskKind = Literal["regions", "retrieval"]
"""regions: which box does the text mean; retrieval: which picture of the gallery does it mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchItem:
    """One question."""

    id: str
    """Unique in its task; stays the same for the same file."""
    image: str
    """File name of the picture; in a retrieval task, of the right one."""
    text: str
    """As published, typos included: this is what a model reads."""
    options: tuple[Box, ...] = ()
    """Boxes in the file's order; none in a retrieval task, whose options are the gallery."""
    target: int
    """Index of the right one among the options or in the gallery."""
    cluster: str
    """Items of one cluster (a picture, a scene) are no independent evidence."""
    slices: Mapping[str, str] = field(default_factory=dict)
    """Name of a cut -> the value of this item: cue, cue_class, position, length."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A benchmark, read and checked."""

    name: str
    version: str
    """Of the rules below and of how the items are read; the data have their own hash."""
    kind: TaskKind
    dataset_sha256: str
    """Of the bytes of the file with the items."""
    items: tuple[BenchItem, ...]
    pictures: Path
    """The folder in which the items' file names lie."""
    gallery: tuple[str, ...] = ()
    """File names of a retrieval task's pictures, in the file's order."""
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    """What can be guessed from the boxes alone, by name."""
    fetch_command: str = ""
    """The command that brings the pictures, for the hint when they are missing."""

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The distinct pictures that are needed, in order of first use."""
        return tuple(dict.fromkeys(self.gallery or [item.image for item in self.items]))

    @cached_property
    def chance(self) -> float:
        """The share that a fair guess gets right on average, 0..1."""
        sizes = [len(self.gallery) or len(item.options) for item in self.items]
        return sum(1 / size for size in sizes) / len(sizes)

    def missing_pictures(self) -> list[str]:
        """The needed pictures that are not there."""
        return [name for name in self.images if not (self.pictures / name).is_file()]

    def check_pictures(self) -> None:
        """Refuses to start without all of its pictures.

        Raises:
            BenchError: some are missing; one line says how many, the hint which command fetches them.
        """
        if missing := self.missing_pictures():
            told = f"{len(missing):,} of {len(self.images):,} pictures are missing in {self.pictures}"
            hint = f"fetch them with: {self.fetch_command}" if self.fetch_command else f"the first is {missing[0]}"
            raise BenchError(f"{self.name}: {told}", hint=hint)


_SHORT: Final = 7
_MIDDLING: Final = 11
_LENGTHS: Final = (f"1-{_SHORT} words", f"{_SHORT + 1}-{_MIDDLING} words", f"{_MIDDLING + 1} words and more")
ORDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "position": tuple(position.value for position in negation_cues.Position),
    "length": _LENGTHS,
}
"""Cuts whose values have an order of their own; those of all others stand by how many items they have."""


def slices_of(text: str) -> dict[str, str]:
    """The cuts that every text knows: its first cue, where that stands, and how many words it has."""
    cue = negation_cues.first_cue(text)
    words = len(text.split())
    return {
        "cue": cue.word if cue else NO_CUE,
        "cue_class": cue.cue_class.value if cue else "none",
        "position": cue.position.value if cue else "none",
        "length": _LENGTHS[(words > _SHORT) + (words > _MIDDLING)],
    }


def read_json(path: Path, *, fetch_command: str = "") -> tuple[Any, str]:
    """What a dataset's file holds, and its sha256.

    Raises:
        BenchError: it is not there or no JSON; the hint names `fetch_command`.
    """
    hint = f"fetch it with: {fetch_command}" if fetch_command else ""
    try:
        content = path.read_bytes()
        return parse_json(content), hashlib.sha256(content).hexdigest()
    except FileNotFoundError as error:
        raise BenchError(f"there is no {path}", hint=hint, fetch_command=fetch_command) from error
    except (OSError, JsonError) as error:
        message = f"{path} cannot be read as JSON: {error}"
        raise BenchError(message, hint=hint, fetch_command=fetch_command) from error


def file_name(value: object) -> str:
    """`value` if it names a picture below the folder of pictures.

    Raises:
        ValueError: it is no name, or one that leads out of the folder.
    """
    if not isinstance(value, str) or not value or "\0" in value or "\\" in value:
        raise ValueError("'image' must be a file name")
    if Path(value).is_absolute() or ".." in Path(value).parts:
        raise ValueError(f"{value!r} leads out of the folder of pictures")
    return value
