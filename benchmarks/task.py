"""Data classes of a benchmark: a task and its items with one right option each.

A task is independent of models: it holds its items, its baselines and the hash of its file. Items keep the order of the
file, because the published rule resolves ties by it. Does not import torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from benchmarks.errors import BenchError
from benchmarks.schema import NO_CUE
from curation_db.exporting.manifest import file_facts
from curation_db.foreign_json import JsonError, parse_json
from curation_db.language import negation_cues


class Box(NamedTuple):
    """A region of an image in pixels, as in the file: integers or fractions."""

    x: float
    y: float
    width: float
    height: float


Baseline = Callable[[Sequence[Any]], Sequence[float]]
"""A guess without the model: returns a score for each option, boxes or captions, in the presented order."""
TaskKind = Literal[
    "regions",
    "captions",
    "retrieval",
    "caption_retrieval",
    "twins",
    "classification",
    "judged",
    "segmentation",
    "text_to_image",
]
"""regions: which box does the text describe; captions: which text describes the image; retrieval: which image of the
gallery does the text describe; caption_retrieval: which of all texts describes the image; twins: which of two texts
describes each of two images, and which of the images is described by each text; classification: which class, each with
the mean embedding of its prompts, has the image; judged: is the text true of the images that it retrieves, by the
answers of a judge; segmentation: which pixels does the text describe (`benchmarks.segmentation`);
text_to_image: is the text true of a picture that was made of it, by a judge (`benchmarks.text_to_image`)."""
Unpack = Callable[[Callable[[int, int], None]], None]
"""Writes the images of a task to its folder; calls its argument with the number of images written and the total.

It raises a BenchError if they cannot be written."""
OfficialRule = Literal["argmax", "greater"]
"""How the published code chooses. argmax: the first highest score, NaN is the highest. greater: the answer is right if
the right option has a higher score than every other one, so that a tie and NaN are wrong."""


CHANCE_OF_TWINS: Final = 1 / 6
"""Four of the 24 orders of the four scores fulfil all four comparisons."""


class ImageRegion(NamedTuple):
    """An image, or a region of it."""

    image: str
    """File name."""
    box: Box | None


class JudgedQuestions(NamedTuple):
    """The questions to a judge about an image that a text retrieved."""

    denied: str
    """About the thing that the text denies; the right answer is no."""
    scene: str
    """About the rest of the text; the right answer is yes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchItem:
    id: str
    """Unique in its task, and equal for equal files."""
    image: str
    """File name of the image; in a retrieval task, of the right image; in a judged task empty: a judge decides."""
    text: str
    """As published, including typos; the input of the model. In a captions task, the right caption; in a classification
    task, the right class."""
    options: tuple[Box, ...] = ()
    """Boxes of a regions task in the file's order."""
    captions: tuple[str, ...] = ()
    """Options of a captions task in the file's order."""
    box: Box | None = None
    """In a captions or twins task, the region that the captions are about; None: the whole image."""
    twin: ImageRegion | None = None
    """In a twins task, the second image, which the second caption describes."""
    questions: JudgedQuestions | None = None
    """Of a judged task."""
    target: int
    """Index of the right option, among the options or in the gallery; -1 in a judged task, 0 in segmentation."""
    also_right: tuple[int, ...] = ()
    """Further right options in the gallery: the other captions of the image."""
    cluster: str
    """Items of one cluster (an image, a scene) are not independent."""
    slices: Mapping[str, str] = field(default_factory=dict)
    """Cut (cue, cue_class, position, length, or a cut of the task) to the value of this item."""

    @property
    def choices(self) -> tuple[Box, ...] | tuple[str, ...]:
        """Options in the file's order; empty in a retrieval task, whose options are the gallery."""
        return self.captions or self.options


@dataclass(frozen=True, slots=True)
class Subset:
    """Items of a task that have a score of their own, for example those that people found valid."""

    name: str
    """The metric is accuracy_on_NAME."""
    cut: str
    value: str
    """The items whose slice `cut` has this value."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A benchmark, read and checked."""

    name: str
    version: str
    """Version of the task's code; the data have their own hash."""
    kind: TaskKind
    dataset_sha256: str
    items: tuple[BenchItem, ...]
    pictures: Path
    gallery: tuple[str, ...] = ()
    """Retrieval, judged: file names of the images, in the file's order; caption retrieval: the captions;
    classification: the classes, each once."""
    prompts: tuple[tuple[str, ...], ...] = ()
    """Classification: the texts of each class of the gallery, as many for each."""
    templates: str = ""
    """Name of the templates of the prompts, and their number; "" if the task has none."""
    balanced_by: str = ""
    """The cut over whose values the mean accuracy is computed (balanced accuracy); "": no such score."""
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    """Baselines that use the boxes or the captions only, by name."""
    official: OfficialRule = "argmax"
    """Choice of the published code."""
    subsets: tuple[Subset, ...] = ()
    image_sha256: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the images by file name, where the benchmark states them."""
    fetch_command: str = ""
    """The command that downloads the images, for the hint if images are missing."""
    unpack: Unpack | None = None
    """Creates the folder of images, if the benchmark has them in another file."""

    @property
    def ranks_images(self) -> bool:
        """Whether the gallery holds images."""
        return self.kind in {"retrieval", "judged"}

    @cached_property
    def images(self) -> tuple[str, ...]:
        """File names of the distinct images, in order of first use."""
        if self.ranks_images:
            return tuple(dict.fromkeys(self.gallery))
        twins = (item.twin.image for item in self.items if item.twin)
        return tuple(dict.fromkeys([*(item.image for item in self.items), *twins]))

    @cached_property
    def chance(self) -> float:
        """Expected share of right answers of random scores, 0..1; 0 where it is not known: judged and segmentation."""
        if self.kind in {"judged", "segmentation"}:
            return 0.0
        if self.kind == "twins":
            return CHANCE_OF_TWINS
        shares = [(1 + len(item.also_right)) / (len(self.gallery) or len(item.choices)) for item in self.items]
        return sum(shares) / len(shares)

    def missing_pictures(self) -> list[str]:
        """Return the file names of the images that do not exist; none if `unpack` creates them."""
        if self.unpack and not self.pictures.exists():
            return []
        return [name for name in self.images if not (self.pictures / name).is_file()]

    def check_pictures(self) -> None:
        """Check that all images exist and, where `image_sha256` has their hash, that they are unchanged.

        Raises:
            BenchError: Images are missing or changed; the hint names the command that downloads them.
        """
        if missing := self.missing_pictures():
            message = f"{len(missing):,} of {len(self.images):,} images are missing in {self.pictures}"
            hint = f"fetch them with: {self.fetch_command}" if self.fetch_command else f"the first is {missing[0]}"
            raise BenchError(f"{self.name}: {message}", hint=hint)
        for name in (name for name in self.images if name in self.image_sha256):
            if file_facts(self.pictures / name).sha256 != self.image_sha256[name]:
                raise BenchError(
                    f"{self.name}: {self.pictures / name} is not the image of the benchmark", hint="restore the file"
                )


_SHORT: Final = 7
_MIDDLING: Final = 11
_LENGTHS: Final = (f"1-{_SHORT} words", f"{_SHORT + 1}-{_MIDDLING} words", f"{_MIDDLING + 1} words and more")
ORDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "position": tuple(position.value for position in negation_cues.Position),
    "length": _LENGTHS,
}
"""Cuts whose values have a fixed order; the values of other cuts are ordered by their number of items."""


def slices_of(text: str) -> dict[str, str]:
    """Return the cuts that every text has: its first negation cue, the cue's position, the number of words."""
    cue = negation_cues.first_cue(text)
    words = len(text.split())
    return {
        "cue": cue.word if cue else NO_CUE,
        "cue_class": cue.cue_class.value if cue else "none",
        "position": cue.position.value if cue else "none",
        "length": _LENGTHS[(words > _SHORT) + (words > _MIDDLING)],
    }


def read_json(path: Path, *, fetch_command: str = "") -> tuple[Any, str]:
    """Return the content of a data set file and its SHA-256.

    Raises:
        BenchError: The file does not exist or is not JSON; the hint names `fetch_command`.
    """
    hint = f"fetch it with: {fetch_command}" if fetch_command else ""
    try:
        content = path.read_bytes()
        return parse_json(content), hashlib.sha256(content).hexdigest()
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {path}", hint=hint, fetch_command=fetch_command) from error
    except (OSError, JsonError) as error:
        message = f"{path} cannot be read as JSON: {error}"
        raise BenchError(message, hint=hint, fetch_command=fetch_command) from error


def read_json_lines(path: Path) -> tuple[list[Any], str]:
    """Return the rows of a file of JSON lines and its SHA-256.

    Raises:
        BenchError: The file does not exist, or a line is not JSON.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {path}") from error
    except OSError as error:
        raise BenchError(f"{path} cannot be read: {error.strerror or error}") from error
    rows = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            rows.append(parse_json(line))
        except JsonError as error:
            raise BenchError(f"{path}, line {number}: {error}") from error
    return rows, hashlib.sha256(content).hexdigest()


def items_in(rows: Iterable[object], parse: Callable[[Any, int], BenchItem], where: str) -> tuple[BenchItem, ...]:
    """Return the items that `parse` makes of each row and its number, from 0; `where` is for messages.

    Raises:
        BenchError: A row is invalid, or its id is taken; the message names it.
    """
    items: dict[str, BenchItem] = {}
    for number, row in enumerate(rows):
        try:
            item = parse(row, number)
        except ValueError as error:
            raise BenchError(f"{where} {number}: {error}") from error
        if item.id in items:
            raise BenchError(f"{where} {number}: the id {item.id!r} is taken")
        items[item.id] = item
    return tuple(items.values())


def file_name(value: object) -> str:
    """Return `value` if it is a file name below the image folder.

    Raises:
        ValueError: `value` is not a file name, or leads out of the folder.
    """
    if not isinstance(value, str) or not value or "\0" in value or "\\" in value:
        raise ValueError("'image' must be a file name")
    if Path(value).is_absolute() or ".." in Path(value).parts:
        raise ValueError(f"{value!r} leads out of the image folder")
    return value
