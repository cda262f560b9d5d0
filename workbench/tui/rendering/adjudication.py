"""The tally after an adjudicator's word: the result, who said what, what the judges said. Pure."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content

from curation_db.enums import CAUSE_TEXTS, Kind, Reason
from curation_db.language.sanitize import display_text
from curation_db.search.cards import Card
from curation_db.search.disagreements import Adjudication, AnnotatorVote, Disagreement, VoteSummary
from workbench.annotation.text_spans import highlighted_spans
from workbench.annotation.wording import DECISIONS, readable
from workbench.tui.rendering import card_content
from workbench.tui.rendering.card_content import MARK, QUIET

_NAME_CELLS = 18
_TEXT = 240
"""Letters of the caption above the tally: it was read in full before."""


def verdict(kind: Kind, reason: Reason | str | None, *, bold: bool = False) -> Content:
    """A yes or no with its reason; glyph and word, so that no colour says it alone."""
    because = f": {readable(reason)}" if reason else ""
    style = f"{'bold ' if bold else ''}{card_content.decision_style(kind)}".strip()
    return Content.assemble((f"{DECISIONS[kind].glyph} {DECISIONS[kind].label}", style), because)


def told(tally: VoteSummary, card: Card, told_of: Disagreement | None, width: int) -> Content:
    """All of it, from the top."""
    lines = [card_content.marked(highlighted_spans(card.text, card.caption, limit=_TEXT)), Content("")]
    lines += [heading("the final word"), *_final(tally.final), Content("")]
    lines += [heading("who said what", _agreement(told_of)), *_voices(tally), Content("")]
    lines += [heading("the judges"), *(card_content.opinion_rows(card, width) or [quiet("no judge was asked")])]
    return Content("\n").join(lines)


def heading(words: str, beside: str = "") -> Content:
    """A line above a part."""
    return Content.assemble((words.upper(), f"bold {MARK}"), (f"   {beside}" if beside else "", QUIET))


def quiet(words: str) -> Content:
    """A remark."""
    return Content.styled(words, QUIET)


def _final(final: Adjudication | None) -> list[Content]:
    if final is None:
        return [quiet("none stands: it was taken back")]
    by = Content.assemble(verdict(final.verdict, final.reason, bold=True), (f"   {_name(final.actor)}", QUIET))
    return (
        [by, Content.assemble(("they disagreed because: ", QUIET), CAUSE_TEXTS[final.cause])] if final.cause else [by]
    )


def _agreement(of: Disagreement | None) -> str:
    return f"{of.votes} opinions · {of.agreement:.0%} agree" if of is not None else ""


def _voices(tally: VoteSummary) -> list[Content]:
    if not tally.votes:
        return [quiet("nobody: they were asked anew")]
    widest = max(cell_len(_name(voice.actor)) for voice in tally.votes)
    right = tally.final.verdict if tally.final else None
    return [_voice(voice, widest, right) for voice in tally.votes]


def _voice(voice: AnnotatorVote, widest: int, right: Kind | None) -> Content:
    name = _name(voice.actor)
    how = ["on second thoughts"] if voice.flip else []
    how += ["blind"] if voice.blind else []
    how += ["as the final word"] if voice.verdict is right else []
    return Content.assemble(
        name,
        " " * (widest - cell_len(name) + 3),
        verdict(voice.verdict, voice.reason),
        ("   " + " · ".join(how), QUIET),
    )


def _name(actor: str) -> str:
    return display_text(actor, limit=_NAME_CELLS)


def nothing_to_settle(settled: int) -> Content:
    """The empty room: why, and what to do."""
    lines = [Content.styled("Nobody disagrees about anything.", f"bold {MARK}")]
    if settled:
        lines = [Content.styled(f"All settled: {settled} in this sitting.", f"bold {MARK}")]
    lines += [
        Content(""),
        Content("Cards come here when people who were asked about the same one differ,"),
        Content("or when somebody changes their mind once the judges are seen."),
        Content(""),
        quiet("Have each card decided by two, and by a third where they differ:"),
        Content.styled("  negwb queue overlap 2+1", "bold"),
        quiet('and for candidates that come in later overlap = "2+1" in negwb.toml'),
    ]
    return Content("\n").join(lines)
