"""Parsing of /v1/chat/completions responses of any shape, for the live engine and for batch files. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from curation_db.enums import Method
from curation_db.foreign_json import JsonError, parse_json
from workbench.generation.engines.http.errors import error_words
from workbench.generation.engines.openai.responses.event_stream import assembled, is_event_stream
from workbench.generation.engines.openai.responses.thoughts import answer_after_thought
from workbench.generation.engines.openai.responses.web_page import first_words
from workbench.generation.engines.probabilities import Probability, from_logprobs, from_words
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer, RequestFailure

_MOST_TOKENS: Final = 2**31
_TEXT_PARTS: Final = frozenset({"text", "output_text"})
_CUT_THOUGHT: Final = "max_tokens cut the model's thought before its answer; switch thinking off or raise max_tokens"
_STATUS_OF_NAME: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "bad_request": 400,
    "content_filter": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "unauthenticated": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "not_found": 404,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "overloaded_error": 503,
    "unavailable": 503,
}
"""HTTP status of the error names that hosted services send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseProblem:
    """Why a response contains no answer."""

    failure: RequestFailure
    detail: str = ""
    retryable: bool = False
    """Whether another try may succeed."""
    fallback: ModelAnswer | None = None
    """A less precise answer that the response does contain."""
    from_model: bool = False
    """Whether the model answered: it refused, sent nothing, or did not stop."""
    foreign: bool = False
    """Whether something other than a model server answered: a web page."""
    text: str = ""
    """What the model wrote before it was cut off."""

    def failed_answer(self, detail: str) -> ModelAnswer:
        """Return the answer with this failure; `detail` is the detail as it may be shown."""
        return ModelAnswer(text=self.text, error=self.failure, detail=detail)


def parse_body(body: bytes, content_type: str = "") -> Any | ResponseProblem:
    """Parse a body as JSON, or as a stream of events, which some servers send without being asked."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ResponseProblem(
            failure=RequestFailure.ENCODING, detail="the server's answer is not UTF-8", retryable=True
        )
    if is_event_stream(text):
        payload = assembled(text)
        return payload if payload is not None else _malformed("the server's stream of events ended early")
    try:
        return parse_json(text)
    except JsonError:
        kind = content_type.partition(";")[0].strip().lower()
        if text.lstrip().startswith("<") or (kind and "json" not in kind):
            detail = f"the server sends no JSON but {kind or 'a web page'}: {first_words(text)}"
            return replace(_malformed(detail), foreign=True)
        return _malformed("the server's answer is not JSON")


def error_status(content: Any) -> int | None:
    """Return the HTTP status that an error inside a reply with status 200 stands for; None: there is no error."""
    if not isinstance(content, Mapping):
        return None
    error = content.get("error") or (content if content.get("object") == "error" else None)
    if not error:
        return None
    tables = [each for each in (error, content) if isinstance(each, Mapping)]
    values = [table.get(name) for table in tables for name in ("code", "status", "status_code", "type")]
    return next((status for value in values if (status := _status(value)) is not None), 500)


def _status(value: Any) -> int | None:
    if isinstance(value, str):
        text = value.strip().lower()
        value = int(text) if text.isascii() and text.isdigit() and len(text) == 3 else _STATUS_OF_NAME.get(text)
    return value if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600 else None


def read_chat(payload: Any, want: AnswerFormat, method: Method) -> ModelAnswer | ResponseProblem:
    """Return the answer in a parsed response: text and token counts; for yes-or-no requests P(yes) by `method`."""
    counts = token_counts(payload)
    choices = payload.get("choices") if isinstance(payload, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    broken = _broken_off(payload) or _broken_off(choice)
    if broken is not None or not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return broken or _malformed("the server's answer contains no message")
    text = message_text(message.get("content"))
    if text is None:
        return _malformed("the message contains no text")
    answer = answer_after_thought(text)
    problem = _refusal(choice, message) or _thought_only(choice, message, answer)
    if problem is None and want is AnswerFormat.TEXT:
        problem = _unfinished(choice, answer or "")
    if problem is not None:
        return problem
    if want is AnswerFormat.TEXT:
        return _answer(answer or "", counts)
    # the log-probabilities of the first token belong to the thought
    return _yes_no(choice, answer or "", method if answer == text else Method.BARE, counts)


def _malformed(detail: str) -> ResponseProblem:
    return ResponseProblem(failure=RequestFailure.MALFORMED, detail=detail, retryable=True)


def _broken_off(content: Any) -> ResponseProblem | None:
    """Return the problem of a response or a choice with an error; its text is cut off, if it has any."""
    if not isinstance(content, Mapping):
        return None
    status = error_status(content)
    if status is None and content.get("finish_reason") != "error":
        return None
    words = error_words(content.get("error")) or "the server reports an error"
    if status is not None and 400 <= status < 500 and status not in {408, 409, 425, 429}:
        return ResponseProblem(failure=RequestFailure.REFUSED, detail=f"{status}: {words}")
    return ResponseProblem(failure=RequestFailure.SERVER, detail=f"the answer was cut off: {words}", retryable=True)


def _thought_only(choice: Mapping[str, Any], message: Mapping[str, Any], answer: str | None) -> ResponseProblem | None:
    """Return the problem of a response that contains a thought and no answer."""
    reasoning = next((name for name in ("reasoning_content", "reasoning") if message.get(name)), "")
    if answer is not None and (answer.strip() or not reasoning):
        return None
    if choice.get("finish_reason") == "length":
        return ResponseProblem(failure=RequestFailure.TOO_LONG, detail=_CUT_THOUGHT, from_model=True)
    detail = f"the model answers in {reasoning} only" if reasoning else "the model's thought has no end"
    hint = "; switch thinking off, or the server's reasoning parser"
    return ResponseProblem(failure=RequestFailure.EMPTY, detail=detail + hint, from_model=True)


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
        return ResponseProblem(failure=RequestFailure.REFUSED, detail=refusal, from_model=True)
    if choice.get("finish_reason") == "content_filter":
        detail = "the server's content filter blocked the answer"
        return ResponseProblem(failure=RequestFailure.REFUSED, detail=detail, from_model=True)
    return None


def _unfinished(choice: Mapping[str, Any], text: str) -> ResponseProblem | None:
    if choice.get("finish_reason") == "length":
        detail = "the model did not stop within max_tokens"
        return ResponseProblem(failure=RequestFailure.TOO_LONG, detail=detail, text=text, from_model=True)
    return None if text.strip() else _EMPTY


_EMPTY: Final = ResponseProblem(failure=RequestFailure.EMPTY, detail="the model sent an empty answer", from_model=True)


def _yes_no(choice: Mapping[str, Any], text: str, method: Method, counts: ModelAnswer) -> ModelAnswer | ResponseProblem:
    if method is Method.LOGPROBS:
        probability = from_logprobs(choice)
        if probability is not None:
            return _answer(text, counts, probability, Method.LOGPROBS)
        bare = _answer(text, counts, from_words(text), Method.BARE) if text.strip() else None
        detail = "the server sent no log-probabilities"
        return ResponseProblem(failure=RequestFailure.MALFORMED, detail=detail, retryable=True, fallback=bare)
    return _answer(text, counts, from_words(text), Method.BARE) if text.strip() else _EMPTY


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


def message_text(content: Any) -> str | None:
    """Return the text of a message content: a string, null (a refusal or empty), or a list of typed parts."""
    if content is None:
        return ""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else None


def _token_count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS else None
