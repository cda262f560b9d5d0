"""What goes into a pipeline and what comes out: one picture with its captions and questions at a time. Pure.

A picture is the unit because all questions about it are asked together: servers keep the picture they have just read.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass

from curation_db.enums import ItemStatus, Method, NegationType, Question
from workbench.generation.engines.requests import ImagePayload, ModelAnswer, ModelRequest


@dataclass(frozen=True, slots=True)
class CaptionItem:
    """A human's caption."""

    id: int
    key: str
    text: str

    @property
    def item(self) -> str:
        """Its name among the items."""
        return f"caption/{self.id}"


@dataclass(frozen=True, slots=True)
class QuestionItem:
    """A question that people answered with no."""

    id: int
    key: str
    text: str
    question_type: str | None = None

    @property
    def item(self) -> str:
        """Its name among the items."""
        return f"question/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTask:
    """A picture with what is known of it."""

    picture: ImagePayload
    source_id: int
    source: str
    captions: tuple[CaptionItem, ...]
    """All of them: the siblings of a caption tell what is in the picture."""
    questions: tuple[QuestionItem, ...] = ()
    wanted: frozenset[str]
    """The items (`CaptionItem.item`, `QuestionItem.item`) that are to be worked on now."""
    objects: Mapping[str, int]
    """Annotated: category to how many."""
    categories: frozenset[str] = frozenset()
    """All categories that this source's annotations know: one that is not in `objects` was looked for."""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """A question and who is asked."""

    engine: str
    """Its name in the settings."""
    request: ModelRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeVerdict:
    """What a judge said about an item's candidate: a verdict to be."""

    judge: str
    question: Question
    prompt: str
    p: float | None
    label_mass: float | None = None
    method: Method | None = None
    prior: float | None = None
    text: str = ""
    latency_ms: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftCandidate:
    """A candidate to be."""

    text: str
    concept: str | None
    negation_type: NegationType
    caption_id: int
    extra: Mapping[str, str]
    """What else is kept with it: mix, the cue and position that were asked for, the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """What became of an item."""

    item: str
    status: ItemStatus
    reason: str = ""
    """A word, where nothing came of it: present, unclear, no-concept, lint:chatter, failed:timeout ..."""
    detail: str = ""
    attempts: int = 1
    draft: DraftCandidate | None = None
    verdicts: tuple[JudgeVerdict, ...] = ()


Steps = Generator[tuple[EngineRequest, ...], tuple[ModelAnswer, ...], tuple[ItemResult, ...]]
"""A pipeline at work on one unit: yields the requests that can be asked now, is sent their answers in the same order,
and returns what became of each wanted item. It never sees a network, a database or a clock, and asks the same again
when it is given the same answers: that is what resuming rests on."""
