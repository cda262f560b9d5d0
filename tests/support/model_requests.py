"""Questions for engines under test, and a way to have them answered."""

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
from workbench.workspace.engine_settings import EngineSettings

COLOURS = ("red", "blue", "white", "green")


def settings(kind: str, model: str | Path = "", **told: Any) -> EngineSettings:
    """Of an engine under test."""
    return EngineSettings(name="tried", kind=kind, model=str(model), **told)


def surroundings(**told: Any) -> EngineContext:
    """With a budget that nothing reaches."""
    return EngineContext(**({"budget": Budget()} | told))


def yes_no(text: str, picture: Path | ImagePayload | None = None, **told: Any) -> ModelRequest:
    """A question to be answered by yes or no."""
    return _ask(AnswerFormat.YES_NO, text, picture, **({"sampling": Sampling(max_tokens=4)} | told))


def write(text: str, picture: Path | ImagePayload | None = None, *, system: str = "", **sampling: Any) -> ModelRequest:
    """A question to be answered in words."""
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
    """What `engine` says to each of `group`, in its order; each must be told once."""
    told: dict[int, ModelAnswer] = {}

    async def stored(index: int, answer: ModelAnswer) -> None:
        assert index not in told
        told[index] = answer

    await engine.answer(group, stored)
    return [told[index] for index in range(len(group))]


def draw_colours(folder: Path) -> dict[str, Path]:
    """Small pictures of one colour each."""
    paths = {colour: folder / f"{colour}.png" for colour in COLOURS}
    for colour, path in paths.items():
        Image.new("RGB", (50, 40), colour).save(path)
    return paths
