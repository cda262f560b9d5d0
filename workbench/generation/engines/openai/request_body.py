"""Questions as the body of /v1/chat/completions. Pure; the same question gives the same bytes.

The live engine and the files for batch farms are made of these functions alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from curation_db.enums import Method
from workbench.generation.engines.probabilities import TOP_LOGPROBS, sample_seed
from workbench.generation.engines.requests import AnswerFormat, Message, ModelRequest


def chat_body(
    ask: ModelRequest, *, model: str, method: Method, picture: str | None, options: Mapping[str, Any], sample: int = 0
) -> dict[str, Any]:
    """The request's JSON object.

    Args:
        method: How a yes or no is asked for; without meaning for texts.
        picture: Its URL.
        options: Further fields; they never replace what the question itself decides. With `max_completion_tokens`
            among them the limit goes by that name, which some hosted models insist on.
        sample: Number of the sampled answer, where several make a probability.
    """
    body: dict[str, Any] = {**options, "model": model, "messages": messages(ask.messages, picture)}
    body.update(_sampling(ask, method, sample))
    if "max_completion_tokens" in options:
        body["max_completion_tokens"] = body.pop("max_tokens")
    return body


def messages(told: Sequence[Message], picture: str | None) -> list[dict[str, Any]]:
    """The turns; the picture stands before the text of the last turn of the user."""
    turns: list[dict[str, Any]] = [{"role": message.role, "content": message.text} for message in told]
    if picture is not None:
        last = max(number for number, message in enumerate(told) if message.role == "user")
        turns[last]["content"] = [
            {"type": "image_url", "image_url": {"url": picture}},
            {"type": "text", "text": told[last].text},
        ]
    return turns


def encoded(body: Mapping[str, Any]) -> bytes:
    """As bytes, in ASCII: a lone surrogate in a caption goes through as what it is."""
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def _sampling(ask: ModelRequest, method: Method, sample: int) -> dict[str, Any]:
    drawn = ask.sampling
    if ask.answer_format is AnswerFormat.YES_NO and method is Method.LOGPROBS:
        fields: dict[str, Any] = {"temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return fields if drawn.seed is None else {**fields, "seed": drawn.seed}
    if ask.answer_format is AnswerFormat.YES_NO and method is Method.SAMPLES:
        temperature, seed = drawn.temperature or 1.0, sample_seed(drawn.seed, sample)
        return {"temperature": temperature, "top_p": drawn.top_p, "max_tokens": drawn.max_tokens, "seed": seed}
    fields = {"temperature": drawn.temperature, "max_tokens": drawn.max_tokens}
    if drawn.temperature > 0:
        fields["top_p"] = drawn.top_p
    return fields if drawn.seed is None else {**fields, "seed": drawn.seed}
