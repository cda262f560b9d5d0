"""Parsing of /v1/chat/completions responses of any shape, for the live engine and for batch files. Pure."""

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
    """Why a response contains no answer."""

    failure: RequestFailure
    detail: str = ""
    retryable: bool = False
    """Whether another try may succeed."""
    fallback: ModelAnswer | None = None
    """A less precise answer that the response does contain."""
    text: str = ""
    """What the model wrote before it was cut off."""

    def failed_answer(self, detail: str) -> ModelAnswer:
        """Return the answer with this failure; `detail` is the detail as it may be shown."""
        return ModelAnswer(text=self.text, error=self.failure, detail=detail)


def parse_body(body: bytes) -> Any | ResponseProblem:
    """Parse a body as JSON."""
    try:
        return parse_json(body.decode("utf-8"))
    except UnicodeDecodeError:
        return ResponseProblem(
            failure=RequestFailure.ENCODING, detail="the server's answer is not UTF-8", retryable=True
        )
    except JsonError:
        return ResponseProblem(
            failure=RequestFailure.MALFORMED, detail="the server's answer is not JSON", retryable=True
        )


def read_chat(payload: Any, want: AnswerFormat, method: Method) -> ModelAnswer | ResponseProblem:
    """Return the answer in a parsed response: text and token counts; for yes-or-no requests P(yes) by `method`."""
    counts = token_counts(payload)
    choices = payload.get("choices") if isinstance(payload, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return ResponseProblem(
            failure=RequestFailure.MALFORMED, detail="the server's answer contains no message", retryable=True
        )
    text = _text(message.get("content"))
    if text is None:
        return ResponseProblem(failure=RequestFailure.MALFORMED, detail="the message contains no text", retryable=True)
    trouble = _refusal(choice, message) or (_unfinished(choice, text) if want is AnswerFormat.TEXT else None)
    if trouble is not None:
        return trouble
    return _answer(text, counts) if want is AnswerFormat.TEXT else _yes_no(choice, text, method, counts)


def token_counts(payload: Any) -> ModelAnswer:
    """Return an empty answer with the token counts, in OpenAI's field names or those of typed decisions."""
    usage = payload.get("usage") if isinstance(payload, Mapping) else None
    if not isinstance(usage, Mapping):
        return ModelAnswer()
    prompt, completion = (
        next((count for name in names if (count := _token_count(usage.get(name))) is not None), None)
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    )
    return ModelAnswer(prompt_tokens=prompt, completion_tokens=completion)


def cost_of(answer: ModelAnswer, price_in: float | None, price_out: float | None) -> float | None:
    """Return the cost of the tokens at prices per million tokens; None without prices or counts."""
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
        return ResponseProblem(failure=RequestFailure.REFUSED, detail="the server's content filter blocked the answer")
    return None


def _unfinished(choice: Mapping[str, Any], text: str) -> ResponseProblem | None:
    if choice.get("finish_reason") == "length":
        detail = "the model did not stop within max_tokens"
        return ResponseProblem(failure=RequestFailure.TOO_LONG, detail=detail, text=text)
    return (
        None if text.strip() else ResponseProblem(failure=RequestFailure.EMPTY, detail="the model sent an empty answer")
    )


def _yes_no(choice: Mapping[str, Any], text: str, method: Method, counts: ModelAnswer) -> ModelAnswer | ResponseProblem:
    if method is Method.LOGPROBS:
        probability = from_logprobs(choice)
        if probability is not None:
            return _answer(text, counts, probability, Method.LOGPROBS)
        bare = _answer(text, counts, from_words(text), Method.BARE) if text.strip() else None
        detail = "the server sent no log-probabilities"
        return ResponseProblem(failure=RequestFailure.MALFORMED, detail=detail, retryable=True, fallback=bare)
    if not text.strip():
        return ResponseProblem(failure=RequestFailure.EMPTY, detail="the model sent an empty answer")
    return _answer(text, counts, from_words(text), Method.BARE)


def _answer(
    text: str, counts: ModelAnswer, probability: Probability | None = None, method: Method | None = None
) -> ModelAnswer:
    return ModelAnswer(
        text=text,
        p=probability.p if probability else None,
        label_mass=probability.label_mass if probability else None,
        method=method,
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
    )


def _text(content: Any) -> str | None:
    """Return the text of a message content: a string, null (a refusal or empty), or a list of typed parts."""
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _token_count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS else None
