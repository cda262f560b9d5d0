"""Pipeline P2, VQA negation: a question that people answered with no is verified and merged into a caption. Pure.

It adds what P1 cannot: negated actions, attributes and relations.
"""

from __future__ import annotations

from dataclasses import dataclass

from curation_db.enums import NegationType, Question
from curation_db.language.sanitize import display_text
from workbench.generation.models import CaptionItem, ImageTask, ItemResult, QuestionItem, Steps
from workbench.generation.pipelines.acceptance import AcceptedConcept, dropped, failed, finish
from workbench.generation.pipelines.aggregation import is_present
from workbench.generation.pipelines.judging import JudgeResult, JudgeTarget, judge_all
from workbench.generation.pipelines.proposals import concept_words
from workbench.generation.pipelines.requests import RequestCache, in_order
from workbench.generation.pipelines.rewriting import RewriteTask, cue_target_of
from workbench.generation.pipelines.vqa_questions import QuestionFault, QuestionParts, question_fault, question_parts
from workbench.generation.prompts.cue_mix import seed_of
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import Unclear


@dataclass(frozen=True, slots=True)
class _Denial:
    """A VQA question and the caption that it is merged into."""

    question: QuestionItem
    parts: QuestionParts
    caption: CaptionItem

    @property
    def fields(self) -> dict[str, str]:
        return question_fields(self.question.text, self.parts.concept)


def question_fields(question: str, concept: str | None) -> dict[str, str]:
    """Return the prompt fields of a question."""
    text = " ".join(question.split())
    forms = concept_words(concept).fields if concept else {"concept": text, "a_concept": text, "be": "is", "Be": "Is"}
    return {**forms, "question": text if text.endswith("?") else f"{text}?"}


def vqa_negation(image_task: ImageTask, recipe: Recipe, prompts: PromptSet) -> Steps:
    """Run P2 on one image."""
    cache, results_by_item, denials = RequestCache(recipe.rule), dict[str, ItemResult](), list[_Denial]()
    for question in image_task.questions:
        if question.item in image_task.wanted:
            parsed = _denial_of(image_task, recipe, question)
            if isinstance(parsed, ItemResult):
                results_by_item[question.item] = parsed
            else:
                denials.append(parsed)
    targets = [JudgeTarget(denial.parts.concept, denial.fields, denial.fields["question"]) for denial in denials]
    results = yield from judge_all(image_task, recipe, prompts, targets, Question.PRESENT, cache)
    absent = list[AcceptedConcept]()
    for denial, result in zip(denials, results, strict=True):
        rejection = _rejection(recipe, denial, result)
        if rejection is None:
            absent.append(_absent(recipe, prompts, denial, result))
        else:
            results_by_item[denial.question.item] = rejection
    results_by_item |= yield from finish(image_task, recipe, prompts, absent, cache)
    for item in image_task.wanted - results_by_item.keys():
        results_by_item[item] = dropped(item, "not-here", "no question about this image")
    return in_order(image_task.wanted, results_by_item)


def _denial_of(image_task: ImageTask, recipe: Recipe, question: QuestionItem) -> _Denial | ItemResult:
    fault = question_fault(question.text)
    parts = question_parts(question.text)
    if fault is not None or parts is None:
        return dropped(question.item, fault or QuestionFault.NOT_YES_NO, question.text)
    if not image_task.captions:
        return dropped(question.item, "no-caption", question.text)
    chosen = seed_of(recipe.seed, question.item, "caption") % len(image_task.captions)
    return _Denial(question, parts, image_task.captions[chosen])


def _rejection(recipe: Recipe, denial: _Denial, result: JudgeResult) -> ItemResult | None:
    item = denial.question.item
    if result.failed:
        return failed(item, result.failed, result.detail)
    present = is_present(recipe, result.verdicts)
    if present or (present is None and recipe.unclear is Unclear.DROP):
        return dropped(item, "present" if present else "unclear", display_text(denial.question.text, limit=200))
    return None


def _absent(recipe: Recipe, prompts: PromptSet, denial: _Denial, result: JudgeResult) -> AcceptedConcept:
    item, parts = denial.question.item, denial.parts
    task = RewriteTask(
        item=item,
        caption=denial.caption,
        concept=parts.concept,
        fields={**denial.fields, "caption": denial.caption.text, "original": denial.caption.text},
        cue_target=cue_target_of(recipe, prompts, parts.negation_type, parts.concept, item=item),
        denies_thing=parts.negation_type is NegationType.ABSENCE,
    )
    return AcceptedConcept(
        task=task,
        negation_type=parts.negation_type,
        verdicts=result.verdicts,
        extra={"question": denial.fields["question"], "question_id": denial.question.key},
    )
