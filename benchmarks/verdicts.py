"""Names the models whose scores decide nothing: NaN, constant, blind to the text or image, or in reversed order.

Under a published rule that takes the first highest score such a model can have 100 %, so that the counts of its
undecided items and the verdict stand beside every score. Does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from benchmarks.affirmative_twins import needs_twin
from benchmarks.schema import ItemRow, Result, twin_options, twin_scores
from benchmarks.twins import images_right, texts_right
from curation_db.stats.intervals import wilson


class VerdictCode(StrEnum):
    NAN = "NaN scores"
    CONSTANT = "constant scores"
    EMPTY = "empty masks"
    COLLAPSED_TEXTS = "collapsed texts"
    COLLAPSED_IMAGES = "collapsed images"
    REVERSED = "order reversed"
    BELOW_CHANCE = "worse than chance"
    """On negated texts, where a model that ignores the negation has the order of a flipped sign."""


BROKEN: Final = frozenset(VerdictCode) - {VerdictCode.BELOW_CHANCE}
"""Verdicts on the model; the other one can be what the task is to show."""


@dataclass(frozen=True, slots=True)
class Verdict:
    code: VerdictCode
    text: str
    """One line with the code and its figures."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """Numbers of items whose scores do not choose one option."""

    nan: int
    """At least one score is NaN."""
    ties: int
    """The highest score is shared."""
    equal: int
    """All scores are the same number."""
    right: int
    """Items of `nan` and `ties` that count as right."""


def undecided(rows: Sequence[ItemRow]) -> Undecided:
    """Count the items of a result that have NaN, ties or only equal scores."""
    has_nan = [None in row["scores"] or ("mask" in row and row["mask"]["nan"]) for row in rows]
    return Undecided(
        nan=sum(has_nan),
        ties=sum(row["tie"] for row in rows),
        equal=sum(_are_equal(row) for row in rows),
        right=sum(row["correct"] and (row["tie"] or nan) for row, nan in zip(rows, has_nan, strict=True)),
    )


def undecided_text(counts: Undecided) -> str:
    """Return the counts as a table's cell: "440 NaN", "12 ties, 3 equal", or "0"; an item is in one count only."""
    named = ((counts.nan, "NaN"), (counts.ties - counts.equal, "ties"), (counts.equal, "equal"))
    return ", ".join(f"{count:,} {name}" for count, name in named if count) or "0"


def verdicts(result: Result, rows: Sequence[ItemRow]) -> tuple[Verdict, ...]:
    """Return what is wrong with the scores of a result; empty for sound ones."""
    counts, n = undecided(rows), len(rows)
    found = []
    right = f"; {counts.right:,} of them count as right" if counts.right else ""
    if counts.nan:
        found.append(Verdict(VerdictCode.NAN, f"{VerdictCode.NAN} in {counts.nan:,} of {n:,} items{right}"))
    if n and counts.equal == n:
        found.append(Verdict(VerdictCode.CONSTANT, f"{VerdictCode.CONSTANT}: equal in all {n:,} items{right}"))
    if "segmentation" in result and n and result["segmentation"]["empty"] == n:
        found.append(Verdict(VerdictCode.EMPTY, f"{VerdictCode.EMPTY}: no predicted mask has a pixel"))
    found += _collapses(result, rows)
    if text := _reversed_text(result, rows):
        ignores = needs_twin(result["task"]["kind"], result["task"]["name"], (row["cue"] for row in rows))
        code = VerdictCode.BELOW_CHANCE if ignores else VerdictCode.REVERSED
        why = "; the negation is ignored, or the sign flipped" if ignores else ""
        found.append(Verdict(code, f"{code}: {text}{why}"))
    return tuple(found)


def _are_equal(row: ItemRow) -> bool:
    scores = row["scores"]
    return None not in scores and len(scores) > 1 and len(set(scores)) == 1


_COLLAPSED: Final = 0.01
"""Of a collapsed model, the scores of different texts for one image differ less than this share of their spread."""
_FEWEST_REPEATS: Final = 10
"""Degrees of freedom below which a spread is not judged."""


def _collapses(result: Result, rows: Sequence[ItemRow]) -> list[Verdict]:
    """Return which of both features do not matter, judged by the images with several texts and vice versa."""
    if result["task"]["kind"] == "text_to_image":
        return []  # its items have no scores
    cells = [cell for row in rows for cell in _cells(row, result["task"]["kind"])]
    spread = _deviation([[score for _, _, score in cells]])
    if not spread:
        return []
    found = []
    for code, fixed, varied in (
        (VerdictCode.COLLAPSED_TEXTS, "image", "texts"),
        (VerdictCode.COLLAPSED_IMAGES, "text", "images"),
    ):
        within = _deviation(_repeated(cells, fixed_text=fixed == "text"))
        if within is not None and within < _COLLAPSED * spread:
            figures = f"{within:.2g} (SD) for one {fixed}, {spread:.2g} overall"
            found.append(Verdict(code, f"{code}: scores of different {varied} differ by {figures}"))
    return found


_Cell = tuple[str, str, float]
"""Text, image with its box, and their score."""


def _cells(row: ItemRow, kind: str) -> Iterator[_Cell]:
    pairs = twin_options(row)
    for place, (option, score) in enumerate(zip(row["options"], row["scores"], strict=True)):
        if score is None:
            continue
        if pairs:
            pair = pairs[place]
            yield pair["text"], f"{pair['image']} {pair['box']}", score
        elif kind in {"captions", "caption_retrieval", "classification"}:
            yield str(option), row["image"], score
        else:
            yield row["text"], str(option) if kind in {"retrieval", "judged"} else f"{row['image']} {option}", score


def _repeated(cells: Sequence[_Cell], *, fixed_text: bool) -> list[list[float]]:
    """Return the scores of each image with different texts, or of each text with different images."""
    groups: dict[str, dict[str, float]] = {}
    for text, image, score in cells:
        fixed, varied = (text, image) if fixed_text else (image, text)
        groups.setdefault(fixed, {})[varied] = score
    return [list(scores.values()) for scores in groups.values()]


def _deviation(groups: Sequence[Sequence[float]]) -> float | None:
    """Return the pooled standard deviation within groups; None with too few degrees of freedom."""
    freedom = sum(len(group) - 1 for group in groups)
    if freedom < _FEWEST_REPEATS:
        return None
    means = (math.fsum(group) / len(group) for group in groups)
    squares = ((score - mean) ** 2 for group, mean in zip(groups, means, strict=True) for score in group)
    return math.sqrt(math.fsum(squares) / freedom)


_MIDDLE: Final = 0.5


def _reversed_text(result: Result, rows: Sequence[ItemRow]) -> str:
    """Return what the flipped sign gives, if it is better than chance and the model worse; "" otherwise.

    Both by their 95 % Wilson intervals. The file of a result with a gallery has the scores of two options only: there
    the rank of the right image or class decides, whose mean is the middle of the gallery by chance.
    """
    task = result["task"]
    if task["kind"] == "caption_retrieval":
        return ""  # an image has several right captions, and the size of the gallery is not in the result
    if task["kind"] in {"judged", "text_to_image", "segmentation"}:
        return ""  # no image is known to be right, and a mask has no order that could be reversed
    if task["kind"] == "retrieval":
        return _reversed_ranks(rows, task["images"], "image")
    if task["kind"] == "classification":
        return _reversed_ranks(rows, round(1 / task["chance"]), "class")
    right = sum(_is_right_flipped(row, task["kind"]) for row in rows)
    headline = next(iter(result["metrics"].values()))
    flipped = wilson(right, len(rows))
    if headline["high"] >= task["chance"] or flipped.low <= task["chance"]:
        return ""
    return f"flipped sign gives {flipped.estimate:.1%} instead of {headline['value']:.1%}".replace("%", " %")


def _is_right_flipped(row: ItemRow, kind: str) -> bool:
    scores = row["scores"]
    if None in scores:
        return False
    if kind == "twins":
        flipped = [-score for score in twin_scores(row)]
        return texts_right(flipped) and images_right(flipped)
    lowest = min(score for score in scores if score is not None)
    return scores[row["target"]] == lowest and scores.count(lowest) == 1


def _reversed_ranks(rows: Sequence[ItemRow], gallery: int, option: str) -> str:
    ranks = [row["rank"] for row in rows if row["rank"] is not None and None not in row["scores"]]
    if not ranks or gallery < 3:
        return ""
    places = [(rank - 1) / (gallery - 1) for rank in ranks]
    lower = sum(place > _MIDDLE for place in places)
    if wilson(lower, len(places)).low <= _MIDDLE:
        return ""
    last = wilson(sum(rank == gallery for rank in ranks), len(ranks)).estimate
    mean = f"the right {option} has rank {sum(ranks) / len(ranks):,.0f} of {gallery:,} on average"
    return f"{mean}; flipped sign gives {100 * last:.1f} % recall at 1"
