"""The lint rules: stable ids, descriptions, advice and severities.

Records store a rule's id and settings contain it, so an id is never changed or reused for another rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LINT_VERSION: Final = 6
"""Increase it whenever a rule may give another result on the same text: findings stored under another version are stale
and are computed again (`curation_db.lint.index`)."""


class Rule(StrEnum):
    """Rule ids, in the order in which findings are reported."""

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
    """Severity of a correct finding."""

    WARNING = "warning"
    """Needs a decision: the pair may still be good."""
    DEFECT = "defect"
    """The text cannot be used unchanged."""


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """Description of a rule for `negwb lint --rules` and for the screens."""

    rule: Rule
    severity: Severity
    finds: str
    """What the rule finds, in one line."""
    advice: str
    """Why the finding matters, and what to do."""
    needs_corpus: bool = False
    """The rule compares candidates, so it runs only with a `CorpusContext`."""


_W, _D = Severity.WARNING, Severity.DEFECT
# fmt: off
RULES: Final[dict[Rule, RuleInfo]] = {
    info.rule: info
    for info in (
        RuleInfo(
            Rule.NO_CUE, _D, "the text negates nothing",
            "Without a negation cue the pair teaches nothing about negation. Words quoted from a sign do not count. "
            "Insert the negation with an edit, or reject.",
        ),
        RuleInfo(
            Rule.TOO_LONG, _D, "the model does not read all of the text",
            "A text encoder reads a fixed number of tokens (CLIP: 77) and ignores the rest, often the negation itself. "
            "Shorten the text.",
        ),
        RuleInfo(
            Rule.UNCHANGED, _D, "the rewrite is the same as the caption",
            "The model returned the caption, at most with other case, articles or digits. Insert the negation with "
            "an edit, or reject as a duplicate.",
        ),
        RuleInfo(
            Rule.CHATTER, _D, "the text contains words of the model to its user, or mark-up",
            "Openings, notes, apologies, corrections and Markdown would become training data. Published sets "
            "have some hundred such rows. Delete the words with an edit, or reject.",
        ),
        RuleInfo(
            Rule.CONCEPT_LOST, _W, "the rewrite does not mention the negated concept",
            "Either the rewrite negates something else than the judged concept, so that the verdicts answer another "
            "question, or the concept was derived incorrectly. Correct the concept, or reject.",
        ),
        RuleInfo(
            Rule.MINIMAL_EDIT, _W, "the rewrite changes more of the caption than the negation requires",
            "It omits or adds content words outside of the phrase with the cue and the concept, or negates what the "
            "caption says. The verdicts do not cover these changes. Restore the caption's words, or reject.",
        ),
        RuleInfo(
            Rule.IN_CAPTION, _W, "the original caption affirms the negated concept",
            "The caption's author saw the image and named the concept. Search the image for it; reject as present "
            "unless the word means something else here (then add it to curation_db/data/homonyms.tsv).",
        ),
        RuleInfo(
            Rule.IN_SIBLING, _W, "another caption of the image affirms the negated concept",
            "About one in a hundred objects that a judge called absent is named in another caption of the image. "
            "Search the image for it; reject as present if you see it.",
        ),
        RuleInfo(
            Rule.IN_OBJECTS, _W, "the negated concept is among the image's annotated objects",
            "The object annotations contain a box for it, perhaps a small one. COCO has one category for all people, "
            "so for man, woman and child this only means that a person is present.",
        ),
        RuleInfo(
            Rule.DOUBLE_NEGATION, _W, "one negation is in the scope of another",
            "'Not without a hat' affirms a hat, but is labelled as negating it. Rewrite it with one negation, or "
            "reject as unclear in scope.",
        ),
        RuleInfo(
            Rule.AMBIGUOUS_SCOPE, _W, "the scope of the negation has two readings",
            "'A man and a woman not wearing hats', 'no hat and scarf', 'all are not': judges and models read it "
            "either way. Rewrite it with one reading, or reject as unclear in scope.",
        ),
        RuleInfo(
            Rule.DUPLICATE, _D, "the image has the same text more than once",
            "It counts twice in training and in every statistic. Keep one, reject the others as duplicates.",
            needs_corpus=True,
        ),
        RuleInfo(
            Rule.NEAR_DUPLICATE, _W, "another candidate has nearly the same text",
            "Another candidate differs only in case, punctuation, articles, digits, or 'isn't' for 'is not'. On the "
            "same image one of them is enough; on other images they are false negatives within a batch.",
            needs_corpus=True,
        ),
        RuleInfo(
            Rule.OVER_FREQUENT, _W, "enough earlier candidates negate the same concept",
            "Language models negate hats and trees again and again; a text tower trained on that learns the concept "
            "instead of the negation. Only the surplus is marked: candidates up to the allowed share are not.",
            needs_corpus=True,
        ),
    )
}
# fmt: on

ALL_RULES: Final = frozenset(Rule)
IMAGE_EVIDENCE_RULES: Final = frozenset({Rule.IN_CAPTION, Rule.IN_SIBLING, Rule.IN_OBJECTS})
"""Rules whose findings are evidence about the content of the image. A blind decision must not see them."""
