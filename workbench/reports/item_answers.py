"""The items of a benchmark result beside the base model's answers to them: right, wrong, gained and lost. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.results import read
from benchmarks.schema import ItemRow, captions_of, twin_options

Only = Literal["all", "right", "wrong", "differs", "gained", "lost"]
Change = Literal["gained", "lost"]


@dataclass(frozen=True, slots=True)
class ItemAnswers:
    """The items of a result, and the base model's answers to them."""

    items: tuple[ItemRow, ...]
    base: Mapping[str, ItemRow]
    """By item id; empty for the base model itself, or if it was not run on these items."""

    def only(self, which: Only, cut: tuple[str, str] | None = None) -> list[ItemRow]:
        """Return the items that match, of one slice if `cut` is given."""
        return [row for row in self.items if _within(row, cut) and self._is(row, which)]

    def change(self, row: ItemRow) -> Change | None:
        """Return "gained" if only this model has the item right, "lost" if only the base has; else None."""
        theirs = self.base.get(row["id"])
        if theirs is None or theirs["correct"] is row["correct"]:
            return None
        return "gained" if row["correct"] else "lost"

    def _is(self, row: ItemRow, which: Only) -> bool:
        if which == "all":
            return True
        if which in ("right", "wrong"):
            return row["correct"] is (which == "right")
        change = self.change(row)
        return change is not None if which == "differs" else change == which


def _within(row: ItemRow, cut: tuple[str, str] | None) -> bool:
    return cut is None or str(row["slices"].get(cut[0])) == cut[1]


def read_answers(results: Path, run: str, base_run: str | None) -> ItemAnswers:
    """Read the items of `run` and the answers of the base model.

    Raises:
        BenchError: a file is missing or was changed.
    """
    items = read(results / f"{run}.json").items()
    theirs = read(results / f"{base_run}.json").items() if base_run else []
    return ItemAnswers(tuple(items), {row["id"]: row for row in theirs})


def images_of(row: ItemRow) -> list[str]:
    """Return the names of the images to show: one, both of twins, or the first two of a list of images.

    Those are the right image and the best wrong one of a retrieval task, and the most similar ones of a judged task.
    """
    if twins := twin_options(row):
        return list(dict.fromkeys(str(pair["image"]) for pair in twins))
    if "answers" in row or (row["rank"] is not None and not captions_of(row)):
        return row["options"][:2]
    return [row["image"]]


def target_of(row: ItemRow) -> int | None:
    """Return the index of the right box; None for twins, whose boxes are both right for one of the texts."""
    return None if twin_options(row) else row["target"]


def boxes_of(row: ItemRow) -> list[Any]:
    """Return the boxes to draw into the one image; none if there are two images, or none in the item."""
    if len(images_of(row)) > 1 or captions_of(row):
        return []
    return [twin_options(row)[place]["box"] for place in (0, 2)] if twin_options(row) else row["options"]
