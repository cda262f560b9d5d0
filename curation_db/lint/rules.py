"""The rules of the lint: their stable names, what each is for, and how bad what it finds is.

A rule's id is stored in records and written in settings, so it is never changed or used again for something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LINT_VERSION: Final = 3
"""Raised whenever a rule may answer otherwise on the same text: findings stored under another number are stale."""


class Rule(StrEnum):
    """The rules, by id, in the order in which findings are told."""

    NO_CUE = "no-cue"
    TOO_LONG = "too-long"
    UNCHANGED = "unchanged"
    CHATTER = "chatter"
    CONCEPT_LOST = "concept-lost"
    MINIMAL_EDIT = "minimal-edit"
    IN_CAPTION = "in-caption"
    IN_SIBLING = "in-sibling"
    IN_OBJECTS = "in-objects"
    DOUBLE_NEGATION = "double-negation"
    AMBIGUOUS_SCOPE = "ambiguous-scope"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near-duplicate"
    OVER_FREQUENT = "over-frequent"


class Severity(StrEnum):
    """How bad it is if the rule is right."""

    WARNING = "warning"
    """Worth a look: the pair may still be good."""
    DEFECT = "defect"
    """The text cannot be used as it stands."""


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """What a person is told about a rule."""

    rule: Rule
    severity: Severity
    finds: str
    """One line."""
    advice: str
    """Why it matters, and what to do."""
    needs_corpus: bool = False
    """Whether it speaks only where a `Context` says what the other candidates are."""


_W, _D = Severity.WARNING, Severity.DEFECT
# fmt: off
RULES: Final[dict[Rule, RuleInfo]] = {
    info.rule: info
    for info in (
        RuleInfo(
            Rule.NO_CUE, _D, "the text denies nothing",
            "Without a word that says no, the pair teaches nothing about negation. Words quoted from a sign do not "
            "count. Edit the denial in, or reject.",
        ),
        RuleInfo(
            Rule.TOO_LONG, _D, "CLIP does not read all of the text",
            "CLIP's text tower has 77 positions and cuts off what does not fit, often the denial itself. "
            "Shorten the text.",
        ),
        RuleInfo(
            Rule.UNCHANGED, _D, "the rewrite says what the caption said",
            "The model gave the caption back, at most with other case, articles or digits. Edit the denial in, or "
            "reject as a duplicate.",
        ),
        RuleInfo(
            Rule.CHATTER, _D, "the model talks to its user, or marks its text up",
            "Openings, notes, apologies, second thoughts and Markdown become part of what CLIP learns. Published "
            "sets have some hundred such rows. Cut it out, or reject.",
        ),
        RuleInfo(
            Rule.CONCEPT_LOST, _W, "the rewrite does not speak of the denied concept",
            "Either the rewrite denies something else than what was judged, so that the judges' answers are about "
            "another question, or the concept was derived wrongly. Correct the concept, or reject.",
        ),
        RuleInfo(
            Rule.MINIMAL_EDIT, _W, "the rewrite changes more of the caption than the denial asks for",
            "It leaves out or adds content words beside the phrase that holds the cue and the concept, or denies what "
            "the caption says. What was judged then is not what the text says. Restore the caption's words, or reject.",
        ),
        RuleInfo(
            Rule.IN_CAPTION, _W, "the original caption says that the denied thing is there",
            "A person who saw the picture named it. Look for it; reject as present unless the word means something "
            "else here (then it belongs on the list of homonyms).",
        ),
        RuleInfo(
            Rule.IN_SIBLING, _W, "another caption of the picture says that the denied thing is there",
            "About one in a hundred objects that a judge called absent is named by somebody who saw the picture. "
            "Look for it; reject as present if you see it.",
        ),
        RuleInfo(
            Rule.IN_OBJECTS, _W, "the denied thing is among the picture's annotated objects",
            "Annotators drew a box around it, perhaps a small one. COCO has one category for all people, so for "
            "man, woman and child this only says that somebody is there.",
        ),
        RuleInfo(
            Rule.DOUBLE_NEGATION, _W, "one denial stands inside another",
            "'Not without a hat' says that there is a hat, but is labelled as denying it. Rewrite it with one "
            "denial, or reject as unclear in scope.",
        ),
        RuleInfo(
            Rule.AMBIGUOUS_SCOPE, _W, "two readings of what, or of whom, it denies",
            "'A man and a woman not wearing hats', 'no hat and scarf', 'all are not': judges and learners read it "
            "either way. Rewrite it so that one reading is left, or reject as unclear in scope.",
        ),
        RuleInfo(
            Rule.DUPLICATE, _D, "the same text stands on this picture more than once",
            "It counts twice in training, and twice in every statistic. Keep one, reject the others as duplicates.",
            needs_corpus=True,
        ),
        RuleInfo(
            Rule.NEAR_DUPLICATE, _W, "nearly the same text stands elsewhere",
            "But for case, punctuation, articles, digits and 'isn't' for 'is not' another candidate says the same: "
            "on this picture one of them is enough, on other pictures they are false negatives in one batch.",
            needs_corpus=True,
        ),
        RuleInfo(
            Rule.OVER_FREQUENT, _W, "the candidates before this one deny its concept often enough already",
            "Language models deny hats and trees over and over; a tower trained on that learns the concept, not the "
            "no. Only the surplus is marked: the first ones, up to the allowed share, are not.",
            needs_corpus=True,
        ),
    )
}
# fmt: on

ALL_RULES: Final = frozenset(Rule)
IMAGE_EVIDENCE_RULES: Final = frozenset({Rule.IN_CAPTION, Rule.IN_SIBLING, Rule.IN_OBJECTS})
"""What these find is somebody's word on what the picture shows, so a blind decision must not see it."""
