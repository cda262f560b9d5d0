"""Dialog with all verdicts about a card: raw answers, models, prompt versions."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from curation_db.language.sanitize import display_text
from curation_db.search.cards import Card, CardVerdict
from workbench.annotation.wording import origin
from workbench.tui.rendering.card_content import QUIET, bar
from workbench.tui.screens.modals.dialog import Dialog


class JudgesModal(Dialog[None]):
    """Only for cards whose verdicts may be shown."""

    DEFAULT_CSS = "JudgesModal #judges-scroll { height: auto; max-height: 62vh; }"
    BINDINGS: ClassVar = [
        ("q,v,enter", "cancel", "close"),
        ("j,down", "scroll(1)", "down"),
        ("k,up", "scroll(-1)", "up"),
        ("space,pagedown", "scroll(10)", "on"),
    ]

    def __init__(self, card: Card) -> None:
        super().__init__("judges", wide=True)
        self._card = card

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="judges-scroll", can_focus=False):
            yield Static(verdicts_content(self._card), markup=False)
        yield self.foot("esc close · ↑ ↓ scroll")

    def action_scroll(self, by: int) -> None:
        self.query_one("#judges-scroll").scroll_relative(y=by, animate=False)


def verdicts_content(card: Card) -> Content:
    if not card.verdicts:
        return Content.styled("no judge was asked about this text", QUIET)
    return Content("\n\n").join([_opinion(each) for each in card.verdicts])


def _opinion(opinion: CardVerdict) -> Content:
    share = "no probability: the answer is unclear" if opinion.p is None else f"P({opinion.question}) = {opinion.p:.4f}"
    facts = [f"model {_one(opinion.model)}", f"prompt {_one(opinion.prompt_version)}", f"asked: {opinion.question}"]
    if opinion.simulated:
        facts.append("simulated")
    facts += origin(opinion.method, opinion.label_mass, opinion.prior, opinion.seed)
    # fmt: off
    return Content.assemble(
        (_one(opinion.judge), "bold"), "   ", bar(opinion.p), " ", share, "\n",
        ("  " + " · ".join(facts), QUIET), "\n  ",
        display_text(opinion.raw_text) or "(no answer text)",
    )
    # fmt: on


def _one(text: str) -> str:
    return display_text(text, limit=80)
