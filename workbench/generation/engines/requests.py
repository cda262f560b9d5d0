"""What is asked of a model and what comes back: the words that pipelines, engines and the runner share. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from curation_db.enums import Stage
from curation_db.generation.answer import ModelAnswer

# fmt: off
__all__ = [
    "RETRY_WITH_OTHER_SEED",
    "AnswerFormat",
    "ImagePayload",
    "Message",
    "ModelAnswer",
    "ModelRequest",
    "RequestFailure",
    "Sampling",
    "answer_format_of",
]
# fmt: on
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class AnswerFormat(StrEnum):
    """What kind of answer is asked for."""

    TEXT = "text"
    YES_NO = "yes_no"
    """A probability of yes, by the best method that the engine's server proves; else a bare answer."""


_YES_NO: Final = frozenset((Stage.PRESENCE, Stage.PRIOR, Stage.ACCEPTABLE))


def answer_format_of(stage: Stage) -> AnswerFormat:
    """What kind of answer a stage asks for."""
    return AnswerFormat.YES_NO if stage in _YES_NO else AnswerFormat.TEXT


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    """system, user, assistant."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the answer is drawn."""

    temperature: float = 0.0
    """0: the likeliest words."""
    top_p: float = 1.0
    max_tokens: int = 64
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePayload:
    """The picture that a question is about."""

    key: str
    """source/key: what it is called in the record."""
    image_id: int | None = None
    path: Path | None = None
    """Its file; None: not found, and no model that has to look can answer."""
    blank: bool = False
    """A grey picture in its place: what does the judge say without looking?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One question to one model."""

    stage: Stage
    answer_format: AnswerFormat
    prompt: str
    """Version of the prompt, with its hash."""
    messages: tuple[Message, ...]
    sampling: Sampling
    picture: ImagePayload | None = None
    """Stands before the text of the last user message, so that questions about one picture begin alike."""
    subject: str
    """What it is about, for people: the caption, the concept."""
    raw: str | None = None
    """The prompt as one string, with <image> where the picture is, for engines that are told to bypass the model's own
    chat template (the published presence question is such a string)."""
    facts: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """The same as fields (caption, concept, cue, ...), for engines that do not read: scripts, CLIP. Not in the key."""

    def key(self, model: str) -> bytes:
        """SHA-256 over all that decides the answer of `model`; the memory's key.

        Where the picture's file lies is left out: a moved folder must not be paid for again.
        """
        told = {
            "model": model,
            "prompt": self.prompt,
            "want": self.answer_format,
            "messages": [[message.role, message.text] for message in self.messages],
            "picture": None if self.picture is None else ["blank" if self.picture.blank else self.picture.key],
            "sampling": [self.sampling.temperature, self.sampling.top_p, self.sampling.max_tokens, self.sampling.seed],
        }
        text = json.dumps(told, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()


class RequestFailure(StrEnum):
    """Why there is no answer: the words of `ModelAnswer.error`."""

    PICTURE_MISSING = "picture-missing"
    PICTURE_BAD = "picture-bad"
    """Its file cannot be decoded, or is a bomb."""
    TOO_LONG = "too-long"
    """The model did not stop within max_tokens, or the server sent without end."""
    EMPTY = "empty"
    ENCODING = "encoding"
    """The answer is no UTF-8."""
    MALFORMED = "malformed"
    """The server's answer is no JSON, or of another shape."""
    REFUSED = "refused"
    """The server turned this request down (400, 413, 422), or its filter did."""
    SERVER = "server"
    """It failed on this request however often it was asked (5xx)."""
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    UNSUPPORTED = "unsupported"
    """This engine cannot answer this kind of question."""


RETRY_WITH_OTHER_SEED: Final = frozenset((RequestFailure.TOO_LONG, RequestFailure.EMPTY))
"""The model answered, and not usably: asked with another seed it may."""
