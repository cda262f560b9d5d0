"""Requests of the probe, adapted to the server as its findings accumulate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.generation.budget import Budget
from workbench.generation.engines.http.client import HttpClient, Reply, TransportFailure
from workbench.generation.engines.http.errors import plain_line, server_message
from workbench.generation.engines.http.stop_reasons import access_error
from workbench.generation.engines.image_payload import EncodedImage
from workbench.generation.engines.openai import typed_decisions
from workbench.generation.engines.openai.calls import CHAT
from workbench.generation.engines.openai.request_body import encoded, merged_system, messages
from workbench.generation.engines.openai.request_rules import MAX_TOKENS, RequestRules
from workbench.generation.engines.openai.responses.response import (
    ResponseProblem,
    error_status,
    message_text,
    parse_body,
    token_counts,
)
from workbench.generation.engines.openai.responses.thoughts import answer_after_thought
from workbench.generation.engines.probabilities import from_decision
from workbench.generation.engines.requests import Message
from workbench.workspace.settings.engines import EngineSettings

_THOUGHT_FIELDS: Final = ("reasoning_content", "reasoning")
"""Fields of a message in which servers put the thought."""
_NOT_REFUSALS: Final = frozenset({404, 408, 409, 425, 429})
"""Statuses from 400 to 499 that do not judge the content of a request."""


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer of the server."""

    text: str
    """Without the thought of a reasoning model."""
    raw: str
    """With it."""
    choice: Any
    thought: bool
    cut: bool
    """Whether the answer was cut by the token limit: what it lacks proves nothing."""
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class NoCompletion:
    """Why there is no answer."""

    detail: str
    """One line."""
    refused: bool = False
    """Whether the server refused the content of the request; else it failed."""


class ProbeRequests:
    """Sends the probe's requests to one model of one server."""

    def __init__(self, settings: EngineSettings, client: HttpClient, budget: Budget, rules: RequestRules) -> None:
        self.model = settings.model
        self.rules = rules
        """Adaptation by the findings so far."""
        self._settings = settings
        self._client = client
        self._budget = budget

    async def complete(
        self,
        content: str | Sequence[Message],
        image: EncodedImage | None = None,
        *,
        exact: bool = False,
        rules: RequestRules | None = None,
        **fields: Any,
    ) -> Completion | NoCompletion:
        """Request a chat completion.

        Args:
            content: The user's message, or all messages.
            image: Precedes the user's message.
            exact: Do not raise max_tokens by the tokens of a thought.
            rules: Adaptation of this request; default: the present one.
            fields: Fields of the request beside model and messages; temperature 0 is the default.
        """
        rules = rules or self.rules
        sent = (Message("user", content),) if isinstance(content, str) else tuple(content)
        sent = merged_system(sent) if rules.merge_system else sent
        wanted = {"temperature": 0, **fields}
        if MAX_TOKENS in wanted and not exact:
            wanted[MAX_TOKENS] += rules.thinking_tokens
        turns = messages(sent, image.url if image else None)
        body = {**self._settings.options, "model": self.model, "messages": turns, **rules.applied(wanted)}
        payload = await self._post(CHAT, body)
        return payload if isinstance(payload, NoCompletion) else _completion(payload)

    async def decide(
        self, question: str, image: EncodedImage | None, shape: typed_decisions.PictureShape
    ) -> float | NoCompletion:
        """Return P(true) of a typed decision."""
        body = typed_decisions.questions_body((question,), "", model=self.model, picture=image, shape=shape)
        payload = await self._post(typed_decisions.PATH, body)
        if isinstance(payload, NoCompletion):
            return payload
        probability = from_decision(payload, typed_decisions.question_name(0))
        if probability is None or probability.p is None:
            return NoCompletion("its answer contains no decision")
        return probability.p

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any | NoCompletion:
        """Return the parsed answer; a server error is retried once."""
        for _ in range(2):
            self._budget.reserve()
            reply = await self._client.post(path, encoded(body))
            if isinstance(reply, Reply) and (reply.status < 500 or reply.status == 501):
                break
        if isinstance(reply, TransportFailure):
            return NoCompletion(plain_line(reply.detail, self._client.key))
        if reply.status in {401, 403}:
            raise access_error(self._settings, reply, self._client.key)
        payload = parse_body(reply.body)
        status = (error_status(payload) or 200) if reply.status == 200 else reply.status
        if status != 200:
            detail = f"{status}: {server_message(reply.body, self._client.key)}".removesuffix(": ")
            return NoCompletion(detail, refused=400 <= status < 500 and status not in _NOT_REFUSALS)
        if isinstance(payload, ResponseProblem):
            return NoCompletion(payload.detail)
        counts = token_counts(payload)
        self._budget.spend((counts.prompt_tokens or 0) + (counts.completion_tokens or 0), None)
        return payload


def _completion(payload: Any) -> Completion | NoCompletion:
    choices = payload.get("choices") if isinstance(payload, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return NoCompletion("its answer contains no message")
    beside = any(isinstance(message.get(name), str) and message[name].strip() for name in _THOUGHT_FIELDS)
    content = message_text(message.get("content"))
    if content is None:
        return NoCompletion("its message contains no text")
    answer = answer_after_thought(content)
    counts = token_counts(payload)
    return Completion(
        text=answer or "",
        raw=content,
        choice=choice,
        thought=beside or answer != content,
        cut=choice.get("finish_reason") == "length",
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
    )
