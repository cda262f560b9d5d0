"""Checks of a rewrite: which lint findings reject it, and which are left to annotators. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from curation_db.language.clip_tokenizer import count_tokens
from curation_db.language.negation_cues import CueClass
from curation_db.language.object_mentions import cues_of
from curation_db.language.sanitize import normalised
from curation_db.lint.linter import LintSubject, Rule, lint
from curation_db.lint.minimal_edit import form_fault, insertion_fault
from workbench.generation.models import CaptionItem, ImageTask
from workbench.workspace.settings.engines import Edits

# fmt: off
SERIOUS: Final = frozenset({
    Rule.NO_CUE, Rule.TOO_LONG, Rule.UNCHANGED, Rule.CHATTER, Rule.CONCEPT_LOST, Rule.DOUBLE_NEGATION,
})
# fmt: on
"""Rules whose findings reject a rewrite, so that the model is asked again. Other findings are shown beside the card."""
CONTENT_LOST: Final = "content-lost"
"""Most words of the caption are missing: the text is new, not an edit."""
EMPTY: Final = "empty"
_MOST_LETTERS: Final = 1_000
"""Longer texts are rejected without running the rules."""
_MIN_SHARED_WORDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Check:
    """The first finding that rejects a rewrite."""

    rule: str
    """Rule ID; empty: no finding."""
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the rewrite passes."""
        return not self.rule


FINE: Final = Check("")


def check_rewrite(
    image_task: ImageTask,
    caption: CaptionItem,
    text: str,
    concept: str | None,
    *,
    denies_thing: bool = True,
    edits: Edits = Edits.MINIMAL,
) -> Check:
    """Check `text` as a rewrite of `caption` that negates `concept`.

    Args:
        denies_thing: Whether the concept is an object, which the caption must not affirm. A caption may affirm the
            negated action: of two people, one may do it and the other not.
        edits: Whether the rewrite must be the caption with one inserted negation.
    """
    if not text.strip():
        return Check(EMPTY, "no text")
    if len(text) > _MOST_LETTERS:
        return Check(Rule.TOO_LONG, f"{len(text):,} letters")
    subject = LintSubject(
        text=text,
        concept=concept,
        tokens=count_tokens(text),
        caption=caption.text,
        siblings=tuple(other.text for other in image_task.captions if other.id != caption.id),
        objects=image_task.objects,
    )
    rules = SERIOUS | {Rule.IN_CAPTION} if denies_thing else SERIOUS
    for finding in lint(subject, rules):
        if not finding.ok:
            return Check(finding.rule, finding.message)
    return _edit_fault(caption.text, text, concept, edits)


def _edit_fault(caption: str, text: str, concept: str | None, edits: Edits) -> Check:
    """Compare the rewrite with the caption."""
    if _cues(text) <= _cues(caption):
        return Check(Rule.NO_CUE, "no more negation cues than in the caption")
    if _shared_words(caption, text) < _MIN_SHARED_WORDS:
        return Check(CONTENT_LOST, "most words of the caption are missing")
    fault = insertion_fault(caption, text, concept) if edits is Edits.MINIMAL else form_fault(caption, text)
    return Check(Rule.MINIMAL_EDIT, fault) if fault is not None else FINE


def _cues(text: str) -> int:
    return sum(cue.cue_class is not CueClass.MENTION for cue in cues_of(text))


def _shared_words(caption: str, text: str) -> float:
    caption_words = normalised(caption).split()
    rewrite_words = set(normalised(text).split())
    return sum(word in rewrite_words for word in caption_words) / len(caption_words) if caption_words else 1.0
