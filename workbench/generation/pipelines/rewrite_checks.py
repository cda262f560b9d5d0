"""Checks on a rewrite: which findings make it useless, and which are for a person to see. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from curation_db.language.clip_tokenizer import count_tokens
from curation_db.language.negation_cues import CueClass
from curation_db.language.object_mentions import cues_of
from curation_db.language.sanitize import normalised
from curation_db.lint.linter import LintSubject, Rule, lint
from workbench.generation.models import CaptionItem, ImageTask

# fmt: off
SERIOUS: Final = frozenset({
    Rule.NO_CUE, Rule.TOO_LONG, Rule.UNCHANGED, Rule.CHATTER, Rule.CONCEPT_LOST, Rule.DOUBLE_NEGATION,
})
# fmt: on
"""What these find no person should have to read: the model is asked again. The others warn beside the card."""
CONTENT_LOST: Final = "content-lost"
"""Most words of the caption are gone: it was written anew, not edited."""
EMPTY: Final = "empty"
_MOST_LETTERS: Final = 1_000
"""Longer texts are too long whatever their tokens are; rules are not run over megabytes."""
_KEPT: Final = 0.5


@dataclass(frozen=True, slots=True)
class Check:
    """The first serious finding about a rewrite."""

    rule: str
    """Its id; empty: none."""
    says: str = ""

    @property
    def ok(self) -> bool:
        """Whether a person may see it."""
        return not self.rule


FINE: Final = Check("")


def check_rewrite(
    image_task: ImageTask, caption: CaptionItem, text: str, concept: str | None, *, denies_thing: bool = True
) -> Check:
    """What is seriously wrong with `text` as a denial of `concept` in `caption`.

    `denies_thing`: the concept must not be affirmed by the caption (a thing that is denied; not so an action, of
    which two people may do one each).
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
    if _cues(text) <= _cues(caption.text):
        return Check(Rule.NO_CUE, "no more negation cues than in the caption")
    if _share_kept(caption.text, text) < _KEPT:
        return Check(CONTENT_LOST, "most words of the caption are gone")
    return FINE


def _cues(text: str) -> int:
    return sum(cue.cue_class is not CueClass.MENTION for cue in cues_of(text))


def _share_kept(caption: str, text: str) -> float:
    caption_words = normalised(caption).split()
    rewrite_words = set(normalised(text).split())
    return sum(word in rewrite_words for word in caption_words) / len(caption_words) if caption_words else 1.0
