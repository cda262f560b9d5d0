"""Answers of /v1/chat/completions, of whatever shape a server sends. Pure: the live engine and batch files alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from curation_db.enums import Method
from curation_db.foreign_json import JsonError, parse_json
from workbench.generation.engines.probabilities import Probability, from_logprobs, from_words
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer, RequestFailure

_MOST_TOKENS: Final = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseProblem:
    """Why a reply is no answer."""

    failure: RequestFailure
    detail: str = ""
    again: bool = False
    """Whether another try may bring a better one."""
    fallback: ModelAnswer | None = None
    """A poorer answer that the reply does hold."""


def parse_body(body: bytes) -> Any | ResponseProblem:
    """A body as JSON."""
    try:
        return parse_json(body.decode("utf-8"))
    except UnicodeDecodeError:
        return ResponseProblem(failure=RequestFailure.ENCODING, detail="the server's answer is not UTF-8", again=True)
    except JsonError:
        return ResponseProblem(failure=RequestFailure.MALFORMED, detail="the server's answer is no JSON", again=True)


def read_chat(payload: Any, want: AnswerFormat, method: Method) -> ModelAnswer | ResponseProblem:
    """The answer in a parsed reply: text and tokens, and for a yes or no its probability by `method`."""
    counts = token_counts(payload)
    choices = payload.get("choices") if isinstance(payload, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return ResponseProblem(
            failure=RequestFailure.MALFORMED, detail="the server's answer holds no message", again=True
        )
    text = _text(message.get("content"))
    if text is None:
        return ResponseProblem(failure=RequestFailure.MALFORMED, detail="the message holds no text", again=True)
    trouble = _refusal(choice, message) or (_unfinished(choice, text) if want is AnswerFormat.TEXT else None)
    if trouble is not None:
        return trouble
    return _answer(text, counts) if want is AnswerFormat.TEXT else _yes_no(choice, text, method, counts)


def token_counts(payload: Any) -> ModelAnswer:
    """An answer without words that holds the token counts: OpenAI's names, or those of typed decisions."""
    usage = payload.get("usage") if isinstance(payload, Mapping) else None
    if not isinstance(usage, Mapping):
        return ModelAnswer()
    prompt, completion = (
        next((count for name in names if (count := _count(usage.get(name))) is not None), None)
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    )
    return ModelAnswer(prompt_tokens=prompt, completion_tokens=completion)


def cost_of(answer: ModelAnswer, price_in: float | None, price_out: float | None) -> float | None:
    """What the tokens cost at prices per million; None without prices or counts."""
    parts = [
        count * price / 1e6
        for count, price in ((answer.prompt_tokens, price_in), (answer.completion_tokens, price_out))
        if count is not None and price is not None
    ]
    return math.fsum(parts) if parts else None


def _refusal(choice: Mapping[str, Any], message: Mapping[str, Any]) -> ResponseProblem | None:
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        return ResponseProblem(failure=RequestFailure.REFUSED, detail=refusal)
    if choice.get("finish_reason") == "content_filter":
        return ResponseProblem(failure=RequestFailure.REFUSED, detail="the server's filter held the answer back")
    return None


def _unfinished(choice: Mapping[str, Any], text: str) -> ResponseProblem | None:
    if choice.get("finish_reason") == "length":
        return ResponseProblem(failure=RequestFailure.TOO_LONG, detail="the model did not come to an end")
    return None if text.strip() else ResponseProblem(failure=RequestFailure.EMPTY, detail="the model said nothing")


def _yes_no(choice: Mapping[str, Any], text: str, method: Method, counts: ModelAnswer) -> ModelAnswer | ResponseProblem:
    if method is Method.LOGPROBS:
        chance = from_logprobs(choice)
        if chance is not None:
            return _answer(text, counts, chance, Method.LOGPROBS)
        bare = _answer(text, counts, from_words(text), Method.BARE) if text.strip() else None
        detail = "the server sent no log-probabilities"
        return ResponseProblem(failure=RequestFailure.MALFORMED, detail=detail, again=True, fallback=bare)
    if not text.strip():
        return ResponseProblem(failure=RequestFailure.EMPTY, detail="the model said nothing")
    return _answer(text, counts, from_words(text), Method.BARE)


def _answer(
    text: str, counts: ModelAnswer, chance: Probability | None = None, method: Method | None = None
) -> ModelAnswer:
    return ModelAnswer(
        text=text,
        p=chance.p if chance else None,
        label_mass=chance.label_mass if chance else None,
        method=method,
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
    )


def _text(content: Any) -> str | None:
    """A message's text: a string, nothing (a refusal, or no words), or a list of typed parts."""
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS else None
