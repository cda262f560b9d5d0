"""Cut a caption to one or a few lines so that the negation cue and the negated concept stay readable. Pure."""

from __future__ import annotations

from itertools import accumulate

from rich.cells import get_character_cell_size
from textual.content import Content

from curation_db.language.negation_cues import CueClass, find_cues

_GAP = "…"
_LEAST_HEAD = 5
"""Cells of the beginning of the text that are worth showing before a gap."""


def cut_line(content: Content, width: int) -> Content:
    """Return `content` in at most `width` cells.

    The end is left out if cue and concept come before it, otherwise the middle. If not even these fit, the middle
    between them is left out.
    """
    if content.cell_length <= width:
        return content
    text = content.plain
    start, end = _kept_span(text)
    ends = [0, *accumulate(get_character_cell_size(each) for each in text)]
    if ends[end] < width or width < 2:
        return content.truncate(width, ellipsis=True)
    if ends[end] - ends[start] + 2 > width:
        return _gapped(content, ends, (start, end), width)
    rest = ends[-1] - ends[end]
    room = width - (ends[end] - ends[start])
    head = room - rest - 3 if rest <= room - 3 - _LEAST_HEAD else (room - 4) // 2
    before = _words_before(text, ends, min(head, ends[start]))
    joined = Content.assemble(content[:before], f" {_GAP} " if before else f"{_GAP} ", content[start:])
    return joined.truncate(width, ellipsis=True)


def cut_lines(content: Content, width: int, lines: int) -> Content:
    """Return `content` in at most `lines` lines of `width` cells; its longest paragraph is cut as by `cut_line`.

    The other paragraphs stay whole, so that a warning below a long text is shown; if there is no room for them, the
    longest one keeps one line.
    """
    paragraphs = content.split("\n", allow_blank=True)
    heights = [len(each.wrap(width)) for each in paragraphs]
    if width < 1 or sum(heights) <= lines:
        return content
    at = max(range(len(paragraphs)), key=heights.__getitem__)
    room = max(1, lines - sum(heights) + heights[at])
    cells = room * width
    while len((cut := cut_line(paragraphs[at], cells)).wrap(width)) > room and cells > width:
        cells -= max(1, width // 8)
    return Content("\n").join([*paragraphs[:at], cut, *paragraphs[at + 1 :]])


def _kept_span(text: str) -> tuple[int, int]:
    """Return the span of the first cue and of what it negates."""
    cue = next((cue for cue in find_cues(text) if cue.cue_class is not CueClass.MENTION), None)
    if cue is None:
        return 0, 0
    spans = [(cue.start, cue.end)]
    if cue.concept_span is not None:
        spans.append(cue.concept_span)
    elif cue.target is not None:
        spans.append((cue.target_start, cue.target_end))
    return min(start for start, _ in spans), max(end for _, end in spans)


def _words_before(text: str, ends: list[int], cells: int) -> int:
    """Return the end of the last whole word within the first `cells` cells; 0 for too short a beginning.

    A first word that is longer, as in a language without blanks, is cut.
    """
    at = 0
    while at < len(text) and ends[at + 1] <= cells:
        at += 1
    if at < len(text) and not text[at].isspace() and (blank := text.rfind(" ", 0, at)) >= 0:
        at = blank
    at = len(text[:at].rstrip())
    return at if ends[at] >= _LEAST_HEAD else 0


def _gapped(content: Content, ends: list[int], span: tuple[int, int], width: int) -> Content:
    """Return both ends of the span with a gap between them."""
    start, end = span
    half = (width - 1) // 2
    left = start
    while left < end and ends[left + 1] - ends[start] <= half:
        left += 1
    right = end
    while right > left and ends[end] - ends[right - 1] <= width - 1 - half:
        right -= 1
    return Content.assemble(content[start:left], _GAP, content[right:end])
