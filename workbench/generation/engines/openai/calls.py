"""Calls: HTTP requests that together answer one or several model requests. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from curation_db.enums import Method
from workbench.generation.engines.image_payload import EncodedImage
from workbench.generation.engines.openai import typed_decisions
from workbench.generation.engines.openai.request_body import chat_body, encoded
from workbench.generation.engines.openai.request_rules import RequestRules
from workbench.generation.engines.openai.responses.response import ResponseProblem, read_chat
from workbench.generation.engines.probabilities import from_samples
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer, ModelRequest

CHAT: Final = "/chat/completions"


class EngineCall(Protocol):
    """One or several HTTP requests, one after the other, that answer one or several model requests."""

    @property
    def indices(self) -> tuple[int, ...]:
        """Positions of the model requests in their group."""
        ...

    @property
    def requests(self) -> tuple[ModelRequest, ...]:
        """The model requests."""
        ...

    @property
    def rules(self) -> RequestRules:
        """How the requests are adapted to the server."""
        ...

    @property
    def path(self) -> str:
        """URL path below the server's address."""
        ...

    @property
    def rounds(self) -> int:
        """Number of HTTP requests."""
        ...

    def build(self, number: int) -> bytes:
        """Build the body of HTTP request `number`."""
        ...

    def read(self, payload: Any) -> list[ModelAnswer] | ResponseProblem:
        """Parse the reply to one of them."""
        ...

    def finish(self, replies: Sequence[list[ModelAnswer]]) -> list[ModelAnswer]:
        """Combine the parsed replies into one answer per model request."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """A model request as a chat completion."""

    index: int
    request: ModelRequest
    model: str
    method: Method
    picture: EncodedImage | None
    samples: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    rules: RequestRules = field(default_factory=RequestRules)
    path: str = CHAT

    @property
    def indices(self) -> tuple[int, ...]:
        """See `EngineCall`."""
        return (self.index,)

    @property
    def requests(self) -> tuple[ModelRequest, ...]:
        """See `EngineCall`."""
        return (self.request,)

    @property
    def rounds(self) -> int:
        """See `EngineCall`."""
        return self.samples if self._sampled else 1

    @property
    def _sampled(self) -> bool:
        return self.request.answer_format is AnswerFormat.YES_NO and self.method is Method.SAMPLES

    def build(self, number: int) -> bytes:
        """See `EngineCall`."""
        url = self.picture.url if self.picture else None
        return encoded(
            chat_body(
                self.request,
                model=self.model,
                method=self.method,
                picture=url,
                options=self.options,
                rules=self.rules,
                sample=number,
            )
        )

    def read(self, payload: Any) -> list[ModelAnswer] | ResponseProblem:
        """See `EngineCall`."""
        read = read_chat(payload, self.request.answer_format, self.method)
        return read if isinstance(read, ResponseProblem) else [read]

    def finish(self, replies: Sequence[list[ModelAnswer]]) -> list[ModelAnswer]:
        """See `EngineCall`."""
        if not self._sampled:
            return replies[-1]
        answers = [reply[0] for reply in replies]
        texts = [answer.text for answer in answers]
        chance = from_samples(texts)
        return [
            ModelAnswer(
                text="\n".join(texts),
                p=chance.p,
                label_mass=chance.label_mass,
                method=Method.SAMPLES,
                prompt_tokens=_sum(answer.prompt_tokens for answer in answers),
                completion_tokens=_sum(answer.completion_tokens for answer in answers),
            )
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionCall:
    """Requests about one image as typed decisions."""

    indices: tuple[int, ...]
    requests: tuple[ModelRequest, ...]
    model: str
    picture: EncodedImage | None
    shape: typed_decisions.PictureShape
    rules: RequestRules = field(default_factory=RequestRules)
    path: str = typed_decisions.PATH
    rounds: int = 1

    def build(self, number: int) -> bytes:
        """See `EngineCall`."""
        return encoded(
            typed_decisions.decision_body(self.requests, model=self.model, picture=self.picture, shape=self.shape)
        )

    def read(self, payload: Any) -> list[ModelAnswer] | ResponseProblem:
        """See `EngineCall`."""
        return typed_decisions.read_decisions(payload, len(self.requests))

    def finish(self, replies: Sequence[list[ModelAnswer]]) -> list[ModelAnswer]:
        """See `EngineCall`."""
        return replies[-1]


def _sum(counts: Any) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
