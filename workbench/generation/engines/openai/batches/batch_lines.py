"""Requests as lines of OpenAI batch files, and answers from response lines. Pure.

The lines contain the same bodies that the live engine sends and are parsed by the same functions, so an answer of a
batch server (`vllm run-batch`, OpenAI's batches) equals a live answer under the same key.

    {"custom_id": hex, "method": "POST", "url": "/v1/chat/completions", "body": {...}}
    {"custom_id": hex, "response": {"status_code": 200, "body": {...}}, "error": null}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from curation_db.enums import Method
from workbench.generation.engines.http.errors import plain_line
from workbench.generation.engines.image_payload import EncodedImage
from workbench.generation.engines.openai.probing.capabilities import ProbedCapabilities, best_method
from workbench.generation.engines.openai.request_body import chat_body
from workbench.generation.engines.openai.request_rules import RequestRules, request_rules
from workbench.generation.engines.openai.responses.response import ResponseProblem, cost_of, parse_body, read_chat
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer, ModelRequest, RequestFailure
from workbench.workspace.settings.engines import EngineSettings

URL: Final = "/v1/chat/completions"
_KEY_BYTES: Final = 32
_VERSION: Final = re.compile(r"([-@:](v\d+|\d{3,})([.-]\d+)*)?|:latest")
"""What servers add to a model's name: a date or a version of three digits and more, but no size such as -70b."""
_NOT_PROCESSED: Final = frozenset({"batch_expired", "batch_cancelled"})
"""Error codes of requests that a server did not reach; they do not count as tries."""
_SINGLE_REQUEST_METHODS: Final = frozenset({Method.LOGPROBS, Method.BARE})


def batch_method(settings: EngineSettings, features: ProbedCapabilities | None, *, has_image: bool) -> Method:
    """Return the method of a yes-or-no line: log-probabilities where proved or configured, else a bare answer.

    Samples and typed decisions need several requests or another endpoint, which a line cannot express.
    """
    method = best_method(settings.method, features, has_image=has_image)
    return method if method in _SINGLE_REQUEST_METHODS else Method.BARE


def batch_line(
    request: ModelRequest,
    settings: EngineSettings,
    *,
    key: bytes,
    method: Method,
    picture: EncodedImage | None,
    rules: RequestRules | None = None,
) -> str:
    """Return the line of `request` for the model in `settings`, without line end.

    Args:
        settings: Must name the model.
        key: Key of the request in the answer cache, as the live engine has it; becomes the custom_id.
        method: From `batch_method`.
        picture: Data URL of the request's image, without error; a batch server cannot read this machine's disk.
        rules: Adaptation to the server; default: that of the settings, for a server that was not probed.
    """
    if (picture is None) != (request.picture is None) or (picture is not None and picture.error):
        raise ValueError("the line's image is not the request's")
    url = picture.url if picture else None
    rules = rules or request_rules(settings, None)
    body = chat_body(request, model=settings.model, method=method, picture=url, options=settings.options, rules=rules)
    line = {"custom_id": key.hex(), "method": "POST", "url": URL, "body": body}
    return json.dumps(line, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What is needed to parse the response to a request."""

    answer_format: AnswerFormat
    method: Method = Method.BARE


def custom_id(line: bytes | str) -> bytes | None:
    """Return the key of the request that a line answers; None: not a line of negwb."""
    content = _object(line)
    name = content.get("custom_id") if content else None
    if not isinstance(name, str):
        return None
    try:
        key = bytes.fromhex(name)
    except ValueError:
        return None
    return key if len(key) == _KEY_BYTES else None


def read_line(line: bytes | str, request: BatchRequest, settings: EngineSettings) -> tuple[bytes, ModelAnswer] | None:
    """Return the key and the answer of a response line; None: not a line of negwb."""
    key = custom_id(line)
    content = _object(line)
    if key is None or content is None:
        return None
    read = _read(content, request)
    if isinstance(read, ResponseProblem):
        read = read.fallback or read.failed_answer(plain_line(read.detail, ""))
    return key, replace(
        read,
        cost=cost_of(read, settings.price_in, settings.price_out),
        tries=0 if _error_code(content) in _NOT_PROCESSED else read.tries,
    )


def answering_model(line: bytes | str) -> str:
    """Return the model that a response line names; empty: none, as in a failure."""
    content = _object(line) or {}
    response = content.get("response")
    body = response.get("body") if isinstance(response, Mapping) else None
    model = body.get("model") if isinstance(body, Mapping) else None
    return model if isinstance(model, str) else ""


def is_success(line: bytes | str) -> bool:
    """Whether the server processed the request of a response line."""
    response = (_object(line) or {}).get("response")
    return isinstance(response, Mapping) and response.get("status_code") == 200


def is_same_model(requested: str, answering: str) -> bool:
    """Whether a server may name `answering` in its answers for `requested`.

    Servers add the date of the version (gpt-4o-mini-2024-07-18) or leave out the owner (Qwen/Qwen3-8B).
    """
    one, other = (name.lower().rpartition("/")[2] for name in (requested, answering))
    longer, shorter = max(one, other, key=len), min(one, other, key=len)
    return bool(shorter) and longer.startswith(shorter) and bool(_VERSION.fullmatch(longer[len(shorter) :]))


def _read(content: Mapping[str, Any], request: BatchRequest) -> ModelAnswer | ResponseProblem:
    response, error = content.get("response"), content.get("error")
    if not isinstance(response, Mapping):
        return ResponseProblem(failure=RequestFailure.SERVER, detail=_words(error) or "the batch server sent no answer")
    status, body = response.get("status_code"), response.get("body")
    if status != 200:
        rejected = isinstance(status, int) and 400 <= status < 500 and status != 429
        failure = RequestFailure.REFUSED if rejected else RequestFailure.SERVER
        return ResponseProblem(failure=failure, detail=f"{status}: {_words(body) or _words(error)}".removesuffix(": "))
    return read_chat(body, request.answer_format, request.method)


def _error_code(content: Mapping[str, Any]) -> Any:
    error = content.get("error")
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, str) else None


def _object(line: bytes | str) -> Mapping[str, Any] | None:
    content = parse_body(line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass"))
    return content if isinstance(content, Mapping) else None


def _words(content: Any) -> str:
    """Return the message of an error in any of the common fields."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Mapping):
        return ""
    return next((words for name in ("error", "message", "detail", "code") if (words := _words(content.get(name)))), "")
