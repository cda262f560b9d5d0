"""The items that only one of two models has right, each with a small image, for a page that is read without the files.

Only a sample of the items has room on a page: those whose ids have the smallest hashes, so that the sample is the same
for every model and prefers no kind of item.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.analysis.comparison import ComparisonRow, Report
from benchmarks.schema import ItemRow
from workbench.images.boxes import picture_with_boxes
from workbench.images.mask_overlay import picture_with_masks
from workbench.reports.benchmark_report import report_lines
from workbench.reports.item_answers import Change, ItemAnswers, boxes_of, images_of, read_answers, target_of

MOST_ITEMS = 8
"""Gained items of a task, and as many lost ones."""
LONGEST_SIDE = 320
"""Pixels of a thumbnail."""
MOST_BYTES = 4_000_000
"""Of all thumbnails together; later items have none."""
_QUALITY = 78

Locate = Callable[[ComparisonRow, str], Path | None]
"""Returns the file of an image of a row's benchmark."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Thumbnail:
    name: str
    jpeg: bytes
    """Empty if there is no image."""
    problem: str
    """Why there is no image; one line."""


@dataclass(frozen=True, slots=True)
class FlippedItem:
    change: Change
    item: ItemRow
    """With the answer of the model."""
    base: ItemRow
    """With the answer of the base model."""
    thumbnails: tuple[Thumbnail, ...]


@dataclass(frozen=True, slots=True)
class FlippedTask:
    row: ComparisonRow
    base: str
    """Name of the model that this task compares with; tasks may differ."""
    gained: int
    """All gained items, not only the listed ones."""
    lost: int
    items: tuple[FlippedItem, ...]
    """Gained ones first, in the order of the file."""


@dataclass(frozen=True, slots=True)
class FlippedItems:
    model: str
    model_hash: str
    tasks: tuple[FlippedTask, ...]
    """Those with a flipped item."""
    left_out: int
    """Thumbnails left out because of `MOST_BYTES`."""


def only_other_model(report: Report) -> str | None:
    """Return the hash of the one model that is compared with the base; None if there are several, or none."""
    models = {row.model_hash for row in report.rows if row.base is not None}
    return models.pop() if len(models) == 1 else None


def flipped_items(
    report: Report,
    model: str,
    results: Path,
    locate: Locate,
    *,
    progress: Progress = lambda done, total: None,
) -> FlippedItems | None:
    """Return the flipped items of the model with the hash `model`; None if it shares no task with the base.

    Strict results count, and official ones where strict was not run.

    Raises:
        BenchError: a file of items is missing or was changed.
    """
    rows = [line.main for line in report_lines(report) if line.main.model_hash == model and line.main.base is not None]
    bases = {_place(row): row for row in report.rows if row.is_reference}
    tasks, thumbnails = [], _Thumbnails()
    for done, row in enumerate(rows):
        progress(done, len(rows))
        base = bases[_place(row)]
        answers = read_answers(results, row.run, base.run)
        changes = [(answers.change(item), item) for item in answers.items]
        gained = [item for change, item in changes if change == "gained"]
        lost = [item for change, item in changes if change == "lost"]
        listed = [*_sample(gained), *_sample(lost)]
        items = tuple(
            _flipped(item, answers, thumbnails.of(item, answers.base[item["id"]], row, locate)) for item in listed
        )
        if items:
            tasks.append(FlippedTask(row, base.model, len(gained), len(lost), items))
    progress(len(rows), len(rows))
    if not rows:
        return None
    return FlippedItems(rows[0].model, model, tuple(tasks), thumbnails.left_out)


def _place(row: ComparisonRow) -> tuple[str, str, str, str]:
    return row.task, row.version, row.dataset_sha256, row.protocol


def _sample(items: Sequence[ItemRow]) -> Iterator[ItemRow]:
    chosen = sorted(items, key=lambda item: hashlib.sha256(item["id"].encode("utf-8", "surrogatepass")).digest())
    ids = {item["id"] for item in chosen[:MOST_ITEMS]}
    return (item for item in items if item["id"] in ids)


def _flipped(item: ItemRow, answers: ItemAnswers, thumbnails: tuple[Thumbnail, ...]) -> FlippedItem:
    change: Change = "gained" if item["correct"] else "lost"
    return FlippedItem(change, item, answers.base[item["id"]], thumbnails)


class _Thumbnails:
    """Makes thumbnails until `MOST_BYTES` are used."""

    def __init__(self) -> None:
        self._bytes = 0
        self.left_out = 0

    def of(self, item: ItemRow, base: ItemRow, row: ComparisonRow, locate: Locate) -> tuple[Thumbnail, ...]:
        """Return the images of an item; of one with masks, the image with those of the model, and of the base."""
        if "mask" in item:
            path = locate(row, item["image"])
            return tuple(self._one(each, item["image"], path) for each in (item, base) if "mask" in each)
        return tuple(self._one(item, name, locate(row, name)) for name in images_of(item))

    def _one(self, item: ItemRow, name: str, path: Path | None) -> Thumbnail:
        if self._bytes >= MOST_BYTES:
            self.left_out += 1
            return Thumbnail(name, b"", "no room for more images")
        size = LONGEST_SIDE, LONGEST_SIDE
        if "mask" in item:
            drawn = picture_with_masks(path, size, item["mask"], name=name)
        else:
            drawn = picture_with_boxes(path, size, boxes_of(item), target_of(item), name=name)
        if drawn.image is None:
            return Thumbnail(name, b"", drawn.problem or "no image")
        image, file = drawn.image.convert("RGB"), io.BytesIO()
        image.thumbnail(size)  # a very small image was enlarged for its boxes
        image.save(file, "JPEG", quality=_QUALITY, optimize=True)
        if self._bytes + file.tell() > MOST_BYTES:
            self.left_out += 1
            return Thumbnail(name, b"", "no room for more images")
        self._bytes += file.tell()
        return Thumbnail(name, file.getvalue(), "")
