"""Model requests as bodies of /v1/chat/completions. Pure; equal requests give equal bytes.

The live engine and the batch files use the same functions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from curation_db.enums import Method
from workbench.generation.engines.openai.request_rules import MAX_TOKENS, Constraint, RequestRules
from workbench.generation.engines.probabilities import ANSWER_FIELD, LABELS, sample_seed
from workbench.generation.engines.requests import AnswerFormat, Message, ModelRequest

_JSON_ANSWER_TOKENS: Final = 16
"""Least tokens of a JSON object with one word."""


def chat_body(
    request: ModelRequest,
    *,
    model: str,
    method: Method,
    picture: str | None,
    options: Mapping[str, Any],
    rules: RequestRules,
    sample: int = 0,
) -> dict[str, Any]:
    """Build the JSON object of a request.

    Args:
        method: Source of the probability of a yes-or-no request; ignored for text requests.
        picture: URL of the image.
        options: Further fields, which never override the request's own.
        rules: Adaptation to the server.
        sample: Index of the sample, for the method that samples several answers.
    """
    sent = merged_system(request.messages) if rules.merge_system else request.messages
    fields = _sampling(request, method, sample, rules)
    constraint = rules.constraint_of(method) if request.answer_format is AnswerFormat.YES_NO else None
    if constraint is Constraint.JSON_SCHEMA:
        fields[MAX_TOKENS] = max(fields[MAX_TOKENS], _JSON_ANSWER_TOKENS + rules.thinking_tokens)
    return {
        **options,
        "model": model,
        "messages": messages(sent, picture),
        **rules.applied(fields),
        **_constraint_fields(constraint),
    }


def most_answer_tokens(request: ModelRequest, rules: RequestRules) -> int:
    """Return the largest token limit that `chat_body` sends for the request."""
    return max(request.sampling.max_tokens, rules.logprob_tokens, _JSON_ANSWER_TOKENS) + rules.thinking_tokens


def messages(content: Sequence[Message], picture: str | None) -> list[dict[str, Any]]:
    """Build the chat messages; the image precedes the text of the last user message."""
    turns: list[dict[str, Any]] = [{"role": message.role, "content": message.text} for message in content]
    if picture is not None:
        last = max(number for number, message in enumerate(content) if message.role == "user")
        turns[last]["content"] = [
            {"type": "image_url", "image_url": {"url": picture}},
            {"type": "text", "text": content[last].text},
        ]
    return turns


def merged_system(content: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages with each system message as the start of the user message that follows it."""
    before: list[str] = []
    merged: list[Message] = []
    for message in content:
        if message.role == "system":
            before.append(message.text)
        elif message.role == "user":
            merged.append(Message("user", "\n\n".join([*before, message.text])))
            before = []
        else:
            merged.append(message)
    return (*merged, Message("user", "\n\n".join(before))) if before else tuple(merged)


def encoded(body: Mapping[str, Any]) -> bytes:
    """Encode as ASCII JSON, which keeps a lone surrogate in a caption."""
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def json_schema_field(name: str, values: Sequence[str]) -> dict[str, Any]:
    """Return the field `response_format` that restricts an answer to a JSON object with one of `values`."""
    schema = {
        "type": "object",
        "properties": {name: {"type": "string", "enum": list(values)}},
        "required": [name],
        "additionalProperties": False,
    }
    return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}}


def choice_field(values: Sequence[str]) -> dict[str, Any]:
    """Return the field that restricts an answer to one of `values`."""
    return {"structured_outputs": {"choice": list(values)}}


def logprob_fields(top: int, tokens: int) -> dict[str, Any]:
    """Return the fields of a request for the log-probabilities of the first tokens."""
    return {"temperature": 0, MAX_TOKENS: tokens, "logprobs": True, "top_logprobs": top}


def _constraint_fields(constraint: Constraint | None) -> dict[str, Any]:
    match constraint:
        case Constraint.CHOICE:
            return choice_field(LABELS)
        case Constraint.JSON_SCHEMA:
            return json_schema_field(ANSWER_FIELD, LABELS)
    return {}


def _sampling(request: ModelRequest, method: Method, sample: int, rules: RequestRules) -> dict[str, Any]:
    sampling, yes_no = request.sampling, request.answer_format is AnswerFormat.YES_NO
    if yes_no and method is Method.LOGPROBS:
        fields = logprob_fields(rules.top_logprobs, rules.logprob_tokens)
        return fields if sampling.seed is None else {**fields, "seed": sampling.seed}
    most = sampling.max_tokens + rules.thinking_tokens
    if yes_no and method is Method.SAMPLES:
        temperature, seed = sampling.temperature or 1.0, sample_seed(sampling.seed, sample)
        return {"temperature": temperature, "top_p": sampling.top_p, MAX_TOKENS: most, "seed": seed}
    fields = {"temperature": sampling.temperature, MAX_TOKENS: most}
    if sampling.temperature > 0:
        fields["top_p"] = sampling.top_p
    return fields if sampling.seed is None else {**fields, "seed": sampling.seed}
