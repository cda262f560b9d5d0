"""Judge of a judged benchmark: engines of the workspace answer questions about images of any folder.

The questions go through the machinery of `negwb generate`, restricted to judges: every answer is in the answer cache
as soon as it arrives, so that a stopped run continues and a second model only asks what is new. The images need not be
in the record; their content identifies them.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import fmean
from types import MappingProxyType
from typing import Any, Final

from benchmarks.judged import ImageAnswer, ImageQuestion, ReportAnswers
from benchmarks.schema import JudgeFacts
from curation_db.enums import Question, Stage
from curation_db.language.sanitize import counted
from curation_db.storage.store import Store, open_store
from workbench.errors import UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.requests import ImagePayload, Message, Sampling
from workbench.generation.models import ImageTask, Steps
from workbench.generation.pipelines.aggregation import effective_probability, is_present
from workbench.generation.pipelines.judging import JudgeResult, JudgeTarget, judge_all
from workbench.generation.pipelines.requests import RequestCache
from workbench.generation.pipelines.vqa_negation import question_fields
from workbench.generation.pipelines.vqa_questions import question_parts
from workbench.generation.prompts.loader import PromptSet, StagePrompt
from workbench.generation.recipe import Recipe
from workbench.generation.runs.plan import GenerationPlan, make_plan
from workbench.generation.runs.record_writer import RecordWriter
from workbench.generation.runs.session import (
    GenerationOptions,
    GenerationResult,
    GenerationTask,
    ItemsFailed,
    generate,
)
from workbench.workspace.layout import Workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.engines import ANNOTATIONS, EngineSettings, JudgeSettings, Pipeline
from workbench.workspace.settings.generation import inline_engine, parse_judge
from workbench.workspace.settings.settings import read_settings

_PROMPT: Final = "{question}\nAnswer the question with a yes or no."
"""As published with SimpleNeg."""
_KEY: Final = "sha256/"
"""Before the hash in the key of an image that is not in the record."""


def _prompts() -> PromptSet:
    name = "image-question"
    return PromptSet(
        name=name,
        version=f"{name}@{hashlib.sha256(_PROMPT.encode()).hexdigest()[:12]}",
        content=_PROMPT,
        about="a question about an image, answered with yes or no",
        source="the published code of SimpleNeg (arXiv 2603.20554)",
        pipeline=Pipeline.P1,
        stages=MappingProxyType(
            {
                str(Stage.PRESENCE): StagePrompt(
                    messages=(Message("user", _PROMPT),), sampling=Sampling(max_tokens=10), picture=True
                )
            }
        ),
    )


def judge_plan(workspace: Workspace, judges: Sequence[str], *, allow_blind: bool = False) -> GenerationPlan:
    """Return the plan of the judges, which answer every question.

    Args:
        judges: Engines, as for `negwb generate judge`; empty: those of negwb.toml, without "annotations" and without
            CLIP where it does not judge presence.

    Raises:
        UsageError: No judge is named, or a name is unknown.
    """
    settings = read_settings(workspace.settings).generate
    named = judges or [name for name in settings.judges if _judges_presence(name, settings.engines)]
    plan = make_plan(
        replace(settings, judges=()), judges=named, only_judges=True, allow_blind=allow_blind, folder=workspace.root
    )
    if any(judge.name == ANNOTATIONS for judge in plan.judges):
        raise UsageError("the judge annotations cannot answer questions about images", hint="name an engine")
    both = tuple(JudgeSettings(name=judge.name, questions=frozenset({Question.PRESENT})) for judge in plan.judges)
    return replace(plan, prompts=_prompts(), judges=both)


def _judges_presence(judge: str, engines: Mapping[str, EngineSettings]) -> bool:
    """Return whether a judge of negwb.toml answers questions about images."""
    name, questions = parse_judge(judge)
    engine = engines.get(name) or inline_engine(name)
    is_clip = engine is not None and engine.kind == "clip"
    return name != ANNOTATIONS and (not is_clip or questions == {Question.PRESENT})


@contextmanager
def open_judge(
    workspace: Workspace,
    judges: Sequence[str],
    *,
    allow_blind: bool = False,
    budget: Budget | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> Iterator[BenchmarkJudge]:
    """Open the record for the answers and yield the judge.

    Args:
        budget: Caps on the requests of all models together.
        notify: Called with a line of the engines, each once.
    """
    plan = judge_plan(workspace, judges, allow_blind=allow_blind)
    with open_store(workspace.database) as store:
        yield BenchmarkJudge(workspace, store, plan, budget or Budget(), notify)


@dataclass
class BenchmarkJudge:
    """The judge of `benchmarks.judged.ImageJudge`."""

    workspace: Workspace
    store: Store
    plan: GenerationPlan
    budget: Budget
    notify: Callable[[str], None]
    _facts: JudgeFacts | None = None
    _notified: set[str] = field(default_factory=set)

    @property
    def facts(self) -> JudgeFacts:
        """The judge's identity; known after the first `ask`, because the engines name their models."""
        if self._facts is None:
            raise RuntimeError("the judge was not asked yet")
        return self._facts

    def ask(self, questions: Sequence[ImageQuestion], progress: ReportAnswers) -> list[ImageAnswer]:
        """Return the answers in the order of `questions`.

        Raises:
            NegwbError: The run was stopped, or a question has no answer; the answers so far are in the record.
        """
        asked = _AskedQuestions(questions, self.plan.prompts, progress)
        options = GenerationOptions(budget=self.budget)

        async def task(_writer: RecordWriter, recipe: Recipe) -> GenerationTask:
            asked.recipe = recipe
            return GenerationTask(asked.image_tasks(), asked.steps, None)

        # fmt: off
        ended = generate(
            self.workspace, self.store, self.plan, options, PictureFolders(self.workspace.root, {}),
            notify=self._notify_once, task=task,
        )
        # fmt: on
        if ended.error is not None:
            raise ended.error
        answers = asked.answers()
        self._facts = _facts_of(ended, self.plan)
        return answers

    def _notify_once(self, line: str) -> None:
        if line not in self._notified:
            self._notified.add(line)
            self.notify(line)


class _AskedQuestions:
    """Questions of one run, by image, and their answers."""

    def __init__(self, questions: Sequence[ImageQuestion], prompts: PromptSet, progress: ReportAnswers) -> None:
        self._questions, self._prompts, self._progress = questions, prompts, progress
        self._by_image: dict[str, list[ImageQuestion]] = defaultdict(list)
        for question in questions:
            self._by_image[_KEY + question.sha256].append(question)
        self._results: dict[tuple[str, str], JudgeResult] = {}
        self.recipe: Recipe | None = None
        progress(0, len(questions))

    async def image_tasks(self) -> AsyncIterator[ImageTask]:
        for key, questions in self._by_image.items():
            picture = ImagePayload(key=key, path=questions[0].path)
            # no item: the record stores the answers, but no candidate and no result
            yield ImageTask(picture=picture, source_id=0, source="", captions=(), wanted=frozenset(), objects={})

    def steps(self, image_task: ImageTask) -> Steps:
        """Ask the questions about one image."""
        assert self.recipe is not None
        questions = self._by_image[image_task.picture.key]
        targets = [_target(question.text) for question in questions]
        cache = RequestCache(self.recipe.rule)
        results = yield from judge_all(image_task, self.recipe, self._prompts, targets, Question.PRESENT, cache)
        for question, result in zip(questions, results, strict=True):
            self._results[question.sha256, question.text] = result
        self._progress(len(self._results), len(self._questions))
        return ()

    def answers(self) -> list[ImageAnswer]:
        """Return the answers in the order of the questions.

        Raises:
            ItemsFailed: A question has no answer.
        """
        total = len(self._questions)
        results = [self._results.get((question.sha256, question.text)) for question in self._questions]
        lacking = [result for result in results if result is None or result.failed]
        if lacking:
            first = next((f"{each.failed}: {each.detail}" for each in lacking if each is not None), "an internal error")
            raise ItemsFailed(
                f"{len(lacking):,} of {counted(total, 'question')} have no answer; {first}",
                hint="nothing is scored; the answers so far are stored, repeat the command to ask for the others",
            )
        return [self._answer(result) for result in results if result is not None]

    def _answer(self, result: JudgeResult) -> ImageAnswer:
        assert self.recipe is not None
        recipe = self.recipe
        clear = [p for verdict in result.verdicts if (p := effective_probability(recipe, verdict)) is not None]
        return ImageAnswer(is_present(recipe, result.verdicts), fmean(clear) if clear else None)


def _target(question: str) -> JudgeTarget:
    parts = question_parts(question)
    fields = question_fields(question, parts.concept if parts else None)
    return JudgeTarget(parts.concept if parts else None, fields, fields["question"])


def _facts_of(ended: GenerationResult, plan: GenerationPlan) -> JudgeFacts:
    recipe = ended.recipe.to_dict()
    names = [judge.name for judge in plan.judges]
    models = [str(ended.recipe.models.get(name, name)) for name in names]
    identity: dict[str, Any] = {key: recipe[key] for key in ("prompts", "rule", "threshold", "prior")}
    identity["least_label_mass"] = recipe["least_label_mass"]
    engines = sorted(
        json.dumps([model, recipe["engines"].get(name, {})], sort_keys=True)
        for name, model in zip(names, models, strict=True)
    )
    text = json.dumps([identity, engines], sort_keys=True)
    return {
        "id": hashlib.sha256(text.encode()).hexdigest()[:16],
        "name": " + ".join(names),
        "models": models,
        "prompt": plan.prompts.version,
        "simulated": bool(ended.simulated),
        "blind": bool(ended.blind),
        "questions": 0,
        "unclear": 0,
        "shares": {},
    }
