"""The last steps, which both pipelines share: rewrite what is not there, judge the whole, say what came of it. Pure."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from curation_db.enums import ItemStatus, NegationType, Question
from curation_db.language.concepts import derive_concept
from curation_db.language.sanitize import clean, display_text
from workbench.generation.engines.requests import ModelAnswer
from workbench.generation.models import DraftCandidate, EngineRequest, ImageTask, ItemResult, JudgeVerdict
from workbench.generation.pipelines.judging import JudgeResult, JudgeTarget, judge_all
from workbench.generation.pipelines.requests import RequestCache
from workbench.generation.pipelines.rewriting import Rewrite, RewriteTask, rewrite_all
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe

_DETAIL: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedConcept:
    """An item whose concept is not in the picture, or may not be."""

    task: RewriteTask
    negation_type: NegationType
    """Where the rewrite does not tell."""
    verdicts: tuple[JudgeVerdict, ...]
    attempts: int = 1
    extra: Mapping[str, str]


Finished = Generator[tuple[EngineRequest, ...], tuple[ModelAnswer, ...], dict[str, ItemResult]]


def finish(
    image_task: ImageTask, recipe: Recipe, prompts: PromptSet, absent: Sequence[AcceptedConcept], asked: RequestCache
) -> Finished:
    """Rewrites and judges what is `absent`; comes back with an outcome for each item."""
    rewrites = yield from rewrite_all(image_task, recipe, prompts, [one.task for one in absent], asked)
    outcomes = {
        one.task.item: _not_written(one, rewrites[one.task.item]) for one in absent if not rewrites[one.task.item].ok
    }
    written = [one for one in absent if rewrites[one.task.item].ok]
    matters = [_whole(one, rewrites[one.task.item].text) for one in written]
    judgements = yield from judge_all(image_task, recipe, prompts, matters, Question.ACCEPTABLE, asked)
    for one, judgement in zip(written, judgements, strict=True):
        outcomes[one.task.item] = _written(one, rewrites[one.task.item].text, judgement)
    return outcomes


def failed(item: str, why: str, detail: str = "", attempts: int = 1) -> ItemResult:
    """An item that no model answered for; it can be tried again."""
    shown = display_text(detail, limit=_DETAIL)
    return ItemResult(item=item, status=ItemStatus.FAILED, reason=f"failed:{why}", detail=shown, attempts=attempts)


def dropped(item: str, why: str, detail: str = "", attempts: int = 1) -> ItemResult:
    """An item of which nothing comes."""
    shown = display_text(detail, limit=_DETAIL)
    return ItemResult(item=item, status=ItemStatus.DROPPED, reason=why, detail=shown, attempts=attempts)


def _not_written(one: AcceptedConcept, rewrite: Rewrite) -> ItemResult:
    if rewrite.failed:
        return failed(one.task.item, rewrite.failed, rewrite.detail, one.attempts)
    detail = f"{rewrite.check.says}: {rewrite.text}" if rewrite.text else rewrite.check.says
    return dropped(one.task.item, f"lint:{rewrite.check.rule}", detail, one.attempts)


def _whole(one: AcceptedConcept, text: str) -> JudgeTarget:
    shown = clean(text)
    fields = {**one.task.fields, "text": shown, "original": one.task.caption.text}
    return JudgeTarget(one.task.concept, fields, shown)


def _written(one: AcceptedConcept, text: str, judgement: JudgeResult) -> ItemResult:
    """A bad verdict on the whole does not drop it: it is kept beside the others, for the person to see."""
    if judgement.failed:
        return failed(one.task.item, judgement.failed, judgement.detail, one.attempts)
    told = derive_concept(one.task.caption.text, clean(text)).negation_type
    draft = DraftCandidate(
        text=text,
        concept=one.task.concept,
        caption_id=one.task.caption.id,
        negation_type=one.negation_type if told is NegationType.OTHER else told,
        extra={**one.extra, **one.task.cue_target.extra},
    )
    return ItemResult(
        item=one.task.item,
        status=ItemStatus.KEPT,
        attempts=one.attempts,
        draft=draft,
        verdicts=(*one.verdicts, *judgement.verdicts),
    )
