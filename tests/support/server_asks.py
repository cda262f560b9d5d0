"""Model requests for engine tests, and a collector of their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curation_db.enums import Stage
from workbench.generation.engines.protocol import Engine
from workbench.generation.engines.requests import (
    AnswerFormat,
    ImagePayload,
    Message,
    ModelAnswer,
    ModelRequest,
    Sampling,
)


def yes_no(thing: str, picture: ImagePayload | None = None, **sampling: Any) -> ModelRequest:
    """Return a yes-or-no request about the presence of `thing`."""
    text = f"Is there a {thing} in this image? Answer only with 'yes' or 'no'."
    return ModelRequest(
        stage=Stage.PRESENCE,
        answer_format=AnswerFormat.YES_NO,
        prompt="presence@1",
        messages=(Message("user", text),),
        sampling=Sampling(**{"max_tokens": 10, **sampling}),
        picture=picture,
        subject=thing,
    )


def text(words: str, **sampling: Any) -> ModelRequest:
    """Return a text request."""
    return ModelRequest(
        stage=Stage.PROPOSE,
        answer_format=AnswerFormat.TEXT,
        prompt="propose@1",
        messages=(Message("system", "You answer with few words."), Message("user", words)),
        sampling=Sampling(**{"max_tokens": 64, **sampling}),
        subject=words[:40],
    )


def picture(path: Path | None, *, blank: bool = False) -> ImagePayload:
    """Return the image payload of a file."""
    return ImagePayload(key=f"test/{path.name if path else 'none'}", path=path, blank=blank)


class Answers:
    """Stored answers by index."""

    def __init__(self) -> None:
        self.by_index: dict[int, ModelAnswer] = {}

    async def store(self, index: int, answer: ModelAnswer) -> None:
        """See `protocol.StoreAnswer`."""
        assert index not in self.by_index, "answered twice"
        self.by_index[index] = answer


async def answers(engine: Engine, requests: Sequence[ModelRequest]) -> list[ModelAnswer]:
    """Return the answers to `requests`, in order."""
    received = Answers()
    await engine.answer(requests, received.store)
    return [received.by_index[index] for index in range(len(requests))]


def seen(**values: Any) -> Mapping[str, Any]:
    """Return probed capabilities in the record's format: seen(logprobs=20, decision=None)."""
    return {name: {"seen": "yes", "evidence": "", "value": value} for name, value in values.items()}
