"""Rewriting: the caption with the denial in it, asked for again until the checks find nothing serious. Pure."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from curation_db.enums import NegationType, Stage
from curation_db.language.sanitize import clean
from workbench.generation.engines.requests import ANOTHER_SEED, ModelAnswer
from workbench.generation.models import CaptionItem, ImageTask, Request
from workbench.generation.pipelines.requests import RequestCache, item_seed, make_ask
from workbench.generation.pipelines.rewrite_checks import EMPTY, FINE, Check, check_rewrite
from workbench.generation.prompts.cue_mix import CueWish, wish_for
from workbench.generation.prompts.loader import PromptSet
from workbench.generation.recipe import Recipe
from workbench.workspace.engine_settings import JudgeRule, Mix

_READ: Final = 4_000
"""Characters of an answer that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteTask:
    """A caption to be rewritten."""

    item: str
    caption: CaptionItem
    concept: str | None
    fields: Mapping[str, str]
    wish: CueWish
    denies_thing: bool = True


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What came of it."""

    text: str = ""
    check: Check = FINE
    failed: str = ""
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether it can become a candidate."""
        return not self.failed and self.check.ok


def wish_of(
    recipe: Recipe, prompts: PromptSet, negation_type: NegationType, concept: str | None, *, item: str
) -> CueWish:
    """What the rewrite of `item` is asked for, as far as the prompt can ask for it; the published one asks nothing."""
    said = prompts.stages["rewrite"]
    cue, position = said.uses("cue"), said.uses("position")
    if recipe.rule is JudgeRule.OFFICIAL or not (cue or position):
        return CueWish(Mix.FREE)
    wish = wish_for(recipe.mix, negation_type, concept, item=item, seed=recipe.seed)
    return CueWish(wish.mix, wish.cue if cue else "", wish.position if position else "")


Rewritten = Generator[tuple[Request, ...], tuple[ModelAnswer, ...], dict[str, Rewrite]]


def rewrite_all(
    unit: ImageTask, recipe: Recipe, prompts: PromptSet, tasks: Sequence[RewriteTask], asked: RequestCache
) -> Rewritten:
    """The rewrite of each of `tasks`, by item: the first that the checks let pass, or the last."""
    found = dict[str, Rewrite]()
    rounds = 1 if recipe.rule is JudgeRule.OFFICIAL else max(1, recipe.rewrites)
    for attempt in range(1, rounds + 1):
        left = [task for task in tasks if task.item not in found or _again(found[task.item])]
        requests = [_request(recipe, prompts, task, attempt) for task in left]
        answers = yield from asked.ask(requests)
        for task, answer in zip(left, answers, strict=True):
            found[task.item] = _read(unit, recipe, task, answer)
    return found


def _again(rewrite: Rewrite) -> bool:
    return rewrite.failed in ANOTHER_SEED if rewrite.failed else not rewrite.check.ok


def _request(recipe: Recipe, prompts: PromptSet, task: RewriteTask, attempt: int) -> Request:
    fields = {**task.fields, "cue": task.wish.cue, "position": task.wish.position}
    seed = item_seed(recipe.seed, task.item, Stage.REWRITE, attempt)
    subject = f"{task.concept or task.fields.get('question', '')}: {task.caption.text}"
    ask = make_ask(prompts, prompts.stages["rewrite"], Stage.REWRITE, fields, seed=seed, subject=subject)
    return Request(recipe.proposer, ask)


def _read(unit: ImageTask, recipe: Recipe, task: RewriteTask, answer: ModelAnswer) -> Rewrite:
    if answer.failed:
        return Rewrite(failed=answer.error, detail=answer.detail)
    if recipe.rule is JudgeRule.OFFICIAL:
        text = answer.text[:_READ].strip().rstrip(".")
        return Rewrite(text, FINE if clean(text).strip() else Check(EMPTY, "no text"))
    text = caption_in(answer.text)
    check = check_rewrite(unit, task.caption, text, task.concept, denies_thing=task.denies_thing)
    return Rewrite(text, check)


_OPENING: Final = re.compile(
    r"(?i)^(?:(?:sure|certainly|of course)[,!.]?\s+)?(?:here(?:['’]s| is) (?:the|your|an?) [a-z ]{0,30}"
    r"|(?:the )?(?:edited|updated|new|rewritten|revised|negated|final)? ?)(?:caption|version|sentence)\s*:\s+(?=\S)"
)
_QUOTES: Final = (('"', '"'), ("“", "”"), ("'", "'"), ("‘", "’"), ("«", "»"))


def caption_in(answer: str) -> str:
    """The caption that a model answered with, without what is harmless around it: an opening on its line, quotes.

    Anything else that it says beside the caption stays, for the checks to find: who explains may have misunderstood.
    """
    text = clean(answer[:_READ]).strip()
    if len(answer) > _READ:
        return text
    bare = _unquoted(_OPENING.sub("", text, count=1).strip())
    return text if "\n" in bare or not bare else bare


def _unquoted(text: str) -> str:
    for left, right in _QUOTES:
        inner = text[len(left) : -len(right)]
        if (
            len(text) > 2
            and text.startswith(left)
            and text.endswith(right)
            and left not in inner
            and right not in inner
        ):
            return inner.strip()
    return text
