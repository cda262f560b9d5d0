"""The engine "clip": judges whether a negated caption fits its picture better than the original one does.

It answers the question whether the whole caption is acceptable, no other. CLIP runs in a child process
(`trainers.clip_margin_worker`): this one loads no torch, and a model that takes the process down takes no run with it.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from curation_db.enums import Method, Stage
from curation_db.foreign_json import parse_json
from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.local.batching import BatchQueue
from workbench.generation.engines.protocol import EngineContext, EngineStopped, StoreAnswer
from workbench.generation.engines.requests import ModelAnswer, ModelRequest, RequestFailure
from workbench.workspace.engine_settings import EngineSettings
from workbench.workspace.layout import Workspace
from workbench.workspace.models import BASE, find_model, require_torch

_LINE: Final = 1 << 20
"""Bytes of the longest line that the child may say."""
_LAST_WORDS: Final = 4096
"""Bytes of its stderr that are remembered."""
_END_S: Final = 5.0


async def make(settings: EngineSettings, context: EngineContext) -> ClipEngine:
    """Start the child and wait until its model is loaded; `settings.model` as `negwb bench run --model` takes it.

    Raises:
        UsageError: torch is not installed, or there is no such model.
        EngineStopped: the child ended.
    """
    require_torch()
    model = find_model(Workspace(context.folder.absolute()), settings.model or BASE)
    child = _ClipProcess(settings.name, await _start(model.spec, settings.device))
    try:
        told = await child.read_message()
        if "ready" not in told:
            raise UsageError(
                f"the model of the engine {settings.name} cannot be loaded: {display_text(str(told.get('failed')))}",
                hint=str(told.get("hint", "")),
            )
    except BaseException:
        await child.end()
        raise
    return ClipEngine(f"{model.label}@{str(told['ready']['model_hash'])[:12]}", child, settings, context.budget)


async def _start(spec: str, device: str) -> Process:
    command = (
        sys.executable,
        "-P",
        "-m",
        "trainers.clip_margin_worker",
        spec,
        "--device",
        "cpu" if device == "auto" else device,
    )
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LINE, start_new_session=True
    )


class ClipEngine:
    """See the module."""

    simulated = False

    def __init__(self, model: str, child: _ClipProcess, settings: EngineSettings, budget: Budget) -> None:
        self._name = model
        self._child = child
        self._batches: BatchQueue[dict[str, Any]] = BatchQueue(self._run, budget, size=settings.batch)

    @property
    def model(self) -> str:
        """What reports call it, with its hash."""
        return self._name

    @property
    def capacity(self) -> int:
        """A batch."""
        return self._batches.size

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """As `Engine.answer`."""
        await self._batches.answer([pair_of(ask) for ask in group], store_answer)

    async def close(self) -> None:
        """End the child."""
        await self._batches.close()
        await self._child.end()

    async def _run(self, batch: list[dict[str, Any]]) -> list[ModelAnswer]:
        told = (await self._child.client({"pairs": batch})).get("scores")
        if not isinstance(told, list) or len(told) != len(batch):
            raise EngineStopped("the process that runs CLIP does not keep to its protocol")
        return [answer_of(score) for score in told]


def pair_of(ask: ModelRequest) -> dict[str, Any] | ModelAnswer:
    """What the child is asked, or why it is not."""
    text, original = ask.facts.get("text"), ask.facts.get("original")
    if ask.stage is not Stage.ACCEPTABLE or not text or not original:
        return ModelAnswer(
            error=RequestFailure.UNSUPPORTED, detail="CLIP compares a caption with the one that it was made from"
        )
    if ask.picture is None or ask.picture.blank:
        return ModelAnswer(error=RequestFailure.UNSUPPORTED, detail="CLIP has to look at a picture")
    path = ask.picture.path
    if path is None or not path.is_file():
        return ModelAnswer(error=RequestFailure.PICTURE_MISSING, detail="the picture is missing")
    return {"picture": str(path), "texts": [text, original]}


def answer_of(score: dict[str, Any]) -> ModelAnswer:
    """What the child's score says: P(acceptable) is the negated caption's share."""
    if "failed" in score:
        return ModelAnswer(error=RequestFailure.PICTURE_BAD, detail=display_text(str(score["failed"]), limit=200))
    if not math.isfinite(score["share"]):
        return ModelAnswer(error=RequestFailure.SERVER, detail="the model's features are no numbers")
    return ModelAnswer(text=f"margin {score['margin']:+.4f}", p=float(score["share"]), method=Method.SCORE)


class _ClipProcess:
    """The process with the model: one line asked, one line told."""

    def __init__(self, engine: str, process: Process) -> None:
        self._engine = engine
        self._process = process
        self._said = b""
        self._ear = asyncio.create_task(self._listen())  # a full pipe would stop it

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(_LAST_WORDS):
            self._said = (self._said + chunk)[-_LAST_WORDS:]

    async def client(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to one question.

        Raises:
            EngineStopped: the process ended, however it did.
        """
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # why it ended is told below
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            await self._process.stdin.drain()
        return await self.read_message()

    async def read_message(self) -> dict[str, Any]:
        """The next line.

        Raises:
            EngineStopped: the process ended, or said something else.
        """
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readline()
            told = parse_json(line) if line.endswith(b"\n") else None
        except ValueError:
            told = None
        if isinstance(told, dict):
            return told
        raise EngineStopped(await self._epitaph(), hint="what was answered is kept; the same command goes on")

    async def _epitaph(self) -> str:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _END_S)
            await asyncio.wait_for(self._ear, _END_S)
        code = self._process.returncode
        how = "says what nobody understands" if code is None else f"ended with code {code}"
        how = f"was killed by signal {-code}" if code is not None and code < 0 else how
        said = [line for line in self._said.decode(errors="replace").splitlines() if line.strip()]
        last = f"; it last said: {display_text(said[-1], limit=200)}" if said else ""
        return f"the process that runs CLIP for the engine {self._engine} {how}{last}"

    async def end(self) -> None:
        """Close its ears, then end it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _END_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._ear
