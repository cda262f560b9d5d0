"""Judging what is there already: texts that people edited, sets that came without verdicts. Pure."""

from __future__ import annotations

from collections.abc import Collection

from curation_db.enums import ItemStatus, Question
from workbench.generation.models import ImageTask, ItemResult, Steps
from workbench.generation.pipelines.acceptance import failed
from workbench.generation.pipelines.judging import JudgeResult, JudgeTarget, judge_all
from workbench.generation.pipelines.requests import RequestCache
from workbench.generation.pipelines.vqa_negation import question_fields
from workbench.generation.pipelines.vqa_questions import question_about
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe

ALL_QUESTIONS = frozenset((Question.PRESENT, Question.ACCEPTABLE))


def judge_only(
    image_task: ImageTask,
    recipe: Recipe,
    prompts: PromptSet,
    *,
    item: str,
    text: str,
    concept: str | None,
    question: str | None = None,
    original: str = "",
    asks: Collection[Question] = ALL_QUESTIONS,
) -> Steps:
    """What the recipe's judges say about a candidate: whether its concept is there, whether the whole is true.

    Comes back with one outcome of `item` that has no candidate, only what was said. `question`: what P2 asked.
    Without a concept (and without a question) nothing is asked about presence.
    """
    asked, told = RequestCache(), list[JudgeResult]()
    words = question_fields(question or question_about(concept or ""), concept) if question or concept else {}
    fields = {**words, "text": text, "caption": original, "original": original}
    if Question.PRESENT in asks and words:
        matter = JudgeTarget(concept, words, concept if question is None and concept else words["question"])
        told += yield from judge_all(image_task, recipe, prompts, [matter], Question.PRESENT, asked)
    if Question.ACCEPTABLE in asks:
        matter = JudgeTarget(concept, fields, text)
        told += yield from judge_all(image_task, recipe, prompts, [matter], Question.ACCEPTABLE, asked)
    verdicts = tuple(one for judgement in told for one in judgement.verdicts)
    broken = [judgement for judgement in told if judgement.failed]
    if broken:
        lost = failed(item, broken[0].failed, broken[0].detail)
        return (ItemResult(item=item, status=lost.status, reason=lost.reason, detail=lost.detail, verdicts=verdicts),)
    return (ItemResult(item=item, status=ItemStatus.KEPT, verdicts=verdicts),)
