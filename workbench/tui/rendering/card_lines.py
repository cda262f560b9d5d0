"""Lays the fields of a card out as lines of text. Pure functions on `Content`.

One widget draws all lines, so another card changes its content and moves no widget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

QUESTIONS = ("Is this true of the image, and would a person say it?", "true of the image, and natural?", "true?")
"""The question about the negated caption, the longest first; its box shows the first that fits."""
_LABEL_CELLS = 14
_INDENT = 1
_BOX = 4
"""Cells of the box beside its text: a line and a blank at each side."""
_BORDER_LABEL = 6
"""Cells of a border beside its label: a corner, a line and a blank at each end."""
_BORDER, _TITLE, _QUIET = "$accent", "$text-accent", "$foreground 70%"


@dataclass(frozen=True, slots=True)
class FieldStyle:
    stacked: bool
    """Labels above their texts; otherwise at their left."""
    spaced: bool
    """A blank line after each field."""

    @property
    def margin(self) -> int:
        """Cells at the right of the card, the last one for the scroll bar."""
        return 2 if self.spaced else 1

    def text_width(self, width: int) -> int:
        """Return the cells for the text of a field; `width`: those of the card without its margin."""
        return max(1, width - _INDENT - (0 if self.stacked else _LABEL_CELLS))


def field_lines(label: str, text: Content, width: int, style: FieldStyle) -> list[Content]:
    """Return the lines of a labelled field."""
    lines = text.wrap(style.text_width(width))
    head, indent = Content.styled(label.ljust(_LABEL_CELLS), _QUIET), Content(" " * _INDENT)
    if style.stacked:
        lines = [head.rstrip(), *lines]
    else:
        blank = Content(" " * _LABEL_CELLS)
        lines = [(blank if number else head) + line for number, line in enumerate(lines)]
    return [indent + line for line in lines] + [Content("")] * style.spaced


def question_box(
    label: str, text: Content, width: int, style: FieldStyle, questions: Sequence[str] = QUESTIONS
) -> list[Content]:
    """Return the lines of the box with a text and the first of the `questions` about it that fits."""
    question = next((each for each in questions if len(each) <= width - _BORDER_LABEL), "")
    inner = max(1, width - _BOX)
    side = Content.styled("│", _BORDER)
    middle = [side + " " + line + " " * (inner - line.cell_length + 1) + side for line in text.wrap(inner)]
    edges = _edge("╭╮", label, _TITLE, width), _edge("╰╯", question, _QUIET, width)
    return [edges[0], *middle, edges[1]] + [Content("")] * style.spaced


def _edge(corners: str, label: str, style: str, width: int) -> Content:
    title = f" {label} " if label else ""
    rest = "─" * (width - 3 - len(title)) + corners[1]
    return Content.assemble((f"{corners[0]}─", _BORDER), (title, style), (rest, _BORDER))


def answer_box(title: str, answers: Sequence[tuple[str, str]], width: int, columns: int) -> list[Content]:
    """Return the lines of a box with the answers to a question: key and text of each, column by column."""
    cap_width = max(len(cap) for cap, _ in answers)
    inner = width - 3  # both sides, and a blank at the left
    cells = max(1, inner // columns)
    entries = [
        Content.assemble((f"{cap:<{cap_width}} ", "bold $text-accent"), text).truncate(cells, ellipsis=True, pad=True)
        for cap, text in answers
    ]
    side = Content.styled("│", _BORDER)
    rows = answer_rows(len(answers), columns)
    lines = [_edge("╭╮", title, _TITLE, width)]
    for row in range(rows):
        line = Content("").join(entries[row::rows])
        lines.append(side + " " + line + " " * (inner - line.cell_length) + side)
    lines.append(_edge("╰╯", "", _QUIET, width))
    return [line.stylize_before("on $panel") for line in lines]


def answer_rows(answers: int, columns: int) -> int:
    """Return the rows of an answer box without its border."""
    return -(-answers // columns)


def with_scroll_bar(lines: Sequence[Content], top: int, rows: int, width: int) -> list[Content]:
    """Return the visible lines; if there are more, with a bar in the last cell that shows which they are."""
    visible = list(lines[top : top + rows])
    if len(lines) <= rows:
        return visible
    size = max(1, round(rows * rows / len(lines)))
    start = min(rows - size, -(-top * (rows - size) // (len(lines) - rows)))
    bar = Content.styled("▐", "$border")
    return [
        line + " " * (width - 1 - line.cell_length) + bar if start <= row < start + size else line
        for row, line in enumerate(visible)
    ]
