"""The engine kind `clip`: judges whether a negated caption fits its image better than the original caption does, and
whether an object is in an image (`clip_presence`).

CLIP runs in a child process (`trainers.clip_margin_worker`): this process loads no torch, and a crash of the model does
not end the run.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from curation_db.enums import Method, Stage
from curation_db.foreign_json import parse_json
from curation_db.language.sanitize import display_text
from workbench.errors import UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.answer_identity import RequestKind, settings_in_use
from workbench.generation.engines.local.batching import BatchQueue
from workbench.generation.engines.local.clip_presence import (
    STATISTIC,
    PresencePrompts,
    presence_answer,
    presence_of,
)
from workbench.generation.engines.protocol import EngineContext, EngineStopped, StoreAnswer
from workbench.generation.engines.requests import ModelAnswer, ModelRequest, RequestFailure
from workbench.workspace.layout import Workspace
from workbench.workspace.models import BASE, find_model, require_torch
from workbench.workspace.settings.engines import EngineSettings

_LINE: Final = 1 << 20
"""Bytes of the longest line that the child process may send."""
_STDERR_BYTES: Final = 4096
"""Bytes of its stderr that are kept for the error message."""
_EXIT_WAIT_S: Final = 5.0


async def make(settings: EngineSettings, context: EngineContext) -> ClipEngine:
    """Start the child process and wait for its model; `settings.model` is a name as for `negwb bench run --model`.

    Raises:
        UsageError: torch is not installed, the model does not exist, or an option is invalid.
        EngineStopped: the child process ended.
    """
    require_torch()
    prompts = PresencePrompts.of(settings.name, settings.options)
    model = find_model(Workspace(context.folder.absolute()), settings.model or BASE)
    process = _ClipProcess(settings.name, await _start(model.spec, settings.device))
    try:
        message = await process.read_message()
        if "ready" not in message:
            raise UsageError(
                f"the model of the engine {settings.name} cannot be loaded: {display_text(str(message.get('failed')))}",
                hint=str(message.get("hint", "")),
            )
    except BaseException:
        await process.stop()
        raise
    name = f"{model.label}@{str(message['ready']['model_hash'])[:12]}"
    return ClipEngine(name, process, settings, context.budget, prompts)


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
    """Engine with CLIP in a child process."""

    simulated = False

    def __init__(
        self, model: str, process: _ClipProcess, settings: EngineSettings, budget: Budget, prompts: PresencePrompts
    ) -> None:
        self._name = model
        self._child = process
        self._settings = settings
        self._prompts = prompts
        self._batches: BatchQueue[dict[str, Any]] = BatchQueue(
            self._run, budget, size=settings.batch, kind=lambda message: "pairs" if "texts" in message else "presences"
        )

    @property
    def model(self) -> str:
        """Model label with the hash of its weights."""
        return self._name

    @property
    def capacity(self) -> int:
        """Batch size."""
        return self._batches.size

    @property
    def in_flight(self) -> int:
        """Number of comparisons in the running batch."""
        return self._batches.in_flight

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """See `Engine`."""
        await self._batches.answer([message_of(ask, self._prompts) for ask in group], store_answer)

    def answer_settings(self, kind: RequestKind) -> Mapping[str, Any]:
        """See `AnswerIdentity.of`: the statistic changes answers about presence only."""
        in_use = settings_in_use(self._settings, None, kind)
        return {**in_use, "statistic": STATISTIC} if kind.presence else in_use

    async def close(self) -> None:
        """Stop the child process."""
        await self._batches.close()
        await self._child.stop()

    async def _run(self, batch: list[dict[str, Any]]) -> list[ModelAnswer]:
        name = "pairs" if "texts" in batch[0] else "presences"  # a batch has one kind
        message = (await self._child.client({name: batch})).get("scores")
        if not isinstance(message, list) or len(message) != len(batch):
            raise EngineStopped("the process that runs CLIP sent an invalid message")
        return [answer_of(score) for score in message]


def message_of(ask: ModelRequest, prompts: PresencePrompts) -> dict[str, Any] | ModelAnswer:
    """Return the message for the child process, or an error answer."""
    text, original = ask.facts.get("text"), ask.facts.get("original")
    if ask.stage is not Stage.PRESENCE and (ask.stage is not Stage.ACCEPTABLE or not text or not original):
        return ModelAnswer(
            error=RequestFailure.UNSUPPORTED, detail="CLIP only compares a negated caption with its original"
        )
    # no prior of a blank image: z is relative to the other objects, and less reliable minus that of a blank image
    if ask.picture is None or ask.picture.blank:
        return ModelAnswer(error=RequestFailure.UNSUPPORTED, detail="CLIP needs an image")
    path = ask.picture.path
    if path is None or not path.is_file():
        return ModelAnswer(error=RequestFailure.PICTURE_MISSING, detail="the image is missing")
    if ask.stage is Stage.PRESENCE:
        return presence_of(prompts, str(path), ask.facts)
    return {"picture": str(path), "texts": [text, original]}


def answer_of(score: dict[str, Any]) -> ModelAnswer:
    """Convert a score: P(acceptable) is the negated caption's share of the softmax over both captions; P(present) is as
    in `clip_presence`."""
    if "failed" in score:
        return ModelAnswer(error=RequestFailure.PICTURE_BAD, detail=display_text(str(score["failed"]), limit=200))
    if "z" in score:
        return presence_answer(score["z"])
    if not math.isfinite(score["share"]):
        return ModelAnswer(error=RequestFailure.SERVER, detail="the model's features are not finite")
    return ModelAnswer(text=f"margin {score['margin']:+.4f}", p=float(score["share"]), method=Method.SCORE)


class _ClipProcess:
    """The child process: one JSON line per message and reply."""

    def __init__(self, engine: str, process: Process) -> None:
        self._engine = engine
        self._process = process
        self._stderr = b""
        self._stderr_reader = asyncio.create_task(self._read_stderr())  # a full pipe would block the process

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(_STDERR_BYTES):
            self._stderr = (self._stderr + chunk)[-_STDERR_BYTES:]

    async def client(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a message and return the reply.

        Raises:
            EngineStopped: the process ended.
        """
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # read_message reports why the process ended
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            await self._process.stdin.drain()
        return await self.read_message()

    async def read_message(self) -> dict[str, Any]:
        """Return the next message.

        Raises:
            EngineStopped: the process ended, or sent something else.
        """
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readline()
            message = parse_json(line) if line.endswith(b"\n") else None
        except ValueError:
            message = None
        if isinstance(message, dict):
            return message
        raise EngineStopped(
            await self._exit_message(), hint="all answers are stored; run the same command again to continue"
        )

    async def _exit_message(self) -> str:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _EXIT_WAIT_S)
            await asyncio.wait_for(self._stderr_reader, _EXIT_WAIT_S)
        code = self._process.returncode
        how = "sent an invalid message" if code is None else f"ended with code {code}"
        how = f"was killed by signal {-code}" if code is not None and code < 0 else how
        lines = [line for line in self._stderr.decode(errors="replace").splitlines() if line.strip()]
        last = f"; its last output: {display_text(lines[-1], limit=200)}" if lines else ""
        return f"the process that runs CLIP for the engine {self._engine} {how}{last}"

    async def stop(self) -> None:
        """Close stdin and wait for the exit; kill the process after a timeout."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _EXIT_WAIT_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._stderr_reader
