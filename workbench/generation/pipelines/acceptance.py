"""The last steps of both pipelines: rewrite with an absent concept, judge the whole caption, build results. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from curation_db.enums import ItemStatus, NegationType, Question
from curation_db.language.concepts import derive_concept
from curation_db.language.sanitize import clean, display_text
from workbench.generation.models import DraftCandidate, ImageTask, ItemResult, JudgeVerdict, SubSteps
from workbench.generation.pipelines.judging import JudgeResult, JudgeTarget, judge_all
from workbench.generation.pipelines.requests import RequestCache
from workbench.generation.pipelines.rewriting import Rewrite, RewriteTask, rewrite_all
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe

_DETAIL: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedConcept:
    """An item whose concept is absent from the image, or unclear."""

    task: RewriteTask
    negation_type: NegationType
    """Fallback where the type of the rewrite is not recognised."""
    verdicts: tuple[JudgeVerdict, ...]
    attempts: int = 1
    extra: Mapping[str, str]


def finish(
    image_task: ImageTask,
    recipe: Recipe,
    prompts: PromptSet,
    accepted_concepts: Sequence[AcceptedConcept],
    cache: RequestCache,
) -> SubSteps[dict[str, ItemResult]]:
    """Rewrite and judge the accepted concepts; return one result per item."""
    rewrites = yield from rewrite_all(
        image_task, recipe, prompts, [accepted.task for accepted in accepted_concepts], cache
    )
    results_by_item = {
        accepted.task.item: _failed_rewrite(accepted, rewrites[accepted.task.item])
        for accepted in accepted_concepts
        if not rewrites[accepted.task.item].ok
    }
    written = [accepted for accepted in accepted_concepts if rewrites[accepted.task.item].ok]
    targets = [_caption_target(accepted, rewrites[accepted.task.item].text) for accepted in written]
    results = yield from judge_all(image_task, recipe, prompts, targets, Question.ACCEPTABLE, cache)
    for accepted, result in zip(written, results, strict=True):
        results_by_item[accepted.task.item] = _candidate_result(accepted, rewrites[accepted.task.item].text, result)
    return results_by_item


def failed(item: str, reason: str, detail: str = "", attempts: int = 1) -> ItemResult:
    """Return the result of an item without an answer; `--retry` processes it again."""
    shown = display_text(detail, limit=_DETAIL)
    return ItemResult(item=item, status=ItemStatus.FAILED, reason=f"failed:{reason}", detail=shown, attempts=attempts)


def dropped(item: str, reason: str, detail: str = "", attempts: int = 1) -> ItemResult:
    """Return the result of an item without a candidate."""
    shown = display_text(detail, limit=_DETAIL)
    return ItemResult(item=item, status=ItemStatus.DROPPED, reason=reason, detail=shown, attempts=attempts)


def _failed_rewrite(accepted: AcceptedConcept, rewrite: Rewrite) -> ItemResult:
    if rewrite.failed:
        return failed(accepted.task.item, rewrite.failed, rewrite.detail, accepted.attempts)
    detail = f"{rewrite.check.message}: {rewrite.text}" if rewrite.text else rewrite.check.message
    return dropped(accepted.task.item, f"lint:{rewrite.check.rule}", detail, accepted.attempts)


def _caption_target(accepted: AcceptedConcept, text: str) -> JudgeTarget:
    shown = clean(text)
    fields = {**accepted.task.fields, "text": shown, "original": accepted.task.caption.text}
    return JudgeTarget(accepted.task.concept, fields, shown)


def _candidate_result(accepted: AcceptedConcept, text: str, result: JudgeResult) -> ItemResult:
    """Build the result of a rewrite. A bad verdict on the whole caption does not drop it: annotators see it."""
    if result.failed:
        return failed(accepted.task.item, result.failed, result.detail, accepted.attempts)
    result_type = derive_concept(accepted.task.caption.text, clean(text)).negation_type
    draft = DraftCandidate(
        text=text,
        concept=accepted.task.concept,
        caption_id=accepted.task.caption.id,
        negation_type=accepted.negation_type if result_type is NegationType.OTHER else result_type,
        extra={**accepted.extra, **accepted.task.cue_target.extra},
    )
    return ItemResult(
        item=accepted.task.item,
        status=ItemStatus.KEPT,
        attempts=accepted.attempts,
        draft=draft,
        verdicts=(*accepted.verdicts, *result.verdicts),
    )
