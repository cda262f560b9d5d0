"""The card in plain lines, and what an answer means: for screen readers, dumb terminals and pipes. Pure.

No colour, no position and no glyph says anything alone: every line begins with what it is about. Every text of the
data goes through `display_text`, so no line holds a control character.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from curation_db.enums import REASON_KEYS, REASON_TEXTS, Kind, Question, Reason, Role, State
from curation_db.language.sanitize import display_text
from curation_db.search.cards import Card, CardVerdict
from workbench.annotation.decision_kind import standing_words
from workbench.annotation.models import PreparedCard, SessionSummary, waiting_edits
from workbench.annotation.text_spans import CLOSES, OPENS, highlighted_spans
from workbench.annotation.wording import DECISIONS, STATES, asked, origin, readable

PROMPT: Final = "a x e u s z ? > "
REASON_PROMPT: Final = "because: " + " ".join(f"{key}={readable(reason)}" for key, reason in REASON_KEYS.items())
HELP: Final = (
    "One answer per line:",
    "a      accept: it is true, and someone could say it",
    "x      reject; then one letter says why, or both at once, as in: xp",
    *(f"       {key}  {REASON_TEXTS[reason]}" for key, reason in REASON_KEYS.items()),
    "e      edit; then the new text, or both at once, as in: e a man without a hat",
    "u      unsure: you cannot tell",
    "s      skip, also a single space",
    "z      take back your last act and show its card again",
    "Z      take back the last undo",
    "n      note; then its words, or both at once",
    "f      flag this card, or take the flag back",
    "[      your decision before this one; deciding there replaces it",
    "]      towards the work again",
    "c      the card once more; at the end: whether new cards have come",
    "r      at the end: what you skipped, were unsure about or edited",
    "?      this help",
    "q      leave; everything is kept",
)
_UNDECIDED: Final = {Kind.SKIP: "it comes again later", Kind.UNSURE: STATES[State.UNSURE].after_decision}


class PlainAction(StrEnum):
    """What a line asks for."""

    ACCEPT = "a"
    REJECT = "x"
    EDIT = "e"
    UNSURE = "u"
    SKIP = "s"
    UNDO = "z"
    REDO = "Z"
    NOTE = "n"
    FLAG = "f"
    BACK = "["
    FORWARD = "]"
    CARD = "c"
    REVISIT = "r"
    HELP = "?"
    QUIT = "q"


@dataclass(frozen=True, slots=True)
class PlainInput:
    """A line that was understood."""

    do: PlainAction
    rest: str = ""
    """What stood behind the letter."""


def understand(line: str) -> PlainInput | None:
    """What this line asks for; None: nothing that is known."""
    told = line.rstrip("\r\n")
    if told and not told.strip():
        return PlainInput(PlainAction.SKIP)
    told = told.strip()
    if not told or told[0] not in set(PlainAction):
        return None
    do, rest = PlainAction(told[0]), told[1:]
    if do is PlainAction.REJECT:
        return PlainInput(do, rest.strip())
    # a word that only begins with the letter is not meant: "note" is no n
    return (
        PlainInput(do, rest.strip())
        if not rest or (rest[0] == " " and do in (PlainAction.EDIT, PlainAction.NOTE))
        else None
    )


def reason_of(word: str) -> Reason | None:
    """The reason with this letter or name."""
    told = word.strip().casefold().replace(" ", "_")
    return REASON_KEYS.get(told) or next((reason for reason in Reason if reason == told), None)


# -- the card -------------------------------------------------------------------------------------------------------


def card_lines(ready: PreparedCard, *, decided: int, total: int, role: Role = Role.ANNOTATOR) -> list[str]:
    """Everything that the card says to a person in this role."""
    card = ready.card
    secret = ", blind" if ready.hidden else ""
    lines = [f"CARD {card.candidate_id}, {ready.stream}{secret}; {decided:,} of {total:,} decided"]
    if ready.past is not None:
        reason = f" because {readable(ready.past.reason)}" if ready.past.reason else ""
        lines.append(f"YOU SAID {DECISIONS[ready.past.kind].past}{reason}; deciding replaces it")
    lines.append(f"PICTURE {_picture(ready)}")
    lines.append(f"CAPTION {_shown(card.caption)}" if card.caption else "CAPTION none")
    if card.parent_text:
        lines.append(f"WAS {_shown(card.parent_text)}")
    lines.append(f"NEGATED {_with_cues(card.text)}")
    lines.append(f"CONCEPT {_concept(card)}")
    lines += [f"JUDGES {told}" for told in _judges(ready)]
    lines += _checks(card)
    lines += [f"ALSO SAID {_shown(text)}" for text in card.siblings]
    if card.objects:
        named = (f"{count} {display_text(name, limit=40)}" for name, count in list(card.objects.items())[:12])
        lines.append(f"IN IT {', '.join(named)}")
    lines += ["FLAGGED"] if card.flagged else []
    lines += [f"NOTE {_shown(note)}" for note in card.notes]
    if standing := standing_words(ready, role):
        lines.append(f"STATE {standing}")
    return lines


def _shown(text: str) -> str:
    return display_text(text, limit=2_000)


def _picture(ready: PreparedCard) -> str:
    named = ready.card.picture.file_name or ready.card.picture.key
    where = display_text(str(ready.path) if ready.path else named, limit=500)
    told = ready.thumbnail
    if told is not None and told.problem:
        return f"{where}: {told.problem}" if ready.path else told.problem
    if told is not None and told.size is not None:
        return f"{where}, {told.size[0]} by {told.size[1]} pixels"
    return where


def _with_cues(text: str) -> str:
    """The words that say no, between marks."""
    return "".join(f"{OPENS}{piece.text}{CLOSES}" if piece.cue else piece.text for piece in highlighted_spans(text))


def _concept(card: Card) -> str:
    concept = display_text(card.concept, limit=60) if card.concept else "not known"
    cue = f"{display_text(card.cue, limit=20)}, at the {card.cue_position}" if card.cue else "none"
    return f"{concept}; cue {cue}; type {card.negation_type}"


def _judges(ready: PreparedCard) -> Iterable[str]:
    if ready.hidden:
        return ["hidden until you have decided"]
    opinions = ready.card.verdicts
    told = [opinion_line(opinion, ready.card.concept) for opinion in opinions]
    return [*told, *map(_DISAGREE.__getitem__, ready.card.disputed)] or ["none was asked"]


_DISAGREE = {Question.PRESENT: "disagree", Question.ACCEPTABLE: "disagree whether the caption is fine"}


def opinion_line(opinion: CardVerdict, concept: str | None) -> str:
    """What a judge said, and where its number came from."""
    name = display_text(opinion.judge, limit=40) + (", simulated" if opinion.simulated else "")
    what = asked(opinion.question, concept)
    said = f"unclear whether {what}" if opinion.p is None else f"{what} with probability {opinion.p:.2f}"
    beside = ", ".join(origin(opinion.method, opinion.label_mass, opinion.prior, opinion.seed))
    return f"{name}: {said}{f' ({beside})' if beside else ''}"


def _checks(card: Card) -> list[str]:
    well = [display_text(finding.message, limit=120) for finding in card.findings if finding.ok]
    bad = [display_text(finding.message, limit=120) for finding in card.findings if not finding.ok]
    return ([f"CHECKS passed: {', '.join(well)}"] if well else []) + [f"CHECKS warning: {each}" for each in bad]


# -- what happened --------------------------------------------------------------------------------------------------


def did(kind: Kind, state: State, reason: Reason | None = None, *, late: bool = False) -> str:
    """A decision that is on the disk."""
    why = f", {readable(reason)}" if reason else ""
    # who is unsure or skips has not decided, so how others decided stays hidden
    after = _UNDECIDED.get(kind) or STATES[state].after_decision
    return f"DONE {DECISIONS[kind].past}{why}; {after}{' (its lease was gone, it counts all the same)' if late else ''}"


def travelled(kind: Kind | None, *, back: bool) -> str:
    """An undo or a redo."""
    if kind is None:
        return f"NOTHING to {'take back' if back else 'do again'}"
    return f"{'TOOK BACK' if back else 'DID AGAIN'} {DECISIONS[kind].past}"


def end_lines(summary: SessionSummary) -> list[str]:
    """The end of the queue."""
    states = ", ".join(f"{number:,} {readable(state)}" for state, number in summary.states.items())
    lines = ["END nothing waits for you now", f"WORKSPACE {states}"]
    if summary.passed:
        lines.append(f"PASSED {summary.passed:,} that you skipped, were unsure about or edited: r brings them")
    if summary.edits:
        lines.append(f"EDITS {waiting_edits(summary)}")
    lines += [f"REFUSED {words}" for words in summary.refused.words]
    return lines
