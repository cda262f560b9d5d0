"""P2, diversity: a question that people answered with no, asked again, merged into a caption as a denial. Pure.

It brings in what P1 cannot: actions, attributes and relations that are not so.
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
from workbench.generation.pipelines.vqa_questions import QuestionParts, question_parts
from workbench.generation.prompts.cue_mix import seed_of
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe
from workbench.workspace.engine_settings import Unclear


@dataclass(frozen=True, slots=True)
class _Denial:
    """A question on its way into a caption."""

    question: QuestionItem
    parts: QuestionParts
    caption: CaptionItem

    @property
    def fields(self) -> dict[str, str]:
        return question_fields(self.question.text, self.parts.concept)


def question_fields(question: str, concept: str | None) -> dict[str, str]:
    """What prompts about a question are filled with."""
    asked = " ".join(question.split())
    forms = concept_words(concept).fields if concept else {"concept": asked, "a_concept": asked, "be": "is", "Be": "Is"}
    return {**forms, "question": asked if asked.endswith("?") else f"{asked}?"}


def vqa_negation(image_task: ImageTask, recipe: Recipe, prompts: PromptSet) -> Steps:
    """P2 on one picture."""
    asked, outcomes, denials = RequestCache(), dict[str, ItemResult](), list[_Denial]()
    for question in image_task.questions:
        if question.item in image_task.wanted:
            told = _taken_apart(image_task, recipe, question)
            if isinstance(told, ItemResult):
                outcomes[question.item] = told
            else:
                denials.append(told)
    matters = [JudgeTarget(one.parts.concept, one.fields, one.fields["question"]) for one in denials]
    judgements = yield from judge_all(image_task, recipe, prompts, matters, Question.PRESENT, asked)
    absent = list[AcceptedConcept]()
    for denial, judgement in zip(denials, judgements, strict=True):
        stopped = _stopped(recipe, denial, judgement)
        if stopped is None:
            absent.append(_absent(recipe, prompts, denial, judgement))
        else:
            outcomes[denial.question.item] = stopped
    outcomes |= yield from finish(image_task, recipe, prompts, absent, asked)
    for item in image_task.wanted - outcomes.keys():
        outcomes[item] = dropped(item, "not-here", "no question about this picture")
    return in_order(image_task.wanted, outcomes)


def _taken_apart(image_task: ImageTask, recipe: Recipe, question: QuestionItem) -> _Denial | ItemResult:
    parts = question_parts(question.text)
    if parts is None:
        return dropped(question.item, "not-yes-no", question.text)
    if not image_task.captions:
        return dropped(question.item, "no-caption", question.text)
    chosen = seed_of(recipe.seed, question.item, "caption") % len(image_task.captions)
    return _Denial(question, parts, image_task.captions[chosen])


def _stopped(recipe: Recipe, denial: _Denial, judgement: JudgeResult) -> ItemResult | None:
    item = denial.question.item
    if judgement.failed:
        return failed(item, judgement.failed, judgement.detail)
    present = is_present(recipe, judgement.verdicts)
    if present or (present is None and recipe.unclear is Unclear.DROP):
        return dropped(item, "present" if present else "unclear", display_text(denial.question.text, limit=200))
    return None


def _absent(recipe: Recipe, prompts: PromptSet, denial: _Denial, judgement: JudgeResult) -> AcceptedConcept:
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
        verdicts=judgement.verdicts,
        extra={"question": denial.fields["question"], "question_id": denial.question.key},
    )
