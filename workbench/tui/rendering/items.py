"""The items of a benchmark result for the screen: read, filtered, and shown with scores and boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from textual.content import Content

from benchmarks.results import read
from benchmarks.schema import ItemRow, captions_of, twin_options, twin_scores
from benchmarks.twins import effects
from curation_db.foreign_json import finite_number
from curation_db.language.sanitize import display_text
from workbench.annotation.text_spans import highlighted_spans
from workbench.tui.rendering.boxes import letter
from workbench.tui.rendering.card_content import BAD, GOOD, QUIET, WARN, bar, marked, plain
from workbench.tui.widgets.static_table import Column

Only = Literal["all", "right", "wrong", "differs"]
_TRUE_PAIRS = (0, 3)
"""Places of the pairs of a twins item whose text is true of the image."""
COLUMNS = (Column("", 1), Column("base", 4), Column("text"), Column("margin", 7, right=True), Column("cue", 10))
_SAYS: dict[Only, str] = {"all": "all", "right": "right", "wrong": "wrong", "differs": "differing from the base"}


@dataclass(frozen=True, slots=True)
class ItemAnswers:
    """The items of a result, and the base model's answers to them."""

    items: tuple[ItemRow, ...]
    base: Mapping[str, bool]
    """Item id to correctness; empty for the base model itself, or if it was not run on these items."""

    def only(self, which: Only, cut: tuple[str, str] | None = None) -> list[ItemRow]:
        """Return the items that match, of one slice if `cut` is given."""
        return [row for row in self.items if _within(row, cut) and self._is(row, which)]

    def _is(self, row: ItemRow, which: Only) -> bool:
        if which == "differs":
            return self.base.get(row["id"], row["correct"]) is not row["correct"]
        return which == "all" or row["correct"] is (which == "right")


def _within(row: ItemRow, cut: tuple[str, str] | None) -> bool:
    return cut is None or str(row["slices"].get(cut[0])) == cut[1]


def read_answers(results: Path, run: str, base_run: str | None) -> ItemAnswers:
    """Read the items of `run` and the answers of the base model.

    Raises:
        BenchError: a file is missing or was changed.
    """
    items = read(results / f"{run}.json").items()
    theirs = read(results / f"{base_run}.json").items() if base_run else []
    return ItemAnswers(tuple(items), {row["id"]: row["correct"] for row in theirs})


def list_summary(which: Only, count: int, of: int, cut: tuple[str, str] | None) -> str:
    """Return what is listed, in words."""
    where = f" · {cut[0]}: {cut[1]}" if cut else ""
    return display_text(f"{count:,} of {of:,} · {_SAYS[which]}{where}", limit=100)


def cells_of(row: ItemRow, base: Mapping[str, bool]) -> list[Content]:
    theirs = base.get(row["id"])
    return [
        correct_mark(row["correct"]),
        Content("") if theirs is None else correct_mark(theirs, quiet=theirs is row["correct"]),
        marked(highlighted_spans(row["text"], limit=200), base=""),
        Content.styled(_margin(row), QUIET),
        plain(row["cue"], QUIET, limit=20),
    ]


def correct_mark(right: bool, *, quiet: bool = False) -> Content:
    """Return a glyph for correct or incorrect."""
    return Content.styled("✓" if right else "✗", QUIET if quiet else f"bold {GOOD if right else BAD}")


def scores_of(row: ItemRow) -> list[float | None]:
    """Return the similarities, one per option; None where the file has no number."""
    scores = [finite_number(score) for score in row["scores"]]
    return (scores + [None] * len(row["options"]))[: len(row["options"])]


def _margin(row: ItemRow) -> str:
    """Return the lead of the correct option over the best other one; for twins, of the closest of four comparisons."""
    scores = scores_of(row)
    if twin_options(row):
        text, image, interaction = effects(twin_scores(row))
        lead = 2 * (interaction - max(abs(text), abs(image)))
        return "–" if math.isnan(lead) else f"{lead:+.3f}"
    if not 0 <= row["target"] < len(scores) or (right := scores[row["target"]]) is None:
        return "–"
    others = [score for place, score in enumerate(scores) if place != row["target"] and score is not None]
    return f"{right - max(others):+.3f}" if others else "–"


def phrase(row: ItemRow) -> Content:
    """Return the text with its cue marked."""
    return marked(highlighted_spans(row["text"]))


def options(row: ItemRow, width: int) -> Content:
    """Return one line per option: letter, similarity as a bar, whether it is correct and whether it was chosen.

    A caption follows in a line of its own, with its cue marked. The letters of twins are those of the images.
    """
    scores, twins = scores_of(row), twin_options(row)
    texts = [str(pair["text"]) for pair in twins] or captions_of(row)
    low, high = _scale([score for score in scores if score is not None])
    cells = max(5, min(16, width - 26))
    lines = []
    for place, score in enumerate(scores):
        share = None if score is None else (score - low) / (high - low)
        marks = _marks(row, place)
        figure = "   NaN" if score is None else f"{score:+.3f}"
        name = letter(place // 2 if twins else place)
        lines.append(Content.assemble((f"{name} ", "bold"), (bar(share, cells), "$primary"), f" {figure} ", marks))
        if texts:
            lines.append(Content.assemble("  ", marked(highlighted_spans(texts[place]))))
    return Content("\n").join(lines)


def _scale(scores: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the bars' scale: similarities of one image lie close together, so the scale is not [0, 1]."""
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    margin = max(high - low, 0.02)
    return low - margin, high + margin / 4


def _marks(row: ItemRow, place: int) -> Content:
    if twin_options(row):
        return Content.styled("✓ true", f"bold {GOOD}") if place in _TRUE_PAIRS else Content("")
    parts = []
    if place == row["target"]:
        parts.append(Content.styled("✓ right", f"bold {GOOD}"))
    if place == row["pred"]:
        parts.append(Content.styled("◀ chosen", f"bold {GOOD if row['correct'] else BAD}"))
    return Content(" ").join(parts)


def outcome(row: ItemRow, base: Mapping[str, bool]) -> Content:
    """Return whether the answer is correct, its rank, ties and the base model's answer."""
    content = Content.assemble(correct_mark(row["correct"]), " right" if row["correct"] else " wrong")
    if row["rank"] is not None:
        content = Content.assemble(content, f" · rank {row['rank']:,}")
    if row["tie"]:
        content = Content.assemble(content, (" · ⚠ a tie", WARN))
    if (theirs := base.get(row["id"])) is not None:
        content = Content.assemble(content, (" · base ", QUIET), correct_mark(theirs))
    return content


def facts(row: ItemRow) -> Content:
    """Return the item's id and slices."""
    cuts = [f"{name}: {value}" for name, value in row["slices"].items()]
    return plain(" · ".join([f"item {row['id']}", *cuts]), QUIET, limit=400)
