"""Typed decisions: yes-or-no questions about one picture in one call of /v1/systemone. Pure.

Two shapes are about (transformers 5 serve: cli/serving/systemone.py; vLLM: entrypoints/generate/structured_decisions):
both take {"model", "state", "questions": {name: {"type": "noul", "instructions"}}} and answer {"answers": {name:
{"noul": P(true)}}, "usage"}. They differ in how a picture is sent, and each ignores or refuses the other's way; so
which one a server sees is a matter of proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from curation_db.enums import Method
from workbench.generation.engines.image_payload import EncodedImage
from workbench.generation.engines.openai.response import ResponseProblem, token_counts
from workbench.generation.engines.probabilities import from_decision
from workbench.generation.engines.requests import ModelAnswer, ModelRequest, RequestFailure

PATH: Final = "/systemone"
MAX_QUESTIONS: Final = 16
"""In one call; both servers take 64, but what is in flight is what a kill costs."""
_PLACEHOLDER: Final = "<the-picture>"
"""Stands in the state where an asset is shown."""


class PictureShape(StrEnum):
    """How a server takes pictures of typed decisions."""

    ASSETS = "assets"
    """{"assets": {placeholder: {"type", "format", "data_base64"}}} and the placeholder in the state (transformers)."""
    IMAGES = "images"
    """{"images": [data URL]} (vLLM)."""


def preceding_text(ask: ModelRequest) -> str:
    """What stands before the question: all turns but the last. Questions with the same one go together."""
    return "\n\n".join(message.text for message in ask.messages[:-1])


def decision_body(
    asks: Sequence[ModelRequest], *, model: str, picture: EncodedImage | None, shape: PictureShape
) -> dict[str, Any]:
    """The request for `asks`, which share picture and context."""
    questions = [ask.messages[-1].text for ask in asks]
    return questions_body(questions, preceding_text(asks[0]), model=model, picture=picture, shape=shape)


def questions_body(
    questions: Sequence[str], before: str, *, model: str, picture: EncodedImage | None, shape: PictureShape
) -> dict[str, Any]:
    """The request for `questions` about a picture, with `before` ahead of them."""
    made: dict[str, Any] = {
        "model": model,
        "state": before or "Look at it.",
        "questions": {
            question_name(number): {"type": "noul", "instructions": question}
            for number, question in enumerate(questions)
        },
    }
    if picture is not None and shape is PictureShape.ASSETS:
        made["state"] = f"{_PLACEHOLDER}\n\n{before}".strip()
        made["assets"] = {_PLACEHOLDER: {"type": "image", "format": "jpeg", "data_base64": picture.base64}}
    elif picture is not None:
        made["images"] = [picture.url]
    return made


def question_name(number: int) -> str:
    """What question `number` is called in a call."""
    return f"q{number}"


def read_decisions(payload: Any, count: int) -> list[ModelAnswer] | ResponseProblem:
    """The answers to `count` questions, in order; the tokens are shared out evenly."""
    charged = token_counts(payload)
    shares = zip(_shared(charged.prompt_tokens, count), _shared(charged.completion_tokens, count), strict=True)
    answers = []
    for number, (prompt, completion) in enumerate(shares):
        chance = from_decision(payload, question_name(number))
        if chance is not None:
            answers.append(
                ModelAnswer(
                    p=chance.p,
                    label_mass=chance.label_mass,
                    method=Method.DECISION,
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                )
            )
        elif _refuses(payload, question_name(number)):
            answers.append(
                ModelAnswer(error=RequestFailure.REFUSED, detail="the server refuses to decide", prompt_tokens=prompt)
            )
        else:
            detail = "the server's answer holds no decision"
            return ResponseProblem(failure=RequestFailure.MALFORMED, detail=detail, again=True)
    return answers


def _refuses(payload: Any, name: str) -> bool:
    answers = payload.get("answers") if isinstance(payload, Mapping) else None
    answer = answers.get(name) if isinstance(answers, Mapping) else None
    return isinstance(answer, Mapping) and answer.get("type") == "refusal"


def _shared(count: int | None, among: int) -> list[int | None]:
    if count is None:
        return [None] * among
    return [count // among + (number < count % among) for number in range(among)]
