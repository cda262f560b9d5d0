"""Rewriting: a caption with a negation, requested again until it passes the checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curation_db.enums import NegationType, Stage
from curation_db.language.sanitize import clean
from workbench.generation.engines.requests import RETRY_WITH_OTHER_SEED, ModelAnswer
from workbench.generation.models import CaptionItem, EngineRequest, ImageTask, SubSteps
from workbench.generation.pipelines.caption_extraction import READ, extract_caption
from workbench.generation.pipelines.requests import RequestCache, build_request, item_seed
from workbench.generation.pipelines.rewrite_checks import EMPTY, FINE, Check, check_rewrite
from workbench.generation.prompts.cue_mix import CueTarget, choose_cue_target
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import JudgeRule, Mix


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteTask:
    """A caption to rewrite."""

    item: str
    caption: CaptionItem
    concept: str | None
    fields: Mapping[str, str]
    cue_target: CueTarget
    denies_thing: bool = True


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Result of a rewrite task."""

    text: str = ""
    check: Check = FINE
    failed: str = ""
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the text can become a candidate."""
        return not self.failed and self.check.ok


def cue_target_of(
    recipe: Recipe, prompts: PromptSet, negation_type: NegationType, concept: str | None, *, item: str
) -> CueTarget:
    """Choose cue and position for the rewrite of `item`, if the prompt uses them; the published prompt does not."""
    prompt = prompts.stages["rewrite"]
    cue, position = prompt.uses("cue"), prompt.uses("position")
    if recipe.rule is JudgeRule.OFFICIAL or not (cue or position):
        return CueTarget(Mix.FREE)
    cue_target = choose_cue_target(recipe.mix, negation_type, concept, item=item, seed=recipe.seed)
    return CueTarget(cue_target.mix, cue_target.cue if cue else "", cue_target.position if position else "")


def rewrite_all(
    image_task: ImageTask, recipe: Recipe, prompts: PromptSet, tasks: Sequence[RewriteTask], cache: RequestCache
) -> SubSteps[dict[str, Rewrite]]:
    """Return the rewrite of each task by item: the first that passes the checks, or the last one."""
    rewrites = dict[str, Rewrite]()
    rounds = 1 if recipe.rule is JudgeRule.OFFICIAL else max(1, recipe.rewrites)
    for attempt in range(1, rounds + 1):
        pending = [task for task in tasks if task.item not in rewrites or _needs_retry(rewrites[task.item])]
        requests = [_request(recipe, prompts, task, attempt) for task in pending]
        answers = yield from cache.resolve(requests)
        for task, answer in zip(pending, answers, strict=True):
            rewrites[task.item] = _read(image_task, recipe, task, answer)
    return rewrites


def _needs_retry(rewrite: Rewrite) -> bool:
    return rewrite.failed in RETRY_WITH_OTHER_SEED if rewrite.failed else not rewrite.check.ok


def _request(recipe: Recipe, prompts: PromptSet, task: RewriteTask, attempt: int) -> EngineRequest:
    fields = {**task.fields, "cue": task.cue_target.cue, "position": task.cue_target.position}
    seed = item_seed(recipe.seed, task.item, Stage.REWRITE, attempt)
    subject = f"{task.concept or task.fields.get('question', '')}: {task.caption.text}"
    request = build_request(prompts, prompts.stages["rewrite"], Stage.REWRITE, fields, seed=seed, subject=subject)
    return EngineRequest(recipe.proposer, request)


def _read(image_task: ImageTask, recipe: Recipe, task: RewriteTask, answer: ModelAnswer) -> Rewrite:
    if answer.failed:
        return Rewrite(failed=answer.error, detail=answer.detail)
    if recipe.rule is JudgeRule.OFFICIAL:
        text = answer.text[:READ].strip().rstrip(".")
        return Rewrite(text, FINE if clean(text).strip() else Check(EMPTY, "no text"))
    text = extract_caption(answer.text, task.caption.text)
    check = check_rewrite(
        image_task, task.caption, text, task.concept, denies_thing=task.denies_thing, edits=recipe.edits
    )
    return Rewrite(text, check)
