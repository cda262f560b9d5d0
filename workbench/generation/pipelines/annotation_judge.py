"""The judge "annotations": captions and annotated objects decide whether a concept is present; needs no model. Pure."""

from __future__ import annotations

from typing import Final

from curation_db.enums import Method, Question
from curation_db.language.nouns import concept_key
from curation_db.language.object_mentions import affirms, category_matches
from curation_db.language.sanitize import display_text
from workbench.generation.models import ImageTask, JudgeVerdict
from workbench.workspace.settings.engines import ANNOTATIONS

PROMPT: Final = "annotations-1"
"""In place of a prompt version; raise the number when the rules change."""


def judge_by_annotations(image_task: ImageTask, concept: str | None) -> JudgeVerdict:
    """Judge whether `concept` is present: a caption affirms it, or an object of its category is annotated.

    It is absent only if its category is among those that the annotators labelled; otherwise it is unclear.
    """
    p, reason = _presence(image_task, concept) if concept else (None, "unclear: no concept")
    return JudgeVerdict(
        judge=ANNOTATIONS,
        question=Question.PRESENT,
        prompt=PROMPT,
        p=p,
        method=Method.SCORE,
        text=reason,
        label_mass=None if p is None else 1.0,
    )


def _presence(image_task: ImageTask, concept: str) -> tuple[float | None, str]:
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
        return 0.0, f"no: the category {display_text(key, limit=60)} is annotated in this source, but not in this image"
    return None, "unclear: not annotated"
