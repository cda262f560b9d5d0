"""What a judge's verdict says, in words: the same on the card, in lists, in the history, and for the ears. Pure."""

from __future__ import annotations

from collections.abc import Collection

from curation_db.generation_words import Method
from curation_db.text import display_text
from curation_db.words import Question

_METHODS = {
    Method.LOGPROBS: "from log-probabilities",
    Method.DECISION: "a typed decision",
    Method.SAMPLES: "a share of samples",
    Method.BARE: "a bare answer",
    Method.SCORE: "a score",
}


def answer(question: Question, p: float | None) -> str:
    """The answer in a word or two that tell which question it is to."""
    if question is Question.PRESENT:
        return "unclear" if p is None else "present" if p >= 0.5 else "absent"
    return "fine? unclear" if p is None else "fine" if p >= 0.5 else "not fine"


def asked(question: Question, concept: str | None) -> str:
    """What was asked, to go behind "whether"."""
    if question is Question.ACCEPTABLE:
        return "the caption is fine"
    return f"{display_text(concept or 'it', limit=40)} is there"


def origin(method: str | None, label_mass: float | None, prior: float | None, seed: int | None) -> tuple[str, ...]:
    """Where the number came from, as far as the record tells."""
    told = [] if method is None else [_METHODS.get(Method(method), method) if method in set(Method) else method]
    told += [] if label_mass is None else [f"{label_mass:.0%} of it on yes and no"]
    told += [] if prior is None else [f"{prior:.2f} of a blank picture"]
    told += [] if seed is None else [f"seed {seed}"]
    return tuple(display_text(each, limit=40) for each in told)


def disagreement(disputed: Collection[Question]) -> str:
    """On what the judges disagree; "" where they do not."""
    if not disputed:
        return ""
    if Question.ACCEPTABLE not in disputed:
        return "they disagree"
    return "they disagree on both" if len(disputed) > 1 else "they disagree if it is fine"
