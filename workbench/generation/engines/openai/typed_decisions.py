"""Typed decisions: yes-or-no questions about one image in one call of /v1/systemone. Pure.

Two servers implement it (transformers 5 serve: cli/serving/systemone.py; vLLM: entrypoints/generate/
structured_decisions). Both take {"model", "state", "questions": {name: {"type": "noul", "instructions"}}} and answer
{"answers": {name: {"noul": P(true)}}, "usage"}. They take images in different fields, and each ignores or rejects the
other's field; the probe finds out which one a server uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from curation_db.enums import Method
from workbench.generation.engines.image_payload import EncodedImage
from workbench.generation.engines.openai.responses.response import ResponseProblem, token_counts
from workbench.generation.engines.probabilities import from_decision
from workbench.generation.engines.requests import ModelAnswer, ModelRequest, RequestFailure

PATH: Final = "/systemone"
MAX_QUESTIONS: Final = 16
"""Most questions in one call. Both servers take 64, but a killed run loses the questions in flight."""
_PLACEHOLDER: Final = "<the-picture>"
"""Placeholder of an asset in the state."""


class PictureShape(StrEnum):
    """Request field in which a server takes the image."""

    ASSETS = "assets"
    """{"assets": {placeholder: {"type", "format", "data_base64"}}} and the placeholder in the state (transformers)."""
    IMAGES = "images"
    """{"images": [data URL]} (vLLM)."""


def preceding_text(request: ModelRequest) -> str:
    """Return the text of all messages but the last. Questions with equal preceding text share a call."""
    return "\n\n".join(message.text for message in request.messages[:-1])


def decision_body(
    requests: Sequence[ModelRequest], *, model: str, picture: EncodedImage | None, shape: PictureShape
) -> dict[str, Any]:
    """Build the body for requests that share image and preceding text."""
    questions = [request.messages[-1].text for request in requests]
    return questions_body(questions, preceding_text(requests[0]), model=model, picture=picture, shape=shape)


def questions_body(
    questions: Sequence[str], before: str, *, model: str, picture: EncodedImage | None, shape: PictureShape
) -> dict[str, Any]:
    """Build the body for `questions` about an image, with the text `before` ahead of them."""
    body: dict[str, Any] = {
        "model": model,
        "state": before or "Look at it.",
        "questions": {
            question_name(number): {"type": "noul", "instructions": question}
            for number, question in enumerate(questions)
        },
    }
    if picture is not None and shape is PictureShape.ASSETS:
        body["state"] = f"{_PLACEHOLDER}\n\n{before}".strip()
        body["assets"] = {_PLACEHOLDER: {"type": "image", "format": "jpeg", "data_base64": picture.base64}}
    elif picture is not None:
        body["images"] = [picture.url]
    return body


def question_name(number: int) -> str:
    """Return the name of question `number` in a call."""
    return f"q{number}"


def read_decisions(payload: Any, count: int) -> list[ModelAnswer] | ResponseProblem:
    """Return the answers to `count` questions in order; the token counts are divided evenly."""
    counts = token_counts(payload)
    shares = zip(_divided(counts.prompt_tokens, count), _divided(counts.completion_tokens, count), strict=True)
    answers = []
    for number, (prompt, completion) in enumerate(shares):
        probability = from_decision(payload, question_name(number))
        if probability is not None:
            answers.append(
                ModelAnswer(
                    p=probability.p,
                    label_mass=probability.label_mass,
                    method=Method.DECISION,
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                )
            )
        elif _refuses(payload, question_name(number)):
            answers.append(
                ModelAnswer(error=RequestFailure.REFUSED, detail="the server refused to decide", prompt_tokens=prompt)
            )
        else:
            detail = "the server's answer contains no decision"
            return ResponseProblem(failure=RequestFailure.MALFORMED, detail=detail, retryable=True)
    return answers


def _refuses(payload: Any, name: str) -> bool:
    answers = payload.get("answers") if isinstance(payload, Mapping) else None
    answer = answers.get(name) if isinstance(answers, Mapping) else None
    return isinstance(answer, Mapping) and answer.get("type") == "refusal"


def _divided(count: int | None, among: int) -> list[int | None]:
    if count is None:
        return [None] * among
    return [count // among + (number < count % among) for number in range(among)]
