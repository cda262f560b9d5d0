"""The judge that needs no model: what people wrote and drew about a picture says whether a concept is there. Pure."""

from __future__ import annotations

from typing import Final

from curation_db.enums import Method, Question
from curation_db.language.nouns import concept_key
from curation_db.language.object_mentions import affirms, category_matches
from curation_db.language.sanitize import display_text
from workbench.generation.models import ImageTask, JudgeVerdict
from workbench.workspace.engine_settings import ANNOTATIONS

PROMPT: Final = "annotations-1"
"""Stands where a prompt's version does; raised when the judge may say otherwise."""


def judge_by_annotations(image_task: ImageTask, concept: str | None) -> JudgeVerdict:
    """Whether `concept` is in the picture: named by a caption, or an annotated object; absent only if looked for.

    Without a concept, or where nobody looked, it is unclear.
    """
    p, why = _found(image_task, concept) if concept else (None, "unclear: no concept")
    return JudgeVerdict(
        judge=ANNOTATIONS,
        question=Question.PRESENT,
        prompt=PROMPT,
        p=p,
        method=Method.SCORE,
        text=why,
        label_mass=None if p is None else 1.0,
    )


def _found(image_task: ImageTask, concept: str) -> tuple[float | None, str]:
    for caption in image_task.captions:
        if affirms(caption.text, concept):
            return 1.0, f"yes: a caption names it: {display_text(caption.text, limit=120)}"
    category = next(
        (name for name, count in image_task.objects.items() if count and category_matches(name, concept)), None
    )
    if category is not None:
        return 1.0, f"yes: annotated: {image_task.objects[category]} × {display_text(category, limit=60)}"
    key = concept_key(concept)
    if any(concept_key(name) == key for name in image_task.categories):
        return 0.0, f"no: {display_text(key, limit=60)} was looked for, and none is annotated"
    return None, "unclear: nobody looked for it"
