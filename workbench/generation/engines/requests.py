"""Model requests and answers: the data classes that pipelines, engines and the runner share. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from curation_db.enums import Stage
from curation_db.generation.answer import ModelAnswer

# fmt: off
__all__ = [
    "CUT_OR_EMPTY",
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
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class AnswerFormat(StrEnum):
    """Expected kind of answer."""

    TEXT = "text"
    YES_NO = "yes_no"
    """P(yes), by the best method that the server was proved to support."""


_YES_NO: Final = frozenset((Stage.PRESENCE, Stage.PRIOR, Stage.ACCEPTABLE))


def answer_format_of(stage: Stage) -> AnswerFormat:
    """Return the answer format of a stage's requests."""
    return AnswerFormat.YES_NO if stage in _YES_NO else AnswerFormat.TEXT


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: str
    """system, user or assistant."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters."""

    temperature: float = 0.0
    """0: greedy decoding."""
    top_p: float = 1.0
    max_tokens: int = 64
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePayload:
    """The image of a request."""

    key: str
    """source/key of the image in the record."""
    image_id: int | None = None
    path: Path | None = None
    """Image file; None: not found, so that a model that needs the image fails."""
    blank: bool = False
    """Send a grey image instead, to measure the judge's prior."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """A request to a model."""

    stage: Stage
    answer_format: AnswerFormat
    prompt: str
    """Version of the prompt set: name@hash."""
    messages: tuple[Message, ...]
    sampling: Sampling
    picture: ImagePayload | None = None
    """Precedes the text of the last user message, so that requests about one image share a prefix."""
    subject: str
    """Caption or concept, for display."""
    raw: str | None = None
    """The prompt as one string with an <image> placeholder, for engines with raw_prompts = true, which bypass the
    model's chat template (the published presence question is such a string)."""
    facts: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Prompt fields (caption, concept, ...) for engines that do not read messages: scripts, CLIP. Not in the key."""

    def key(self, model: str, settings: Mapping[str, Any] = _NOTHING) -> bytes:
        """Return the answer cache's key: SHA-256 over everything that determines the answer of `model`.

        The path of the image file is left out, so that a moved folder causes no new requests.

        Args:
            settings: Settings of the engine that change its answer; see `AnswerIdentity.key`.
        """
        content = {
            "model": model,
            "prompt": self.prompt,
            "want": self.answer_format,
            "messages": [[message.role, message.text] for message in self.messages],
            "picture": None if self.picture is None else ["blank" if self.picture.blank else self.picture.key],
            "raw": self.raw if settings.get("raw_prompts") else None,
            "settings": dict(settings),
            "sampling": [self.sampling.temperature, self.sampling.top_p, self.sampling.max_tokens, self.sampling.seed],
        }
        text = json.dumps(content, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()


class RequestFailure(StrEnum):
    """Failure codes: the values of `ModelAnswer.error`."""

    PICTURE_MISSING = "picture-missing"
    PICTURE_BAD = "picture-bad"
    """The file cannot be decoded, or is a decompression bomb."""
    TOO_LONG = "too-long"
    """The model did not stop within max_tokens; `ModelAnswer.text` has what it wrote."""
    EMPTY = "empty"
    OVERSIZED = "oversized"
    """The response exceeds the size limit."""
    ENCODING = "encoding"
    """The response is not UTF-8."""
    MALFORMED = "malformed"
    """The response is not JSON, or lacks expected fields."""
    REFUSED = "refused"
    """The server or its content filter rejected this request (400, 413, 422)."""
    SERVER = "server"
    """The server failed on every try (5xx)."""
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    UNSUPPORTED = "unsupported"
    """The engine cannot answer this kind of request."""
    ENGINE = "engine"
    """A plug-in engine raised an exception or broke the protocol."""


CUT_OR_EMPTY: Final = frozenset((RequestFailure.TOO_LONG, RequestFailure.EMPTY))
"""The model answered, but did not finish or wrote nothing. The published code uses such an answer as it is."""
RETRY_WITH_OTHER_SEED: Final = CUT_OR_EMPTY | {RequestFailure.OVERSIZED}
"""Unusable answers; with another seed the model may give a usable one."""
