"""The section of flipped items in the HTML report: thumbnails as data URIs, texts with the cue marked, scores.

All texts of the data are escaped.
"""

from __future__ import annotations

import base64
from html import escape
from typing import NamedTuple

from benchmarks.schema import ItemRow, captions_of, iou_of, twin_options
from curation_db.foreign_json import finite_number
from curation_db.language.sanitize import display_text
from workbench.annotation.text_spans import highlighted_spans
from workbench.images.boxes import letter
from workbench.reports.html.flipped_items import (
    LONGEST_SIDE,
    MOST_BYTES,
    MOST_ITEMS,
    FlippedItem,
    FlippedItems,
    FlippedTask,
)
from workbench.reports.item_answers import boxes_of

STYLE = """
.items{display:grid;grid-template-columns:repeat(auto-fill,minmax(236px,1fr));gap:12px;margin:12px 0 4px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden;font-size:13px}
.thumbs{display:flex;align-items:center;justify-content:center;gap:2px;height:150px;background:var(--well)}
.thumbs img{min-width:0;max-width:100%;max-height:100%;object-fit:contain}
.thumbs img+img,.thumbs img:has(+img){max-width:calc(50% - 1px)}
.thumbs span{color:var(--quiet);font-size:12px;padding:8px;text-align:center;overflow-wrap:anywhere}
figcaption{padding:10px 12px}
figcaption p{color:var(--fg);margin:6px 0 8px;overflow-wrap:anywhere}
figcaption td,figcaption th{padding:2px 0 2px 8px;border:0;white-space:normal;font-size:12px;vertical-align:top}
figcaption td:first-child,figcaption th:first-child{padding-left:0;overflow-wrap:anywhere}
figcaption .won{font-weight:600}
mark{background:none;color:inherit;font-weight:700;text-decoration:underline;text-decoration-thickness:2px}
.gained figcaption>b{color:var(--c1)}.lost figcaption>b{color:var(--c2)}
.quiet{color:var(--quiet);display:inline-block}
"""
_CHANGES = {"gained": "▲ gained", "lost": "▼ lost"}
_TRUE_PAIRS = (0, 3)
"""Places of the pairs of a twins item whose text is true of the image."""


class _Names(NamedTuple):
    """The models of a task."""

    model: str
    base: str


def flipped_section(flipped: FlippedItems) -> str:
    """Return the section, with the limits that it keeps to."""
    title = f"Flipped items of {flipped.model}"
    left_out = f" {flipped.left_out:,} more images had no room." if flipped.left_out else ""
    has_masks = any("mask" in item.item for task in flipped.tasks for item in task.items)
    masks = f"Solid outline: the true mask; hatched: the mask of {flipped.model}, then of the other model. "
    masks = masks if has_masks else ""
    about = (
        f"Items that only {flipped.model} has right (gained), or only the model that the heading of the task names "
        f"(lost): at most {MOST_ITEMS} of each in each task, chosen by the hash of their id. "
        "Solid blue: the right box; dashed orange: the others. ✓: right, ◀: chosen. "
        f"{masks}Images have at most {LONGEST_SIDE} pixels, and {MOST_BYTES / 1e6:.0f} MB together.{left_out}"
    )
    tasks = "".join(_task(task, flipped.model) for task in flipped.tasks)
    tasks = tasks or "<p>Both models answer all items alike.</p>"
    return f"<h2>{_text(title)}</h2><p>{_text(about)}</p>{tasks}"


def _task(task: FlippedTask, model: str) -> str:
    row = task.row
    title = f"{row.task}, {row.protocol}, against {task.base}: {task.gained:,} gained, {task.lost:,} lost of {row.n:,}"
    figures = "".join(_figure(item, _Names(model, task.base)) for item in task.items)
    return f'<h3>{_text(title)}</h3><div class="items">{figures}</div>'


def _figure(flipped: FlippedItem, names: _Names) -> str:
    item = flipped.item
    change = f"<b>{_CHANGES[flipped.change]}</b>"
    captions = captions_of(item) or twin_options(item)  # which stand beside their scores
    text = "" if captions else f"<p>{_marked(item['text'])}</p>"
    return (
        f'<figure class="{flipped.change}"><div class="thumbs">{_thumbnails(flipped)}</div><figcaption>{change} '
        f'<span class="quiet">item {_text(item["id"], 60)}</span>{_ranks(flipped, names)}{text}'
        f"{_scores(flipped, names)}</figcaption></figure>"
    )


def _thumbnails(flipped: FlippedItem) -> str:
    boxes = len(boxes_of(flipped.item))
    parts = []
    for place, thumbnail in enumerate(flipped.thumbnails):
        if "mask" in flipped.item:
            what = "true mask outlined, predicted mask hatched"
        elif boxes:
            what = f"{boxes} boxes"
        else:
            what = f"image {letter(place)}" if len(flipped.thumbnails) > 1 else "image"
        if thumbnail.jpeg:
            data = base64.b64encode(thumbnail.jpeg).decode("ascii")
            alt = f"{thumbnail.name}: {what}"
            parts.append(f'<img alt="{_text(alt, 120)}" src="data:image/jpeg;base64,{data}">')
        else:
            parts.append(f"<span>{_text(thumbnail.problem, 120)}</span>")
    return "".join(parts)


def _ranks(flipped: FlippedItem, names: _Names) -> str:
    ours, theirs = flipped.item["rank"], flipped.base["rank"]
    if ours is None or theirs is None:
        return ""
    return f' <span class="quiet">rank {ours:,}, {_text(names.base, 24)} {theirs:,}</span>'


def _scores(flipped: FlippedItem, names: _Names) -> str:
    """Return a table with a row per option; the base has a column if its options are the same.

    In a gallery each model has a best wrong option of its own.
    """
    item, base = flipped.item, flipped.base
    if "mask" in item:
        return _ious(flipped, names)
    answers = [(names.model, item), *([(names.base, base)] if base["options"] == item["options"] else [])]
    head = "".join(f"<th>{_text(name, 24)}</th>" for name, _ in answers)
    rows = []
    for place in range(len(item["options"])):
        cells = "".join(_score(answer, place) for _, answer in answers)
        rows.append(f'<tr><td class="t">{_option(item, place)}</td>{cells}</tr>')
    return f'<table><thead><tr><th class="t">similarity</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _ious(flipped: FlippedItem, names: _Names) -> str:
    """Return a table with the IoU of both models."""
    head = "".join(f"<th>{_text(name, 24)}</th>" for name in (names.model, names.base))
    cells = "".join(
        f"<td{' class=won' if each['correct'] else ''}>{iou_of(each):.3f}{' ✓' if each['correct'] else ''}</td>"
        for each in (flipped.item, flipped.base)
    )
    return (
        f'<table><thead><tr><th></th>{head}</tr></thead><tbody><tr><td class="t">IoU</td>{cells}</tr></tbody></table>'
    )


def _option(item: ItemRow, place: int) -> str:
    twins, captions = twin_options(item), captions_of(item)
    right = place in _TRUE_PAIRS if twins else place == item["target"]
    name = letter(place // 2 if twins else place)
    caption = str(twins[place]["text"]) if twins else captions[place] if captions else ""
    return f"<b>{name}</b>{' ✓' if right else ''}{' ' + _marked(caption) if caption else ''}"


def _score(answer: ItemRow, place: int) -> str:
    scores = answer["scores"]
    score = finite_number(scores[place]) if place < len(scores) else None
    figure = "NaN" if score is None else f"{score:+.3f}"
    chosen = answer["pred"] == place and not twin_options(answer)
    return f'<td class="won">{figure} ◀</td>' if chosen else f"<td>{figure}</td>"


def _marked(text: str) -> str:
    """Return the text with its negation cues marked."""
    spans = highlighted_spans(text, limit=300)
    return "".join(f"<mark>{escape(span.text)}</mark>" if span.cue else escape(span.text) for span in spans)


def _text(text: str, limit: int = 600) -> str:
    return escape(display_text(text, limit=limit))
