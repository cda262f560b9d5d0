"""Text of the vote summary after an adjudication: the final decision, the votes and the verdicts. Pure."""

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
from workbench.tui.rendering.line_cut import cut_line

_NAME_CELLS = 18
_TEXT_CELLS = 240
"""Of the caption above the votes, of which the adjudicator has already read all; cue and concept stay."""


def decision_label(kind: Kind, reason: Reason | str | None, *, bold: bool = False) -> Content:
    """Return a decision with its reason. Glyph and word stand beside the colour."""
    because = f": {readable(reason)}" if reason else ""
    style = f"{'bold ' if bold else ''}{card_content.decision_style(kind)}".strip()
    return Content.assemble((f"{DECISIONS[kind].glyph} {DECISIONS[kind].label}", style), because)


def vote_summary_content(summary: VoteSummary, card: Card, disagreement: Disagreement | None, width: int) -> Content:
    lines = [cut_line(card_content.marked(highlighted_spans(card.text, card.caption)), _TEXT_CELLS), Content("")]
    lines += [heading("final decision"), *_final(summary.final), Content("")]
    lines += [heading("votes", _agreement(disagreement)), *_vote_lines(summary), Content("")]
    lines += [heading("judges"), *(card_content.opinion_rows(card, width) or [quiet("no judge was asked")])]
    return Content("\n").join(lines)


def heading(words: str, beside: str = "") -> Content:
    return Content.assemble((words.upper(), f"bold {MARK}"), (f"   {beside}" if beside else "", QUIET))


def quiet(words: str) -> Content:
    return Content.styled(words, QUIET)


def _final(final: Adjudication | None) -> list[Content]:
    if final is None:
        return [quiet("none in force: it was undone")]
    by = Content.assemble(decision_label(final.verdict, final.reason, bold=True), (f"   {_name(final.actor)}", QUIET))
    return (
        [by, Content.assemble(("they disagreed because: ", QUIET), CAUSE_TEXTS[final.cause])] if final.cause else [by]
    )


def _agreement(disagreement: Disagreement | None) -> str:
    return f"{disagreement.votes} opinions · {disagreement.agreement:.0%} agree" if disagreement is not None else ""


def _vote_lines(summary: VoteSummary) -> list[Content]:
    if not summary.votes:
        return [quiet("none: the card was reopened")]
    widest = max(cell_len(_name(vote.actor)) for vote in summary.votes)
    right = summary.final.verdict if summary.final else None
    return [_vote_line(vote, widest, right) for vote in summary.votes]


def _vote_line(vote: AnnotatorVote, widest: int, right: Kind | None) -> Content:
    name = _name(vote.actor)
    how = ["changed later"] if vote.flip else []
    how += ["blind"] if vote.blind else []
    how += ["same as the final decision"] if vote.verdict is right else []
    return Content.assemble(
        name,
        " " * (widest - cell_len(name) + 3),
        decision_label(vote.verdict, vote.reason),
        ("   " + " · ".join(how), QUIET),
    )


def _name(actor: str) -> str:
    return display_text(actor, limit=_NAME_CELLS)


def nothing_to_settle(settled: int) -> Content:
    """Return the text of the empty screen: why it is empty and how cards get here."""
    lines = [Content.styled("There is no disagreement to settle.", f"bold {MARK}")]
    if settled:
        lines = [Content.styled(f"All settled: {settled} in this session.", f"bold {MARK}")]
    lines += [
        Content(""),
        Content("Cards come here when annotators who decided about the same one differ,"),
        Content("or when an annotator changes a decision after seeing the judges."),
        Content(""),
        quiet("Have each card decided by two annotators, and by a third where they differ:"),
        Content.styled("  negwb queue overlap 2+1", "bold"),
        quiet('and for candidates imported later: overlap = "2+1" in negwb.toml'),
    ]
    return Content("\n").join(lines)
