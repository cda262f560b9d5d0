"""Lines of plain mode: a card, the result of an answer, and the parser of an answer. Pure.

Each line begins with its subject in capitals; no meaning depends on colour, position or a glyph. All texts of the data
go through `display_text`, so no line has a control character.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from curation_db.enums import DECISION_TEXTS, REASON_KEYS, REASON_TEXTS, Kind, Question, Reason, Role, State
from curation_db.language.sanitize import display_text
from curation_db.search.cards import Card, CardVerdict
from workbench.annotation.decision_kind import state_line
from workbench.annotation.models import PreparedCard, ReversedAction, SessionSummary, waiting_edits_line
from workbench.annotation.wording import (
    DECISIONS,
    STATES,
    asked,
    origin,
    readable,
    session_counts,
    session_figures,
)

PROMPT: Final = "a x e u s z o ? > "
SHORT_PROMPT: Final = "> "
REASONS: Final = " ".join(f"{key}={readable(reason)}" for key, reason in REASON_KEYS.items())
REASON_PROMPT: Final = f"because: {REASONS}, empty cancels: "
SHORT_REASON_PROMPT: Final = "because, ? lists the reasons: "
HELP: Final = (
    "One answer per line:",
    f"a      accept: {DECISION_TEXTS[Kind.ACCEPT]}",
    f"x      reject: {DECISION_TEXTS[Kind.REJECT]}; or both at once, as in: xp",
    *(f"       {key}  {REASON_TEXTS[reason]}" for key, reason in REASON_KEYS.items()),
    "e      edit; then the new text, or both at once, as in: e a man without a hat",
    f"u      unsure: {DECISION_TEXTS[Kind.UNSURE]}",
    f"s      skip, also a single space: {DECISION_TEXTS[Kind.SKIP]}",
    "z      undo your last action and show its card again",
    "Z      redo what you undid last",
    "n      note; then its text, or both at once",
    "f      flag this card, or remove the flag",
    "o      open the image with the program of [curate] viewer, or the system's",
    "[      show your previous decision; a new decision replaces it",
    "]      go one card back towards the queue",
    "c      print the card again; at the end: check for new cards",
    "r      at the end: serve again what you skipped, were unsure about or edited",
    "?      this help",
    "q      quit; all decisions are stored",
)
_UNDECIDED: Final = {Kind.SKIP: "it comes again later", Kind.UNSURE: STATES[State.UNSURE].after_decision}


class PlainAction(StrEnum):
    """The first letter of an answer."""

    ACCEPT = "a"
    REJECT = "x"
    EDIT = "e"
    UNSURE = "u"
    SKIP = "s"
    UNDO = "z"
    REDO = "Z"
    NOTE = "n"
    FLAG = "f"
    OPEN = "o"
    BACK = "["
    FORWARD = "]"
    CARD = "c"
    REVISIT = "r"
    HELP = "?"
    QUIT = "q"


@dataclass(frozen=True, slots=True)
class PlainInput:
    do: PlainAction
    rest: str = ""
    """The text after the letter."""


def parse_line(line: str) -> PlainInput | None:
    """Return the answer of a line; None: no answer."""
    text = line.rstrip("\r\n")
    if text and not text.strip():
        return PlainInput(PlainAction.SKIP)
    text = text.strip()
    if not text or text[0] not in set(PlainAction):
        return None
    do, rest = PlainAction(text[0]), text[1:]
    if do is PlainAction.REJECT:
        return PlainInput(do, rest.strip())
    # a word that begins with the letter is no answer: "note" is not n
    return (
        PlainInput(do, rest.strip())
        if not rest or (rest[0] == " " and do in (PlainAction.EDIT, PlainAction.NOTE))
        else None
    )


def parse_reason(word: str) -> Reason | None:
    """Return the reason with this letter or name."""
    key = word.strip().casefold().replace(" ", "_")
    return REASON_KEYS.get(key) or next((reason for reason in Reason if reason == key), None)


# -- the card -------------------------------------------------------------------------------------------------------


def card_lines(ready: PreparedCard, *, decided: int, total: int, role: Role = Role.ANNOTATOR) -> list[str]:
    """Return the lines of a card for an annotator with this role.

    Args:
        decided: Number of settled candidates of the workspace.
        total: Number of all candidates.
    """
    card = ready.card
    blind = ", blind" if ready.hidden else ""
    lines = [f"CARD {card.candidate_id}, {ready.stream}{blind}; {decided:,} of {total:,} decided"]
    if ready.past is not None:
        reason = f" because {readable(ready.past.reason)}" if ready.past.reason else ""
        lines.append(f"YOU DECIDED {DECISIONS[ready.past.kind].past}{reason}; a new decision replaces it")
    lines.append(f"IMAGE {_image(ready)}")
    lines.append(f"CAPTION {_shown(card.caption)}" if card.caption else "CAPTION none")
    if card.parent_text:
        lines.append(f"BEFORE EDIT {_shown(card.parent_text)}")
    lines.append(f"NEGATED {_shown(card.text)}")
    lines.append(f"CONCEPT {_concept(card)}")
    lines += [f"JUDGES {line}" for line in _judges(ready)]
    lines += _checks(card)
    lines += [f"OTHER CAPTION {_shown(text)}" for text in card.siblings]
    if card.objects:
        counts = (f"{count} {display_text(name, limit=40)}" for name, count in list(card.objects.items())[:12])
        lines.append(f"OBJECTS {', '.join(counts)}")
    lines += ["FLAGGED"] if card.flagged else []
    lines += [f"NOTE {_shown(note)}" for note in card.notes]
    if state := state_line(ready, role):
        lines.append(f"STATE {state}")
    return lines


def _shown(text: str) -> str:
    return display_text(text, limit=2_000)


def _image(ready: PreparedCard) -> str:
    name = ready.card.picture.file_name or ready.card.picture.key
    path = display_text(str(ready.path) if ready.path else name, limit=500)
    image = ready.thumbnail
    if image is not None and image.problem:
        return f"{path}: {image.problem}" if ready.path else image.problem
    if image is not None and image.size is not None:
        return f"{path}, {image.size[0]} by {image.size[1]} pixels"
    return path


def _concept(card: Card) -> str:
    concept = display_text(card.concept, limit=60) if card.concept else "not known"
    cue = f"{display_text(card.cue, limit=20)}, at the {card.cue_position}" if card.cue else "none"
    return f"{concept}; cue {cue}; type {card.negation_type}"


def _judges(ready: PreparedCard) -> Iterable[str]:
    if ready.hidden:
        return ["hidden until you have decided"]
    lines = [verdict_line(verdict, ready.card.concept) for verdict in ready.card.verdicts]
    return [*lines, *map(_DISAGREE.__getitem__, ready.card.disputed)] or ["no verdicts"]


_DISAGREE = {Question.PRESENT: "disagree", Question.ACCEPTABLE: "disagree whether the caption is fine"}


def verdict_line(verdict: CardVerdict, concept: str | None) -> str:
    """Return a verdict and how its probability was measured."""
    name = display_text(verdict.judge, limit=40) + (", simulated" if verdict.simulated else "")
    question = asked(verdict.question, concept)
    answer = f"unclear whether {question}" if verdict.p is None else f"{question} with probability {verdict.p:.2f}"
    measured = ", ".join(origin(verdict.method, verdict.label_mass, verdict.prior, verdict.seed))
    return f"{name}: {answer}{f' ({measured})' if measured else ''}"


def _checks(card: Card) -> list[str]:
    passed = [display_text(finding.message, limit=120) for finding in card.findings if finding.ok]
    failed = [display_text(finding.message, limit=120) for finding in card.findings if not finding.ok]
    return ([f"CHECKS passed: {', '.join(passed)}"] if passed else []) + [
        f"CHECKS warning: {message}" for message in failed
    ]


# -- results of answers ---------------------------------------------------------------------------------------------


def decision_line(kind: Kind, state: State, reason: Reason | None = None, *, late: bool = False) -> str:
    """Return the line of a committed decision."""
    because = f", {readable(reason)}" if reason else ""
    # after a skip or "unsure" the card may come again, so the line must not show how others decided
    after = _UNDECIDED.get(kind) or STATES[state].after_decision
    expired = " (the lease had expired; the decision counts)" if late else ""
    return f"DONE {DECISIONS[kind].past}{because}; {after}{expired}"


def undo_line(action: ReversedAction | None, *, back: bool) -> str:
    """Return the line of an undo (`back`) or a redo of this action; None: there was none."""
    if action is None:
        return f"NOTHING to {'undo' if back else 'redo'}"
    because = f", {readable(action.reason)}" if action.reason else ""
    cards = f"{action.candidates:,} cards" if action.candidates > 1 else f"card {action.candidate_id}"
    return f"{'UNDONE' if back else 'REDONE'} {DECISIONS[action.kind].past}{because}; {cards}"


def end_lines(summary: SessionSummary) -> list[str]:
    states = ", ".join(f"{number:,} {readable(state)}" for state, number in summary.states.items())
    counts = ", ".join(session_counts(summary.decisions)) or "nothing decided"
    lines = ["END the queue has no card for you now", f"THIS SESSION {counts}"]
    lines += [f"{label.upper()} {text.replace(' · ', ', ')}" for label, text in session_figures(summary)]
    lines.append(f"WORKSPACE {states}")
    if summary.set_aside:
        lines.append(f"SET ASIDE {summary.set_aside:,} that you skipped, were unsure about or edited: r serves them")
    if summary.edits:
        lines.append(f"EDITS {waiting_edits_line(summary)}")
    lines += [f"REFUSED {clause}" for clause in summary.refused.clauses]
    return lines
