"""Model requests for tests of local engines, and a function that collects the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from curation_db.enums import Stage
from workbench.generation.budget import Budget
from workbench.generation.engines.protocol import Engine, EngineContext
from workbench.generation.engines.requests import (
    AnswerFormat,
    ImagePayload,
    Message,
    ModelAnswer,
    ModelRequest,
    Sampling,
)
from workbench.workspace.settings.engines import EngineSettings

COLOURS = ("red", "blue", "white", "green")


def settings(kind: str, model: str | Path = "", **options: Any) -> EngineSettings:
    """Return the settings of an engine under test."""
    return EngineSettings(name="tried", kind=kind, model=str(model), **options)


def surroundings(**options: Any) -> EngineContext:
    """Return an engine context with an unlimited budget."""
    return EngineContext(**({"budget": Budget()} | options))


def yes_no(text: str, picture: Path | ImagePayload | None = None, **options: Any) -> ModelRequest:
    """Return a yes-or-no request."""
    return _ask(AnswerFormat.YES_NO, text, picture, **({"sampling": Sampling(max_tokens=4)} | options))


def write(text: str, picture: Path | ImagePayload | None = None, *, system: str = "", **sampling: Any) -> ModelRequest:
    """Return a text request."""
    sampled = Sampling(**({"temperature": 0.8, "top_p": 0.9, "max_tokens": 40, "seed": 0} | sampling))
    return _ask(AnswerFormat.TEXT, text, picture, system=system, sampling=sampled)


def _ask(
    answer_format: AnswerFormat,
    text: str,
    picture: Path | ImagePayload | None,
    *,
    sampling: Sampling,
    system: str = "",
    stage: Stage = Stage.PRESENCE,
    raw: str | None = None,
    facts: Mapping[str, str] | None = None,
) -> ModelRequest:
    shown = ImagePayload(key=f"s/{picture.name}", path=picture) if isinstance(picture, Path) else picture
    before = (Message("system", system),) if system else ()
    return ModelRequest(
        stage=stage,
        answer_format=answer_format,
        prompt="test",
        messages=(*before, Message("user", text)),
        sampling=sampling,
        picture=shown,
        subject=text,
        raw=raw,
        facts=facts or {},
    )


async def answers(engine: Engine, group: Sequence[ModelRequest]) -> list[ModelAnswer]:
    """Return the engine's answers to `group`, in order; each request must be answered once."""
    answers_by_index: dict[int, ModelAnswer] = {}

    async def store_answer(index: int, answer: ModelAnswer) -> None:
        assert index not in answers_by_index
        answers_by_index[index] = answer

    await engine.answer(group, store_answer)
    return [answers_by_index[index] for index in range(len(group))]


def draw_colours(folder: Path) -> dict[str, Path]:
    """Draw small images of one colour each."""
    paths = {colour: folder / f"{colour}.png" for colour in COLOURS}
    for colour, path in paths.items():
        Image.new("RGB", (50, 40), colour).save(path)
    return paths
