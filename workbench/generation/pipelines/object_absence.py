"""Pipeline P1, object absence: negate a concept that the caption does not name and that is absent from the image. Pure.

Propose concepts for all captions of the image, judge all concepts, propose again where a concept is present, rewrite,
check, judge the whole caption. `JudgeRule.OFFICIAL` follows the publication: one proposal, verbatim, without checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from curation_db.enums import NegationType, Question, Stage
from curation_db.language.nouns import concept_key
from curation_db.language.object_mentions import affirms
from curation_db.language.sanitize import clean
from workbench.generation.engines.requests import RETRY_WITH_OTHER_SEED
from workbench.generation.models import CaptionItem, EngineRequest, ImageTask, ItemResult, Steps, SubSteps
from workbench.generation.pipelines.acceptance import AcceptedConcept, dropped, failed, finish
from workbench.generation.pipelines.aggregation import is_present
from workbench.generation.pipelines.judging import JudgeResult, JudgeTarget, judge_all
from workbench.generation.pipelines.proposals import ConceptWords, NoConcept, parse_concept
from workbench.generation.pipelines.requests import RequestCache, build_request, in_order, item_seed
from workbench.generation.pipelines.rewriting import RewriteTask, cue_target_of
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import JudgeRule, Unclear

_RAW_CONCEPT: Final = 200
"""Most characters of a verbatim concept."""


@dataclass(slots=True)
class _Search:
    """State of the search for an absent concept of one caption."""

    caption: CaptionItem
    tried: list[str] = field(default_factory=list)
    """Rejected concepts, most of them present in the image."""
    present: list[str] = field(default_factory=list)
    """Rejected concepts that the judges found present."""
    attempts: int = 0
    concept: ConceptWords | None = None
    """Current proposal."""
    last: ItemResult | None = None
    """Result of the item unless a later attempt succeeds."""
    accepted: JudgeResult | None = None
    """Verdicts on the accepted concept."""
    over: bool = False

    @property
    def item(self) -> str:
        return self.caption.item


def object_absence(image_task: ImageTask, recipe: Recipe, prompts: PromptSet) -> Steps:
    """Run P1 on one image."""
    cache = RequestCache(recipe.rule)
    searches = [_Search(caption) for caption in image_task.captions if caption.item in image_task.wanted]
    attempts = 1 if recipe.rule is JudgeRule.OFFICIAL else max(1, recipe.attempts)
    for attempt in range(1, attempts + 1):
        open_searches = [search for search in searches if not search.over]
        present = [concept for search in searches for concept in search.present]
        yield from _propose(recipe, prompts, open_searches, attempt, present, cache)
        yield from _judge_proposals(
            image_task, recipe, prompts, [search for search in open_searches if search.concept is not None], cache
        )
    accepted = [_accepted_concept(recipe, prompts, search) for search in searches if search.accepted is not None]
    outcomes = yield from finish(image_task, recipe, prompts, accepted, cache)
    for search in searches:
        if search.accepted is None and search.last is not None:
            outcomes[search.item] = replace(search.last, attempts=search.attempts)
    for item in image_task.wanted - outcomes.keys():
        outcomes[item] = dropped(item, "not-here", "no caption of this image")
    return in_order(image_task.wanted, outcomes)


def _propose(
    recipe: Recipe,
    prompts: PromptSet,
    searches: Sequence[_Search],
    attempt: int,
    present: Sequence[str],
    cache: RequestCache,
) -> SubSteps[None]:
    requests = [_proposal(recipe, prompts, search, attempt, present) for search in searches]
    answers = yield from cache.resolve(requests)
    for search, answer in zip(searches, answers, strict=True):
        search.attempts, search.concept = attempt, None
        if answer.failed:
            search.last = failed(search.item, answer.error, answer.detail)
            search.over = answer.error not in RETRY_WITH_OTHER_SEED
        elif recipe.rule is JudgeRule.OFFICIAL:
            text = clean(answer.text[:_RAW_CONCEPT]).strip().rstrip(".")
            search.concept = ConceptWords(text, plural=False)
        else:
            _take_answer(search, answer.text)


def _proposal(
    recipe: Recipe, prompts: PromptSet, search: _Search, attempt: int, present: Sequence[str]
) -> EngineRequest:
    """Build the request for a proposal; it lists the concepts found present in the image, for any of its captions."""
    caption = search.caption
    excluded = list(dict.fromkeys([*search.tried, *present]))
    fields = {"caption": caption.text, "found": ", ".join(excluded), "original": caption.text}
    kind = "propose-random" if recipe.random_concept else "propose-again" if excluded else "propose"
    prompt = prompts.stage(kind, "propose")
    assert prompt is not None
    seed = item_seed(recipe.seed, caption.item, Stage.PROPOSE, attempt)
    if recipe.random_concept:
        fields["random"] = "yes"
    return EngineRequest(
        recipe.proposer, build_request(prompts, prompt, Stage.PROPOSE, fields, seed=seed, subject=caption.text)
    )


def _take_answer(search: _Search, answer: str) -> None:
    """Take the concept that `answer` names, unless the text alone rules it out."""
    proposal = parse_concept(answer)
    if isinstance(proposal, NoConcept):
        _no_concept(search, f"{proposal}: {answer[:400]}")
    elif concept_key(proposal.text) in map(concept_key, search.tried):
        _no_concept(search, f"proposed before: {proposal.text}")
    elif affirms(search.caption.text, proposal.text):
        search.tried.append(proposal.text)
        search.last = dropped(search.item, "in-caption", proposal.text)
    else:
        search.concept = proposal


def _no_concept(search: _Search, detail: str) -> None:
    """Record that an answer names no concept, unless an earlier concept gave a more informative result."""
    if search.last is None or search.last.reason == "no-concept":
        search.last = dropped(search.item, "no-concept", detail)


def _judge_proposals(
    image_task: ImageTask, recipe: Recipe, prompts: PromptSet, searches: Sequence[_Search], cache: RequestCache
) -> SubSteps[None]:
    """Judge the current proposals, each distinct concept once."""
    targets = {search.item: _judge_target(search.concept) for search in searches if search.concept is not None}
    distinct = list({target.subject: target for target in targets.values()}.values())
    results = yield from judge_all(image_task, recipe, prompts, distinct, Question.PRESENT, cache)
    by_subject = {target.subject: result for target, result in zip(distinct, results, strict=True)}
    for search in searches:
        _decide(recipe, search, by_subject[targets[search.item].subject])


def _judge_target(concept: ConceptWords) -> JudgeTarget:
    if not concept.text:
        return JudgeTarget(None, {"concept": "", "a_concept": "", "be": "is", "Be": "Is"}, "")
    return JudgeTarget(concept.text, concept.fields, concept.text)


def _decide(recipe: Recipe, search: _Search, result: JudgeResult) -> None:
    assert search.concept is not None
    concept = search.concept.text
    if result.failed:
        search.last = failed(search.item, result.failed, result.detail)
        search.over = True
        return
    present = is_present(recipe, result.verdicts)
    if present or (present is None and recipe.unclear is Unclear.DROP):
        search.tried.append(concept)
        search.present += [concept] if present else []
        search.last = dropped(search.item, "present" if present else "unclear", concept)
        return
    search.accepted, search.over = result, True


def _accepted_concept(recipe: Recipe, prompts: PromptSet, search: _Search) -> AcceptedConcept:
    assert search.concept is not None and search.accepted is not None  # noqa: PT018
    concept = search.concept
    fields = {"caption": search.caption.text, "original": search.caption.text, **_judge_target(concept).fields}
    cue_target = cue_target_of(recipe, prompts, NegationType.ABSENCE, concept.text, item=search.item)
    task = RewriteTask(
        item=search.item, caption=search.caption, concept=concept.text or None, fields=fields, cue_target=cue_target
    )
    return AcceptedConcept(
        task=task,
        negation_type=NegationType.ABSENCE,
        verdicts=search.accepted.verdicts,
        attempts=search.attempts,
        extra={},
    )
