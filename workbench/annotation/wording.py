"""Words, glyphs and tones of states, decisions and verdicts: one table for screens, plain mode and commands. Pure.

Each glyph and tone is shown together with a word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from curation_db.enums import BLIND_SUFFIX, REASON_TEXTS, Kind, Method, Question, State
from curation_db.language.sanitize import display_text

if TYPE_CHECKING:
    from curation_db.events.state import CandidateStatus
    from curation_db.queue.gold import KnownAnswer
    from curation_db.search.cards import Card
    from curation_db.stats.intervals import Interval
    from workbench.annotation.models import ReversedAction, SessionSummary


class Tone(Enum):
    """The colour of a word; the screens map it to variables of the theme."""

    PLAIN = auto()
    QUIET = auto()
    GOOD = auto()
    BAD = auto()
    WARN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class StateWording:
    glyph: str
    label: str
    """At most ten characters, for a table column."""
    status: str
    """For a line about one candidate."""
    after_decision: str
    """A clause after the annotator's own decision."""
    prediction: str
    """The result of a bulk decision, after a number of candidates."""
    tone: Tone = Tone.PLAIN


STATES: Final[Mapping[State, StateWording]] = {
    State.OPEN: StateWording(
        glyph="○",
        label="open",
        status="open",
        after_decision="it is open",
        prediction="will be open again",
        tone=Tone.QUIET,
    ),
    State.NEEDS_MORE: StateWording(
        glyph="◔",
        label="needs more",
        status="needs a second opinion",
        after_decision="it needs a second opinion",
        prediction="will need a second opinion",
    ),
    State.CONTESTED: StateWording(
        glyph="≠",
        label="contested",
        status="contested",
        after_decision="it is contested",
        prediction="will be contested: votes against votes",
        tone=Tone.WARN,
    ),
    State.ACCEPTED: StateWording(
        glyph="✓",
        label="accepted",
        status="accepted",
        after_decision="it is accepted",
        prediction="will be accepted",
        tone=Tone.GOOD,
    ),
    State.REJECTED: StateWording(
        glyph="✗",
        label="rejected",
        status="rejected",
        after_decision="it is rejected",
        prediction="will be rejected",
        tone=Tone.BAD,
    ),
    State.UNSURE: StateWording(
        glyph="?",
        label="unsure",
        status="unsure",
        after_decision="others decide first",
        prediction="will be unsure",
        tone=Tone.WARN,
    ),
    State.SUPERSEDED: StateWording(
        glyph="↷",
        label="replaced",
        status="replaced by an edit",
        after_decision="your text has taken its place",
        prediction="stay replaced",
        tone=Tone.QUIET,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionWording:
    glyph: str
    label: str
    """The noun."""
    past: str
    """The past tense; for a note or a flag the noun with its article."""
    history: str = ""
    """A line of a candidate's history; "": the line depends on the event."""
    tone: Tone = Tone.PLAIN


_LEAST_FOR_SHARE: Final = 5
"""Answers, or timed decisions, that a share or a speed of the summary of a session needs."""
OTHER_GLYPH: Final = "·"
"""For an event kind without a glyph of its own."""
DECISIONS: Final[Mapping[Kind, DecisionWording]] = {
    Kind.ACCEPT: DecisionWording(glyph="✓", label="accept", past="accepted", tone=Tone.GOOD),
    Kind.REJECT: DecisionWording(glyph="✗", label="reject", past="rejected", tone=Tone.BAD),
    Kind.UNSURE: DecisionWording(glyph="?", label="unsure", past="unsure", tone=Tone.WARN),
    Kind.SKIP: DecisionWording(glyph="·", label="skip", past="skipped", history="· skipped it"),
    Kind.EDIT: DecisionWording(glyph="✎", label="edit", past="edited"),
    Kind.NOTE: DecisionWording(glyph="✎", label="note", past="the note"),
    Kind.FLAG: DecisionWording(glyph="⚑", label="flag", past="the flag", history="⚑ flagged it"),
    Kind.ADJUDICATE: DecisionWording(glyph="⚖", label="final decision", past="the final decision"),
    Kind.FLIP: DecisionWording(glyph=OTHER_GLYPH, label="change of mind", past="changed"),
    Kind.TWIN: DecisionWording(glyph=OTHER_GLYPH, label="answer about the affirmed twin", past="the answer"),
    Kind.PARAPHRASE: DecisionWording(glyph=OTHER_GLYPH, label="answer about the paraphrase", past="the answer"),
    Kind.REQUEUE: DecisionWording(glyph="⟲", label="reopen", past="reopened", history="⟲ reopened it"),
    Kind.WITHDRAW: DecisionWording(glyph=OTHER_GLYPH, label="withdrawal", past="withdrawn", history="withdrew it"),
    Kind.UNDO: DecisionWording(glyph="↶", label="undo", past="undone"),
}
COUNTED: Final = (Kind.ACCEPT, Kind.REJECT, Kind.EDIT, Kind.UNSURE, Kind.SKIP)
"""The decisions that a session counts, in the order of the summary."""


@dataclass(frozen=True, slots=True)
class BulkWording:
    title: str
    """The verb alone."""
    verb: str
    """Before a number of cards."""
    past: str
    """After a number of cards."""


BULK: Final[Mapping[Kind, BulkWording]] = {
    Kind.ACCEPT: BulkWording("accept", "accept", DECISIONS[Kind.ACCEPT].past),
    Kind.REJECT: BulkWording("reject", "reject", DECISIONS[Kind.REJECT].past),
    Kind.REQUEUE: BulkWording("reopen", "reopen", "reopened"),
}


def readable(code: str) -> str:
    """Return the code of a state or a reason with spaces instead of underscores."""
    return code.replace("_", " ")


def session_counts(counts: Mapping[Kind, int], *, glyphs: bool = False) -> list[str]:
    """Return the number of decisions of each kind that occurred, such as "5 accepted"."""
    wordings = [(DECISIONS[kind], counts[kind]) for kind in COUNTED if counts.get(kind)]
    return [f"{each.glyph} {count:,} {each.past}" if glyphs else f"{count:,} {each.past}" for each, count in wordings]


def session_figures(summary: SessionSummary) -> list[tuple[str, str]]:
    """Return (label, text) for time, gold items, agreement and probes of a session, as far as there are any.

    A share needs `_LEAST_FOR_SHARE` answers; below that the counts say more.
    """
    speed, gold, others, probes = summary.work.speed, summary.work.gold, summary.work.others, summary.probes
    lines = []
    if speed.timed_decisions and speed.median_ms is not None:
        rate = ""
        if speed.timed_decisions >= _LEAST_FOR_SHARE and speed.per_hour is not None:
            rate = f" · {speed.per_hour:,.0f} decisions/h"
        each = f" · median {speed.median_ms / 1000:.1f} s" if speed.timed_decisions > 1 else ""
        lines.append(("time on cards", f"{_duration(speed.active_ms / 1000)}{each}{rate}"))
    if gold.answers:
        lines.append(("test cards", _of(gold.right, gold.answers, "right", gold.share)))
    if others.votes:
        lines.append(("agreement", _of(others.equal, others.votes, "votes of others are as yours", others.share)))
    if probes.answers:
        lines.append(("probes", _of(probes.consistent, probes.answers, "answers fit the accepts", probes.share)))
    return lines


def _of(part: int, whole: int, what: str, share: Interval) -> str:
    """Return a count, with its 95 % interval where the share of so many has a meaning."""
    interval = f" · 95 % interval {share.low:.0%} to {share.high:.0%}" if whole >= _LEAST_FOR_SHARE else ""
    return f"{part:,} of {whole:,} {what}{interval}"


def _duration(seconds: float) -> str:
    """Return a time such as 48 s, 12 min or 3 h 5 min."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def reversed_line(action: ReversedAction, *, back: bool) -> str:
    """Return what an undo (`back`) or a redo was about, such as "undone: ✗ reject (present) of card 12"."""
    wording = DECISIONS[action.kind]
    glyph = f"{wording.glyph} " if action.kind in COUNTED else ""
    reason = f" ({readable(action.reason)})" if action.reason else ""
    cards = f"{action.candidates:,} cards" if action.candidates > 1 else f"card {action.candidate_id}"
    return f"{'undone' if back else 'redone'}: {glyph}{wording.label}{reason} of {cards}"


# -- verdicts -------------------------------------------------------------------------------------------------------

_METHODS: Final[Mapping[Method, str]] = {
    Method.LOGPROBS: "from log-probabilities",
    Method.DECISION: "a typed decision",
    Method.SAMPLES: "a share of samples",
    Method.BARE: "a bare answer",
    Method.SCORE: "a score",
}


def answer(question: Question, p: float | None) -> str:
    """Return a verdict in one or two words that also name the question."""
    if question is Question.PRESENT:
        return "unclear" if p is None else "present" if p >= 0.5 else "absent"
    return "fine? unclear" if p is None else "fine" if p >= 0.5 else "not fine"


def asked(question: Question, concept: str | None) -> str:
    """Return the question as a clause after "whether"."""
    if question is Question.ACCEPTABLE:
        return "the caption is fine"
    return f"{display_text(concept or 'it', limit=40)} is present"


def origin(method: str | None, label_mass: float | None, prior: float | None, seed: int | None) -> tuple[str, ...]:
    """Return how the probability was measured, as far as the record has it.

    Args:
        method: A value of `Method`, with `BLIND_SUFFIX` if the judge does not see images.
        label_mass: Probability of all labels together, from 0 to 1.
        prior: Probability for a blank image.
        seed: Seed of the samples.
    """
    source = (method or "").removesuffix(BLIND_SUFFIX)
    parts = [_METHODS.get(Method(source), source) if source in set(Method) else source] if source else []
    parts += ["does not see images"] if source != (method or "") else []
    parts += [] if label_mass is None else [f"yes/no tokens: {label_mass:.0%} of probability"]
    parts += [] if prior is None else [f"{prior:.2f} for a blank image"]
    parts += [] if seed is None else [f"seed {seed}"]
    return tuple(display_text(part, limit=40) for part in parts)


def disagreement(disputed: Collection[Question]) -> str:
    """Return on which questions the judges disagree; "" for none."""
    if not disputed:
        return ""
    if Question.ACCEPTABLE not in disputed:
        return "they disagree"
    return "they disagree on both" if len(disputed) > 1 else "they disagree on whether it is fine"


# -- after a decision -----------------------------------------------------------------------------------------------


def gold_feedback(known: KnownAnswer, decision: Kind) -> tuple[bool, str]:
    """Return whether the decision (accept or reject) about a gold item was right, and the line that says it."""
    label = DECISIONS[known.kind].label
    reason = f": {REASON_TEXTS[known.reason]}" if known.reason else ""
    if decision is known.kind:
        return True, f"✓ test card, right: the expected answer was {label}{reason}"
    return False, f"✗ test card: the expected answer was {label}{reason}"


def edit_outcome(child: CandidateStatus) -> str:
    """Return what follows from an edit that created `child`."""
    if child.state is State.ACCEPTED:
        return "saved and accepted: you work alone"
    others = "another person" if child.wanted == 1 else f"{child.wanted} other people"
    return f"saved with your accept; {others} will check it" if child.accepts else f"saved; {others} will check it"


def judge_reveal(card: Card) -> str:
    """Return the verdicts on an audit card, by question; "" without verdicts. Only to be shown after the decision."""
    parts = []
    for question in Question:
        verdicts = [f"{v.judge} {v.p:.2f}" for v in card.verdicts if v.question is question and v.p is not None]
        if verdicts:
            what = "present" if question is Question.PRESENT else asked(question, None)
            parts.append(f"{' · '.join(verdicts)} — P({what})")
    return f"the judges: {'; '.join(parts)}" if parts else ""
