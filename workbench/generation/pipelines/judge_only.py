"""Verdicts for existing candidates: edited texts, and imported ones without verdicts. Pure."""

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
    questions: Collection[Question] = ALL_QUESTIONS,
) -> Steps:
    """Ask the recipe's judges whether a candidate's concept is present and whether its text is acceptable.

    Returns one result for `item` with verdicts and without a candidate. Without `concept` and `question` the judges are
    not asked about presence.

    Args:
        item: Item key candidate/ID.
        question: VQA question of a P2 candidate.
        original: Caption that the candidate was made from.
        questions: What the judges are asked.
    """
    cache, results = RequestCache(recipe.rule), list[JudgeResult]()
    presence_fields = question_fields(question or question_about(concept or ""), concept) if question or concept else {}
    fields = {**presence_fields, "text": text, "caption": original, "original": original}
    if Question.PRESENT in questions and presence_fields:
        target = JudgeTarget(
            concept, presence_fields, concept if question is None and concept else presence_fields["question"]
        )
        results += yield from judge_all(image_task, recipe, prompts, [target], Question.PRESENT, cache)
    if Question.ACCEPTABLE in questions:
        target = JudgeTarget(concept, fields, text)
        results += yield from judge_all(image_task, recipe, prompts, [target], Question.ACCEPTABLE, cache)
    verdicts = tuple(one for result in results for one in result.verdicts)
    failures = [result for result in results if result.failed]
    if failures:
        failure = failed(item, failures[0].failed, failures[0].detail)
        return (
            ItemResult(
                item=item, status=failure.status, reason=failure.reason, detail=failure.detail, verdicts=verdicts
            ),
        )
    return (ItemResult(item=item, status=ItemStatus.KEPT, verdicts=verdicts),)
