"""Counts the images of a benchmark that a model was trained on. Does not import torch.

An image is found again by the SHA-256 of its file, by the number of an image of COCO ("COCO_train2014_000000000139.jpg"
and "000000000139.jpg" are one image), or by its file name, where the content of the training image is not known.

Images that only look like a training image (another size, another encoding) are counted apart: their number is a
warning, since two photographs of one scene also look alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

from benchmarks.schema import OverlapFacts
from benchmarks.task import BenchItem, Task

_COCO: Final = re.compile(r"(?:COCO_\w+_)?(\d{12})")


@dataclass(frozen=True, slots=True)
class TrainingImage:
    name: str
    """File name, or key."""
    sha256: str | None
    """None: the file is not on this machine, and its export has no hash."""
    path: Path | None = field(default=None, compare=False)
    """The file on this machine; None: it is not here, or was not searched."""


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """The images of all trainings that a model went through."""

    runs: tuple[str, ...]
    """Names of the runs, the last one first."""
    images: Sequence[TrainingImage]
    alike: Callable[[Task], Collection[str]] | None = field(default=None, compare=False)
    """Returns the file names of a task's images that look like a training image; None: looks are not compared."""

    def overlap(self, task: Task, hashes: Mapping[str, str]) -> OverlapFacts:
        """Return how many images and items of `task` the model was trained on.

        Args:
            hashes: SHA-256 of each image of the task, by file name.
        """
        contents = {image.sha256 for image in self.images if image.sha256}
        numbers = set(filter(None, (coco_number(image.name) for image in self.images)))
        names = {PurePath(image.name).name for image in self.images if not image.sha256}
        by_content = {name for name in task.images if hashes.get(name) in contents}
        by_id = {name for name in task.images if coco_number(name) in numbers or PurePath(name).name in names}
        seen = by_content | by_id
        facts: OverlapFacts = {
            "runs": list(self.runs),
            "training_images": len(self.images),
            "images": len(seen),
            "by_id": len(by_id),
            "by_content": len(by_content),
            "items": _items_with(seen, task),
        }
        if self.alike is not None:
            alike = set(self.alike(task)) - seen
            facts |= {"alike": len(alike), "alike_items": _items_with(alike, task)}
        return facts


def alike_text(facts: OverlapFacts, images: int) -> str:
    """Return a sentence about the images that only look like training images; "" without any."""
    if not (count := facts.get("alike", 0)):
        return ""
    items = f"{facts.get('alike_items', 0):,} item{'' if facts.get('alike_items') == 1 else 's'}"
    more = " more" if facts["images"] else ""
    look = "looks like a training image" if count == 1 else "look like training images"
    return f"{count:,}{more} of its {images:,} images {look} in another size or encoding, in {items}"


def overlap_text(facts: OverlapFacts, images: int) -> str:
    """Return the overlap as a sentence; `images` is the number of images of the benchmark."""
    found = f"{facts['by_id']:,} by id, {facts['by_content']:,} by content"
    where = f"{facts['images']:,} of its {images:,} images ({found}), in {facts['items']:,} items"
    return f"trained on {where}: {', '.join(facts['runs'])}"


def coco_number(name: str) -> str | None:
    """Return the number of the image of COCO that has this file name, in any split; None: it is no such name."""
    match = _COCO.fullmatch(PurePath(name).stem)
    return match[1] if match else None


def _items_with(seen: Collection[str], task: Task) -> int:
    """Return the number of items with an image in `seen`; of a judged task all, because each may retrieve any image."""
    if task.kind == "judged":
        return len(task.items) if seen else 0
    return sum(any(image in seen for image in _images_of(item)) for item in task.items)


def _images_of(item: BenchItem) -> Iterable[str]:
    return (item.image, item.twin.image) if item.twin else (item.image,)
