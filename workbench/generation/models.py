"""Data classes of a pipeline: its input is one image with captions and questions, its output one result per item.

A pipeline works on one image at a time because all requests about it are sent together: servers cache the image that
they have just read.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from curation_db.enums import ItemStatus, Method, NegationType, Question
from workbench.generation.engines.requests import ImagePayload, ModelAnswer, ModelRequest


@dataclass(frozen=True, slots=True)
class CaptionItem:
    """A caption that a person wrote."""

    id: int
    key: str
    text: str

    @property
    def item(self) -> str:
        """Item key: kind/id."""
        return f"caption/{self.id}"


@dataclass(frozen=True, slots=True)
class QuestionItem:
    """A VQA question that people answered with no."""

    id: int
    key: str
    text: str
    question_type: str | None = None

    @property
    def item(self) -> str:
        """Item key: kind/id."""
        return f"question/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTask:
    """One image with its captions, questions and annotations."""

    picture: ImagePayload
    source_id: int
    source: str
    captions: tuple[CaptionItem, ...]
    """All captions of the image: the siblings of a caption also name its objects."""
    questions: tuple[QuestionItem, ...] = ()
    wanted: frozenset[str]
    """Items (`CaptionItem.item`, `QuestionItem.item`) to process."""
    objects: Mapping[str, int]
    """Annotated objects: category to count."""
    categories: frozenset[str] = frozenset()
    """All categories that the annotators of this source labelled: one that is not in `objects` is absent."""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """A model request and the engine that answers it."""

    engine: str
    """Name in the settings."""
    request: ModelRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeVerdict:
    """A judge's verdict on an item, before it has a candidate in the record."""

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
    """A candidate before it is stored."""

    text: str
    concept: str | None
    negation_type: NegationType
    caption_id: int
    extra: Mapping[str, str]
    """Stored with it: mix, requested cue and position, VQA question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """Outcome of one item."""

    item: str
    status: ItemStatus
    reason: str = ""
    """Code of an item without candidate: present, unclear, no-concept, lint:chatter, failed:timeout ..."""
    detail: str = ""
    attempts: int = 1
    draft: DraftCandidate | None = None
    verdicts: tuple[JudgeVerdict, ...] = ()


T = TypeVar("T")
SubSteps = Generator[tuple[EngineRequest, ...], tuple[ModelAnswer, ...], T]
"""A part of a pipeline: yields requests, receives their answers, returns a T."""
Steps = SubSteps[tuple[ItemResult, ...]]
"""A running pipeline. It yields the requests that can be sent now, receives their answers in the same order, and
returns one result per wanted item. Invariant: given the same answers it yields the same requests; resuming a run relies
on that."""
