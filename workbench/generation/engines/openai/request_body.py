"""Model requests as bodies of /v1/chat/completions. Pure; equal requests give equal bytes.

The live engine and the batch files use the same functions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from curation_db.enums import Method
from workbench.generation.engines.probabilities import TOP_LOGPROBS, sample_seed
from workbench.generation.engines.requests import AnswerFormat, Message, ModelRequest


def chat_body(
    request: ModelRequest,
    *,
    model: str,
    method: Method,
    picture: str | None,
    options: Mapping[str, Any],
    sample: int = 0,
) -> dict[str, Any]:
    """Build the JSON object of a request.

    Args:
        method: Source of the probability of a yes-or-no request; ignored for text requests.
        picture: URL of the image.
        options: Further fields, which never override the request's own. If `max_completion_tokens` is among them, the
            token limit is sent under that name, which some hosted models require.
        sample: Index of the sample, for the method that samples several answers.
    """
    body: dict[str, Any] = {**options, "model": model, "messages": messages(request.messages, picture)}
    body.update(_sampling(request, method, sample))
    if "max_completion_tokens" in options:
        body["max_completion_tokens"] = body.pop("max_tokens")
    return body


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


def encoded(body: Mapping[str, Any]) -> bytes:
    """Encode as ASCII JSON, which keeps a lone surrogate in a caption."""
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def _sampling(request: ModelRequest, method: Method, sample: int) -> dict[str, Any]:
    sampling = request.sampling
    if request.answer_format is AnswerFormat.YES_NO and method is Method.LOGPROBS:
        fields: dict[str, Any] = {"temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return fields if sampling.seed is None else {**fields, "seed": sampling.seed}
    if request.answer_format is AnswerFormat.YES_NO and method is Method.SAMPLES:
        temperature, seed = sampling.temperature or 1.0, sample_seed(sampling.seed, sample)
        return {"temperature": temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens, "seed": seed}
    fields = {"temperature": sampling.temperature, "max_tokens": sampling.max_tokens}
    if sampling.temperature > 0:
        fields["top_p"] = sampling.top_p
    return fields if sampling.seed is None else {**fields, "seed": sampling.seed}
