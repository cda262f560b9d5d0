"""P1, object absence: a concept that the caption does not name, found absent in the picture, denied. Pure.

Propose for all captions of the picture, judge all concepts, propose again where the concept is there, rewrite, check,
judge the whole. Under `JudgeRule.OFFICIAL` as published: one proposal, taken as it was said, and no check.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from curation_db.enums import NegationType, Question, Stage
from curation_db.language.nouns import concept_key
from curation_db.language.object_mentions import affirms
from curation_db.language.sanitize import clean
from workbench.generation.engines.requests import RETRY_WITH_OTHER_SEED, ModelAnswer
from workbench.generation.models import CaptionItem, EngineRequest, ImageTask, ItemResult, Steps
from workbench.generation.pipelines.acceptance import AcceptedConcept, dropped, failed, finish
from workbench.generation.pipelines.aggregation import is_present
from workbench.generation.pipelines.judging import JudgeResult, JudgeTarget, judge_all
from workbench.generation.pipelines.proposals import ConceptWords, NoConcept, parse_concept
from workbench.generation.pipelines.requests import RequestCache, build_request, in_order, item_seed
from workbench.generation.pipelines.rewriting import RewriteTask, cue_target_of
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe
from workbench.workspace.engine_settings import JudgeRule, Unclear

_RAW_CONCEPT: Final = 200
"""Characters of a concept that is taken as it was said."""


@dataclass(slots=True)
class _Search:
    """Where the search for an absent concept of one caption stands."""

    caption: CaptionItem
    tried: list[str] = field(default_factory=list)
    """Concepts that will not do, most of them in the picture."""
    present: list[str] = field(default_factory=list)
    """Those that a judge saw."""
    attempts: int = 0
    concept: ConceptWords | None = None
    """Proposed now."""
    last: ItemResult | None = None
    """What becomes of the item if no other attempt does better."""
    found: JudgeResult | None = None
    """What was said about a concept that will do."""
    over: bool = False

    @property
    def item(self) -> str:
        return self.caption.item


def object_absence(image_task: ImageTask, recipe: Recipe, prompts: PromptSet) -> Steps:
    """P1 on one picture."""
    asked = RequestCache()
    searches = [_Search(caption) for caption in image_task.captions if caption.item in image_task.wanted]
    attempts = 1 if recipe.rule is JudgeRule.OFFICIAL else max(1, recipe.attempts)
    for attempt in range(1, attempts + 1):
        open_ones = [search for search in searches if not search.over]
        found = [concept for search in searches for concept in search.present]
        yield from _propose(recipe, prompts, open_ones, attempt, found, asked)
        yield from _look(image_task, recipe, prompts, [one for one in open_ones if one.concept is not None], asked)
    absent = [_absent(recipe, prompts, search) for search in searches if search.found is not None]
    outcomes = yield from finish(image_task, recipe, prompts, absent, asked)
    for search in searches:
        if search.found is None and search.last is not None:
            outcomes[search.item] = replace(search.last, attempts=search.attempts)
    for item in image_task.wanted - outcomes.keys():
        outcomes[item] = dropped(item, "not-here", "no caption of this picture")
    return in_order(image_task.wanted, outcomes)


_Part = Generator[tuple[EngineRequest, ...], tuple[ModelAnswer, ...], None]


def _propose(
    recipe: Recipe,
    prompts: PromptSet,
    searches: Sequence[_Search],
    attempt: int,
    found: Sequence[str],
    asked: RequestCache,
) -> _Part:
    requests = [_proposal(recipe, prompts, search, attempt, found) for search in searches]
    answers = yield from asked.resolve(requests)
    for search, answer in zip(searches, answers, strict=True):
        search.attempts, search.concept = attempt, None
        if answer.failed:
            search.last = failed(search.item, answer.error, answer.detail)
            search.over = answer.error not in RETRY_WITH_OTHER_SEED
        elif recipe.rule is JudgeRule.OFFICIAL:
            text = clean(answer.text[:_RAW_CONCEPT]).strip().rstrip(".")
            search.concept = ConceptWords(text, plural=False)
        else:
            _take(search, answer.text)


def _proposal(recipe: Recipe, prompts: PromptSet, search: _Search, attempt: int, found: Sequence[str]) -> EngineRequest:
    """Tells what was found in the picture, for whichever caption, where the prompts have words for it."""
    caption = search.caption
    told = list(dict.fromkeys([*search.tried, *found]))
    fields = {"caption": caption.text, "found": ", ".join(told), "original": caption.text}
    kind = "propose-random" if recipe.random_concept else "propose-again" if told else "propose"
    prompt = prompts.stage(kind, "propose")
    assert prompt is not None
    seed = item_seed(recipe.seed, caption.item, Stage.PROPOSE, attempt)
    if recipe.random_concept:
        fields["random"] = "yes"
    return EngineRequest(
        recipe.proposer, build_request(prompts, prompt, Stage.PROPOSE, fields, seed=seed, subject=caption.text)
    )


def _take(search: _Search, answer: str) -> None:
    """The concept that `answer` names, if it will do without looking at the picture."""
    told = parse_concept(answer)
    if isinstance(told, NoConcept):
        _no_concept(search, f"{told}: {answer[:400]}")
    elif concept_key(told.text) in map(concept_key, search.tried):
        _no_concept(search, f"again: {told.text}")
    elif affirms(search.caption.text, told.text):
        search.tried.append(told.text)
        search.last = dropped(search.item, "in-caption", told.text)
    else:
        search.concept = told


def _no_concept(search: _Search, detail: str) -> None:
    """Says least about an item: what became of an earlier concept is kept."""
    if search.last is None or search.last.reason == "no-concept":
        search.last = dropped(search.item, "no-concept", detail)


def _look(
    image_task: ImageTask, recipe: Recipe, prompts: PromptSet, searches: Sequence[_Search], asked: RequestCache
) -> _Part:
    """Judge the concepts that are proposed now, each once however many captions it was proposed for."""
    matters = {one.item: _matter(one.concept) for one in searches if one.concept is not None}
    distinct = list({matter.subject: matter for matter in matters.values()}.values())
    judgements = yield from judge_all(image_task, recipe, prompts, distinct, Question.PRESENT, asked)
    by_subject = {matter.subject: told for matter, told in zip(distinct, judgements, strict=True)}
    for search in searches:
        _decide(recipe, search, by_subject[matters[search.item].subject])


def _matter(concept: ConceptWords) -> JudgeTarget:
    if not concept.text:
        return JudgeTarget(None, {"concept": "", "a_concept": "", "be": "is", "Be": "Is"}, "")
    return JudgeTarget(concept.text, concept.fields, concept.text)


def _decide(recipe: Recipe, search: _Search, judgement: JudgeResult) -> None:
    assert search.concept is not None
    concept = search.concept.text
    if judgement.failed:
        search.last = failed(search.item, judgement.failed, judgement.detail)
        search.over = True
        return
    present = is_present(recipe, judgement.verdicts)
    if present or (present is None and recipe.unclear is Unclear.DROP):
        search.tried.append(concept)
        search.present += [concept] if present else []
        search.last = dropped(search.item, "present" if present else "unclear", concept)
        return
    search.found, search.over = judgement, True


def _absent(recipe: Recipe, prompts: PromptSet, search: _Search) -> AcceptedConcept:
    assert search.concept is not None and search.found is not None  # noqa: PT018
    concept = search.concept
    fields = {"caption": search.caption.text, "original": search.caption.text, **_matter(concept).fields}
    cue_target = cue_target_of(recipe, prompts, NegationType.ABSENCE, concept.text, item=search.item)
    task = RewriteTask(
        item=search.item, caption=search.caption, concept=concept.text or None, fields=fields, cue_target=cue_target
    )
    return AcceptedConcept(
        task=task,
        negation_type=NegationType.ABSENCE,
        verdicts=search.found.verdicts,
        attempts=search.attempts,
        extra={},
    )
