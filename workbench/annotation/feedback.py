"""What a person is told about a card once it is decided, and never before. Pure; shown through `display_text`."""

from __future__ import annotations

from curation_db.enums import REASON_TEXTS, Kind, Question, State
from curation_db.events.state import CandidateStatus
from curation_db.queue.gold import KnownAnswer
from curation_db.search.cards import Card
from workbench.annotation.wording import DECISIONS, asked


def feedback(known: KnownAnswer, said: Kind) -> tuple[bool, str]:
    """Whether that was right, and the line that tells; `said`: accept or reject."""
    word = DECISIONS[known.kind].label
    why = f": {REASON_TEXTS[known.reason]}" if known.reason else ""
    if said is known.kind:
        return True, f"✓ right: the answer to that card was known ({word}{why})"
    return False, f"✗ the answer to that card was known: {word}{why}"


def edited(child: CandidateStatus) -> str:
    """What becomes of an edit; `child`: what the events of the new text come to."""
    if child.state is State.ACCEPTED:
        return "saved and accepted: you work alone"
    others = "another person" if child.wanted == 1 else f"{child.wanted} other people"
    return f"saved with your accept; {others} will check it" if child.accepts else f"saved; {others} will check it"


def revealed(card: Card) -> str:
    """What the judges say about an audit card, question by question; "" where they say nothing."""
    told = []
    for question in Question:
        said = [f"{o.judge} {o.p:.2f}" for o in card.verdicts if o.question is question and o.p is not None]
        if said:
            told.append(f"{' · '.join(said)} — P({asked(question, card.concept)})")
    return f"the judges: {'; '.join(told)}" if told else ""
