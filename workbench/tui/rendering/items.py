"""The items of a benchmark result for the screen, with the scores of the model and of the base. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from textual.content import Content

from benchmarks.analysis.comparison import Against
from benchmarks.schema import ItemRow, captions_of, iou_of, twin_options, twin_scores
from benchmarks.twins import effects
from curation_db.foreign_json import finite_number
from curation_db.language.sanitize import display_text
from workbench.annotation.text_spans import highlighted_spans
from workbench.images.boxes import letter
from workbench.reports.item_answers import Change, ItemAnswers, Only
from workbench.tui.rendering.card_content import BAD, GOOD, QUIET, WARN, bar, marked, plain
from workbench.tui.widgets.lists.static_table import Column

_TRUE_PAIRS = (0, 3)
"""Places of the pairs of a twins item whose text is true of the image."""
_WIDE = 100
"""Columns of a screen from which the cue has a column of its own."""
_CHANGES: dict[Change | None, Content] = {
    "gained": Content.styled("▲ gained", f"bold {GOOD}"),
    "lost": Content.styled("▼ lost", f"bold {BAD}"),
    None: Content(""),
}
_SMALLEST_SPAN, _BAR_SPANS = 0.02, 2.25
"""The least difference of similarities that the bars are scaled to; a bar is this many times as long."""
_SAYS: dict[Only, str] = {"all": "all", "right": "right", "wrong": "wrong", "differs": "differing",
                          "gained": "gained", "lost": "lost"}  # fmt: skip


def item_columns(width: int, against: Against, *, has_base: bool, masks: bool = False) -> dict[str, Column]:
    """Return the columns of the list that fit into `width`; those of the reference only if it was run.

    Args:
        masks: Whether the items have masks: their IoU stands in the place of the margin.
    """
    other = "base" if against == "base" else "ref"
    columns = {
        "right": Column("", 1),
        "change": Column(f"vs {other}", 8),
        "text": Column("text"),
        "margin": Column("IoU" if masks else "margin", 7, right=True),
        "base margin": Column(other, 7, right=True),
        "cue": Column("cue", 10),
    }
    left_out = set() if has_base else {"change", "base margin"}
    if width < _WIDE:
        left_out.add("cue")  # it is marked in the text
    return {name: column for name, column in columns.items() if name not in left_out}


def list_summary(which: Only, count: int, of: int, cut: tuple[str, str] | None) -> str:
    """Return what is listed, in words."""
    where = f" · {cut[0]}: {cut[1]}" if cut else ""
    return display_text(f"{count:,} of {of:,} · {_SAYS[which]}{where}", limit=100)


def changes_line(answers: ItemAnswers, base: str) -> Content:
    """Return how many items the model gained and lost against the base model, and how many both answer alike."""
    changes = Counter((row["correct"], answers.change(row)) for row in answers.items if row["id"] in answers.base)
    return Content.assemble(
        ("against ", QUIET),
        plain(base, "bold", limit=40),
        (": ", QUIET),
        (f"▲ {changes[True, 'gained']:,} gained", GOOD),
        (" · ", QUIET),
        (f"▼ {changes[False, 'lost']:,} lost", BAD),
        (f" · {changes[True, None]:,} both right · {changes[False, None]:,} both wrong", QUIET),
    )


def cells_of(row: ItemRow, answers: ItemAnswers, columns: Mapping[str, Column]) -> list[Content]:
    theirs = answers.base.get(row["id"])
    cells = {
        "right": correct_mark(row["correct"]),
        "change": _CHANGES[answers.change(row)],
        "text": marked(highlighted_spans(row["text"], limit=200), base=""),
        "margin": Content(_margin(row)),
        "base margin": Content.styled("" if theirs is None else _margin(theirs), QUIET),
        "cue": plain(row["cue"], QUIET, limit=20),
    }
    return [cells[name] for name in columns]


def correct_mark(right: bool) -> Content:
    """Return a glyph for correct or incorrect."""
    return Content.styled("✓" if right else "✗", f"bold {GOOD if right else BAD}")


def scores_of(row: ItemRow) -> list[float | None]:
    """Return the similarities, one per option; None where the file has no number."""
    scores = [finite_number(score) for score in row["scores"]]
    return (scores + [None] * len(row["options"]))[: len(row["options"])]


def _margin(row: ItemRow) -> str:
    """Return the lead of the correct option over the best other one; for twins, of the closest of four comparisons.

    An item with a mask has its IoU instead.
    """
    if "mask" in row:
        return f"{iou_of(row):.3f}"
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


def scores(row: ItemRow, model: str, theirs: ItemRow | None, base: str, width: int) -> Content:
    """Return the options with the scores of the model and, if it was run, of the base model.

    The bars of both models have the same length per similarity, but each starts at its own: the similarities of two
    models do not compare, their differences do.
    """
    if not row["scores"] and "answers" in row:
        return _pictures(row, model, base)
    if "mask" in row:
        return _ious(row, model, theirs, base, width)
    span = max(_SMALLEST_SPAN, *(max(known) - min(known) for each in (row, theirs or row) if (known := _known(each))))
    if theirs is None:
        return _options(row, width, span, texts=True)
    blocks = [(model, row, True), (base, theirs, False)]
    lines: list[Content] = []
    for name, answer, texts in blocks:
        title = plain(name, "bold" if texts else QUIET, limit=60)
        others = [option not in row["options"] for option in answer["options"]]
        lines += [title, _options(answer, width, span, texts=texts or any(others), others=others), Content("")]
    return Content("\n").join(lines[:-1])


def _ious(row: ItemRow, model: str, theirs: ItemRow | None, base: str, width: int) -> Content:
    """Return the IoU of the model's mask and, if it was run, of the base model's, as bars from 0 to 1."""
    cells = max(5, min(16, width - 26))
    lines = []
    for name, answer, style in ((model, row, "bold"), (base, theirs, QUIET)):
        if answer is None:
            continue
        mask = answer.get("mask")
        pixels = f"{mask['intersection']:,} of {mask['union']:,} pixels" if mask else "no mask"
        lines += [
            plain(name, style, limit=60),
            Content.assemble(("IoU ", "bold"), (bar(iou_of(answer), cells), "$primary"), f" {iou_of(answer):.3f} "),
            plain(pixels, QUIET, limit=60),
        ]
    return Content("\n").join(lines)


def _options(row: ItemRow, width: int, span: float, *, texts: bool, others: Sequence[bool] = ()) -> Content:
    """Return one line per option: letter, similarity as a bar, whether it is correct and whether it was chosen.

    With `texts`, a caption follows in a line of its own, with its cue marked. The letters of twins are those of the
    images. `others`: the options that are not those of the model above: in a gallery each model has a best wrong one
    of its own.
    """
    scores, twins = scores_of(row), twin_options(row)
    captions = [str(pair["text"]) for pair in twins] or captions_of(row) if texts else []
    high = max(_known(row), default=1.0) + span / 4
    low = high - _BAR_SPANS * span  # not 0: similarities of one image lie close together
    cells = max(5, min(16, width - 26))
    lines = []
    for place, score in enumerate(scores):
        share = None if score is None else (score - low) / (high - low)
        marks = _marks(row, place)
        figure = "   NaN" if score is None else f"{score:+.3f}"
        name = letter(place // 2 if twins else place)
        lines.append(Content.assemble((f"{name} ", "bold"), (bar(share, cells), "$primary"), f" {figure} ", marks))
        if not captions and any(others[place : place + 1]):
            lines.append(Content.styled("  another image", QUIET))
        if captions:
            caption = marked(highlighted_spans(captions[place]), base="")
            lines += [Content.assemble("  ", line) for line in caption.wrap(max(16, width - 2))]
    return Content("\n").join(lines)


def _pictures(row: ItemRow, model: str, base: str) -> Content:
    """Return a line per picture of a text-to-image item: letter, text encoder, the judge's answers."""
    names = [model, base]
    lines = [
        Content.assemble(
            (f"{letter(place)} ", "bold"), plain(names[place], limit=60), "  ", _judged_marks(row, place, "subject")
        )
        for place in range(min(len(names), len(row["answers"])))
    ]
    return Content("\n").join(lines)


def _known(row: ItemRow) -> list[float]:
    return [score for score in scores_of(row) if score is not None]


def _marks(row: ItemRow, place: int) -> Content:
    if twin_options(row):
        return Content.styled("✓ true", f"bold {GOOD}") if place in _TRUE_PAIRS else Content("")
    parts = []
    if "answers" in row:
        return _judged_marks(row, place)
    if place == row["target"]:
        parts.append(Content.styled("✓ right", f"bold {GOOD}"))
    if place == row["pred"]:
        parts.append(Content.styled("◀ chosen", f"bold {GOOD if row['correct'] else BAD}"))
    return Content(" ").join(parts)


def _judged_marks(row: ItemRow, place: int, scene_word: str = "scene") -> Content:
    """Return the judge's answers about an image: whether the scene is right and the denied thing is absent."""
    answers = row["answers"][place]
    scene, absent = answers["scene"], None if answers["denied"] is None else not answers["denied"]
    return Content.assemble(f"{scene_word} ", _answer_mark(scene), " negation ", _answer_mark(absent))


def _answer_mark(right: bool | None) -> Content:
    return Content.styled("?", WARN) if right is None else correct_mark(right)


def outcome(row: ItemRow, answers: ItemAnswers, against: Against) -> Content:
    """Return whether the answer is correct, its rank, ties and the reference's answer."""
    content = Content.assemble(correct_mark(row["correct"]), " right" if row["correct"] else " wrong")
    if row["rank"] is not None:
        content = Content.assemble(content, f" · rank {row['rank']:,}")
    if row["tie"]:
        content = Content.assemble(content, (" · ⚠ a tie", WARN))
    if (theirs := answers.base.get(row["id"])) is not None:
        content = Content.assemble(content, (f" · {against} ", QUIET), correct_mark(theirs["correct"]))
        if theirs["rank"] is not None:
            content = Content.assemble(content, (f" rank {theirs['rank']:,}", QUIET))
    if (change := answers.change(row)) is not None:
        content = Content.assemble(content, (" · ", QUIET), _CHANGES[change])
    return content


def facts(row: ItemRow) -> Content:
    """Return the item's id and slices."""
    cuts = [f"{name.replace('_', ' ')}: {value}" for name, value in row["slices"].items()]
    return plain(" · ".join([f"item {row['id']}", *cuts]), QUIET, limit=400)
