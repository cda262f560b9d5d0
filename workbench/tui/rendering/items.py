"""The items of a result for the screen: read, filtered, and told with their scores and boxes. Pure but for reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from textual.content import Content

from benchmarks.results import read
from benchmarks.schema import ItemRow
from curation_db.language.sanitize import display_text
from workbench.annotation.text_spans import highlighted_spans
from workbench.jobs.run_monitor import finite_number
from workbench.tui.rendering.boxes import letter
from workbench.tui.rendering.card_content import BAD, GOOD, QUIET, WARN, bar, marked, plain
from workbench.tui.widgets.static_table import Column

Only = Literal["all", "right", "wrong", "differs"]
COLUMNS = (Column("", 1), Column("base", 4), Column("text"), Column("margin", 7, right=True), Column("cue", 10))
_SAYS: dict[Only, str] = {"all": "all", "right": "right", "wrong": "wrong", "differs": "differing from the base"}


@dataclass(frozen=True, slots=True)
class ItemAnswers:
    """A result's items, and what the base answered to each."""

    items: tuple[ItemRow, ...]
    base: Mapping[str, bool]
    """Item id to right or wrong; empty for the base itself, or where it was not run."""

    def only(self, which: Only, cut: tuple[str, str] | None = None) -> list[ItemRow]:
        """Those items; of a slice, where one is named."""
        return [row for row in self.items if _within(row, cut) and self._is(row, which)]

    def _is(self, row: ItemRow, which: Only) -> bool:
        if which == "differs":
            return self.base.get(row["id"], row["correct"]) is not row["correct"]
        return which == "all" or row["correct"] is (which == "right")


def _within(row: ItemRow, cut: tuple[str, str] | None) -> bool:
    return cut is None or str(row["slices"].get(cut[0])) == cut[1]


def read_answers(results: Path, run: str, base_run: str | None) -> ItemAnswers:
    """The items of `run`, with the base's answers.

    Raises:
        BenchError: a file is missing or changed.
    """
    items = read(results / f"{run}.json").items()
    theirs = read(results / f"{base_run}.json").items() if base_run else []
    return ItemAnswers(tuple(items), {row["id"]: row["correct"] for row in theirs})


def told(which: Only, count: int, of: int, cut: tuple[str, str] | None) -> str:
    """What is listed, in words."""
    where = f" · {cut[0]}: {cut[1]}" if cut else ""
    return display_text(f"{count:,} of {of:,} · {_SAYS[which]}{where}", limit=100)


def cells_of(row: ItemRow, base: Mapping[str, bool]) -> list[Content]:
    """A line of the list."""
    theirs = base.get(row["id"])
    return [
        verdict(row["correct"]),
        Content("") if theirs is None else verdict(theirs, quiet=theirs is row["correct"]),
        marked(highlighted_spans(row["text"], limit=200), base=""),
        Content.styled(_margin(row), QUIET),
        plain(row["cue"], QUIET, limit=20),
    ]


def verdict(right: bool, *, quiet: bool = False) -> Content:
    """A glyph for right or wrong."""
    return Content.styled("✓" if right else "✗", QUIET if quiet else f"bold {GOOD if right else BAD}")


def scores_of(row: ItemRow) -> list[float | None]:
    """The similarities, one per option; None where a file says something else."""
    told = [finite_number(score) for score in row["scores"]]
    return (told + [None] * len(row["options"]))[: len(row["options"])]


def _margin(row: ItemRow) -> str:
    """By how much the right option leads."""
    scores = scores_of(row)
    if not 0 <= row["target"] < len(scores) or (right := scores[row["target"]]) is None:
        return "–"
    others = [score for place, score in enumerate(scores) if place != row["target"] and score is not None]
    return f"{right - max(others):+.3f}" if others else "–"


def phrase(row: ItemRow) -> Content:
    """The text with its cue marked."""
    return marked(highlighted_spans(row["text"]))


def options(row: ItemRow, width: int) -> Content:
    """Each option on a line: its letter, its similarity as a bar, whether it is right and whether it was chosen."""
    scores = scores_of(row)
    low, high = _scale([score for score in scores if score is not None])
    cells = max(5, min(16, width - 26))
    lines = []
    for place, score in enumerate(scores):
        share = None if score is None else (score - low) / (high - low)
        marks = _marks(row, place)
        figure = "   NaN" if score is None else f"{score:+.3f}"
        lines.append(
            Content.assemble((f"{letter(place)} ", "bold"), (bar(share, cells), "$primary"), f" {figure} ", marks)
        )
    return Content("\n").join(lines)


def _scale(scores: Sequence[float]) -> tuple[float, float]:
    """Where bars begin and end: similarities of one picture lie close together, so not at nought and one."""
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    room = max(high - low, 0.02)
    return low - room, high + room / 4


def _marks(row: ItemRow, place: int) -> Content:
    parts = []
    if place == row["target"]:
        parts.append(Content.styled("✓ right", f"bold {GOOD}"))
    if place == row["pred"]:
        parts.append(Content.styled("◀ chosen", f"bold {GOOD if row['correct'] else BAD}"))
    return Content(" ").join(parts)


def outcome(row: ItemRow, base: Mapping[str, bool]) -> Content:
    """Right or wrong, and what else there is to say."""
    said = Content.assemble(verdict(row["correct"]), " right" if row["correct"] else " wrong")
    if row["rank"] is not None:
        said = Content.assemble(said, f" · rank {row['rank']:,}")
    if row["tie"]:
        said = Content.assemble(said, (" · ⚠ a tie", WARN))
    if (theirs := base.get(row["id"])) is not None:
        said = Content.assemble(said, (" · base ", QUIET), verdict(theirs))
    return said


def facts(row: ItemRow) -> Content:
    """Where it belongs."""
    cuts = [f"{name}: {value}" for name, value in row["slices"].items()]
    return plain(" · ".join([f"item {row['id']}", *cuts]), QUIET, limit=400)
