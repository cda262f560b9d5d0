"""The checks of an edited text, before it replaces a candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curation_db.language.concepts import concept_after_edit
from curation_db.language.sanitize import clean
from curation_db.language.token_counter import CLIP_TOKENS
from curation_db.lint.linter import Finding, LintSettings, LintSubject, lint

if TYPE_CHECKING:
    from curation_db.search.cards import Card


def findings_about(card: Card, text: str, concept: str | None, settings: LintSettings) -> list[Finding]:
    """Return what is wrong with the text that replaces the one of `card`.

    Args:
        concept: The concept that the text negates; None: derived from the text; "": none.
    """
    new_text = clean(text)
    if concept is None:
        concept = card.concept
        if new_text != card.text:
            concept = concept_after_edit(card.caption, card.text, card.concept, None, new_text).text
    subject = LintSubject(
        text=new_text,
        concept=concept or None,
        tokens=CLIP_TOKENS.count(new_text),
        caption=card.caption,
        siblings=card.siblings,
        objects=card.objects,
    )
    return [finding for finding in lint(subject, settings=settings) if not finding.ok]
