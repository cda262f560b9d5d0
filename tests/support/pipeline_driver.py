"""Driver that runs a pipeline with one function in place of all models and records the requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from curation_db.enums import Method
from workbench.generation.engines.requests import AnswerFormat, ImagePayload, ModelAnswer
from workbench.generation.models import CaptionItem, EngineRequest, ImageTask, ItemResult, QuestionItem, Steps

Oracle = Callable[[EngineRequest], ModelAnswer | str | bool | float | None]
"""Returns the answer: text, yes or no, P(yes), None for an unclear answer, or a ModelAnswer."""


@dataclass(frozen=True, slots=True)
class Driven:
    """Requests and results of a pipeline."""

    groups: tuple[tuple[EngineRequest, ...], ...]
    outcomes: tuple[ItemResult, ...]

    @property
    def requests(self) -> tuple[EngineRequest, ...]:
        """All requests, in order."""
        return tuple(request for group in self.groups for request in group)

    def of(self, stage: str) -> tuple[EngineRequest, ...]:
        """The requests of one stage."""
        return tuple(request for request in self.requests if request.request.stage == stage)


def drive(steps: Steps, oracle: Oracle) -> Driven:
    """Run `steps` with answers of `oracle`."""
    groups = list[tuple[EngineRequest, ...]]()
    try:
        group = next(steps)
        while True:
            assert group, "an empty group was asked"
            groups.append(group)
            group = steps.send(tuple(as_answer(request, oracle(request)) for request in group))
    except StopIteration as done:
        return Driven(tuple(groups), done.value)


def as_answer(request: EngineRequest, reply: ModelAnswer | str | bool | float | None) -> ModelAnswer:
    """Convert an oracle's return value to a ModelAnswer."""
    if isinstance(reply, ModelAnswer):
        return reply
    if isinstance(reply, str):
        p = (
            {"yes": 1.0, "no": 0.0}.get(reply.lower().rstrip("."))
            if request.request.answer_format is AnswerFormat.YES_NO
            else None
        )
        return ModelAnswer(text=reply, p=p, method=Method.BARE if p is not None else None)
    if reply is None:
        return ModelAnswer(text="I cannot tell.")
    p = float(reply)
    return ModelAnswer(text="Yes" if p >= 0.5 else "No", p=p, label_mass=0.98, method=Method.LOGPROBS)


def make_image_task(
    captions: Iterable[str] = ("a woman riding a horse in a field",),
    questions: Iterable[str] = (),
    *,
    wanted: Iterable[str] | None = None,
    objects: Mapping[str, int] | None = None,
    categories: Iterable[str] = (),
) -> ImageTask:
    """Return an image task; by default all questions are wanted, or without questions all captions."""
    caption_items = tuple(CaptionItem(number, str(number), text) for number, text in enumerate(captions, 1))
    question_items = tuple(QuestionItem(number, f"q{number}", text) for number, text in enumerate(questions, 1))
    items = [one.item for one in (question_items or caption_items)]
    # fmt: off
    return ImageTask(
        picture=ImagePayload(key="coco/1", image_id=1), source_id=1, source="coco", captions=caption_items,
        questions=question_items,
        wanted=frozenset(items if wanted is None else wanted), objects=objects or {}, categories=frozenset(categories),
    )
    # fmt: on
