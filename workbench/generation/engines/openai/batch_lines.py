"""Questions as lines of OpenAI batch files, and answers from the lines that come back. Pure.

The lines hold the very bodies that the live engine sends and are read by the same functions, so that an answer from a
farm (`vllm run-batch`, OpenAI's batches) stands for the live one under the same key.

    {"custom_id": hex, "method": "POST", "url": "/v1/chat/completions", "body": {...}}
    {"custom_id": hex, "response": {"status_code": 200, "body": {...}}, "error": null}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from curation_db.enums import Method
from workbench.generation.engines.http.errors import plain_line
from workbench.generation.engines.image_payload import EncodedImage
from workbench.generation.engines.openai.capabilities import ProbedCapabilities, best_method
from workbench.generation.engines.openai.request_body import chat_body
from workbench.generation.engines.openai.response import ResponseProblem, cost_of, parse_body, read_chat
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer, ModelRequest, RequestFailure
from workbench.workspace.engine_settings import EngineSettings

URL: Final = "/v1/chat/completions"
_KEY_BYTES: Final = 32
_IN_ONE: Final = frozenset({Method.LOGPROBS, Method.BARE})


def batch_method(settings: EngineSettings, features: ProbedCapabilities | None, ask: ModelRequest) -> Method:
    """How a yes or no is asked for in a line: by log-probabilities where they are proved or wished, else in words.

    Samples and typed decisions take several requests, or other ones, than a line can hold.
    """
    method = best_method(settings.method, features, pictured=ask.picture is not None)
    return method if method in _IN_ONE else Method.BARE


def batch_line(ask: ModelRequest, settings: EngineSettings, *, method: Method, picture: EncodedImage | None) -> str:
    """The line that asks `ask` of the model in `settings`, without its end.

    Args:
        ask: Its key is the line's name.
        settings: With the model's name.
        method: Of `batch_method`.
        picture: The ask's, as a data URL: a farm does not see our disk. Must be there (no error) where the ask has one.
    """
    if (picture is None) != (ask.picture is None) or (picture is not None and picture.error):
        raise ValueError("the line's picture is not the question's")
    url = picture.url if picture else None
    body = chat_body(ask, model=settings.model, method=method, picture=url, options=settings.options)
    line = {"custom_id": ask.key(settings.model).hex(), "method": "POST", "url": URL, "body": body}
    return json.dumps(line, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What has to be known of a question to read its answer."""

    answer_format: AnswerFormat
    method: Method = Method.BARE


def custom_id(line: bytes | str) -> bytes | None:
    """The key of the question that a line answers; None: the line is none of ours."""
    told = _object(line)
    name = told.get("custom_id") if told else None
    if not isinstance(name, str):
        return None
    try:
        key = bytes.fromhex(name)
    except ValueError:
        return None
    return key if len(key) == _KEY_BYTES else None


def read_line(line: bytes | str, asked: BatchRequest, settings: EngineSettings) -> tuple[bytes, ModelAnswer] | None:
    """The key and the answer in a line that came back; None: the line is none of ours."""
    key = custom_id(line)
    told = _object(line)
    if key is None or told is None:
        return None
    read = _read(told, asked)
    if isinstance(read, ResponseProblem):
        read = read.fallback or ModelAnswer(error=read.failure, detail=plain_line(read.detail, ""))
    return key, replace(read, cost=cost_of(read, settings.price_in, settings.price_out))


def _read(told: Mapping[str, Any], asked: BatchRequest) -> ModelAnswer | ResponseProblem:
    response, error = told.get("response"), told.get("error")
    if not isinstance(response, Mapping):
        return ResponseProblem(failure=RequestFailure.SERVER, detail=_words(error) or "the farm sent no answer")
    status, body = response.get("status_code"), response.get("body")
    if status != 200:
        turned_down = isinstance(status, int) and 400 <= status < 500 and status != 429
        failure = RequestFailure.REFUSED if turned_down else RequestFailure.SERVER
        return ResponseProblem(failure=failure, detail=f"{status}: {_words(body) or _words(error)}".removesuffix(": "))
    return read_chat(body, asked.answer_format, asked.method)


def _object(line: bytes | str) -> Mapping[str, Any] | None:
    told = parse_body(line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass"))
    return told if isinstance(told, Mapping) else None


def _words(told: Any) -> str:
    """The message in an error, wherever a farm puts it."""
    if isinstance(told, str):
        return told
    if not isinstance(told, Mapping):
        return ""
    return next((words for name in ("error", "message", "detail", "code") if (words := _words(told.get(name)))), "")
