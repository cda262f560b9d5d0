"""Runs a pipeline with a function in the place of all models, and keeps what was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from curation_db.enums import Method
from workbench.generation.engines.requests import AnswerFormat, ImagePayload, ModelAnswer
from workbench.generation.models import CaptionItem, EngineRequest, ImageTask, ItemResult, QuestionItem, Steps

Oracle = Callable[[EngineRequest], ModelAnswer | str | bool | float | None]
"""What is answered: words, yes or no, P(yes), None for an unclear answer, or an answer as it is."""


@dataclass(frozen=True, slots=True)
class Driven:
    """What a pipeline asked and what it came to."""

    groups: tuple[tuple[EngineRequest, ...], ...]
    outcomes: tuple[ItemResult, ...]

    @property
    def requests(self) -> tuple[EngineRequest, ...]:
        """All that was asked, in order."""
        return tuple(request for group in self.groups for request in group)

    def of(self, stage: str) -> tuple[EngineRequest, ...]:
        """What was asked at one stage."""
        return tuple(request for request in self.requests if request.request.stage == stage)


def drive(steps: Steps, oracle: Oracle) -> Driven:
    """Answers everything that `steps` asks."""
    groups = list[tuple[EngineRequest, ...]]()
    try:
        group = next(steps)
        while True:
            assert group, "an empty group was asked"
            groups.append(group)
            group = steps.send(tuple(as_answer(request, oracle(request)) for request in group))
    except StopIteration as done:
        return Driven(tuple(groups), done.value)


def as_answer(request: EngineRequest, told: ModelAnswer | str | bool | float | None) -> ModelAnswer:
    """An oracle's short word as an answer."""
    if isinstance(told, ModelAnswer):
        return told
    if isinstance(told, str):
        p = (
            {"yes": 1.0, "no": 0.0}.get(told.lower().rstrip("."))
            if request.request.answer_format is AnswerFormat.YES_NO
            else None
        )
        return ModelAnswer(text=told, p=p, method=Method.BARE if p is not None else None)
    if told is None:
        return ModelAnswer(text="I cannot tell.")
    p = float(told)
    return ModelAnswer(text="Yes" if p >= 0.5 else "No", p=p, label_mass=0.98, method=Method.LOGPROBS)


def make_image_task(
    captions: Iterable[str] = ("a woman riding a horse in a field",),
    questions: Iterable[str] = (),
    *,
    wanted: Iterable[str] | None = None,
    objects: Mapping[str, int] | None = None,
    categories: Iterable[str] = (),
) -> ImageTask:
    """A picture with these captions and questions; all of the questions are wanted, or without any all captions."""
    told = tuple(CaptionItem(number, str(number), text) for number, text in enumerate(captions, 1))
    asked = tuple(QuestionItem(number, f"q{number}", text) for number, text in enumerate(questions, 1))
    items = [one.item for one in (asked or told)]
    # fmt: off
    return ImageTask(
        picture=ImagePayload(key="coco/1", image_id=1), source_id=1, source="coco", captions=told, questions=asked,
        wanted=frozenset(items if wanted is None else wanted), objects=objects or {}, categories=frozenset(categories),
    )
    # fmt: on
