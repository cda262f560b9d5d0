"""The engine "transformers": a chat model in this process, with or without eyes.

It works in a thread of its own, so that the event loop lives. A batch that does not fit the memory is halved, and so
are all after it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from curation_db.language.sanitize import display_text, first_line
from workbench.errors import UsageError
from workbench.generation.budget import Budget
from workbench.generation.engines.image_input import ImageUnavailable, load_image
from workbench.generation.engines.local.batching import BatchQueue
from workbench.generation.engines.protocol import EngineContext, EngineStopped, StoreAnswer
from workbench.generation.engines.requests import ModelAnswer, ModelRequest, RequestFailure
from workbench.installation import install_hint
from workbench.workspace.engine_settings import EngineSettings

if TYPE_CHECKING:
    from PIL import Image

    from workbench.generation.engines.local.model import LocalModel, PreparedRequest


async def make(settings: EngineSettings, context: EngineContext) -> LocalEngine:
    """Load the model that the settings name.

    Raises:
        UsageError: torch is not installed, there is no such model, or the settings are off.
    """
    if not all(map(importlib.util.find_spec, ("torch", "transformers"))):
        raise UsageError("local models need torch and transformers", hint=install_hint("train"))
    if settings.method not in {"auto", "logprobs"}:
        raise UsageError(f"the engine {settings.name} gives probabilities by logprobs, not by {settings.method}")
    if not settings.model:
        raise UsageError(f"the engine {settings.name} names no model", hint="a folder, or a model's name on the hub")
    model = await asyncio.to_thread(_load, settings, context.folder)
    if not model.has_chat_template and not settings.raw_prompts:
        raise UsageError(
            f"the model {settings.model} has no chat template",
            hint="take one that was trained to chat, or set raw_prompts",
        )
    return LocalEngine(model, settings, context.budget, context.notify)


def _load(settings: EngineSettings, folder: Path) -> LocalModel:
    from workbench.generation.engines.local.model import LocalModel  # noqa: PLC0415  # deferred: seconds of torch

    beside = folder / Path(settings.model).expanduser()
    name = str(beside) if beside.is_dir() else settings.model
    return LocalModel(name, revision=settings.revision, device=settings.device, dtype=settings.dtype)


class LocalEngine:
    """See the module."""

    simulated = False

    def __init__(self, model: LocalModel, settings: EngineSettings, budget: Budget, say: Callable[[str], None]) -> None:
        self._model = model
        self._settings = settings
        self._say = say
        self._batches: BatchQueue[PreparedRequest] = BatchQueue(
            self._run,
            budget,
            size=settings.batch,
            kind=lambda question: question.kind,
            length=lambda question: (question.request.sampling.max_tokens, len(question.text)),
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"engine-{settings.name}")
        self._stop = threading.Event()

    @property
    def model(self) -> str:
        """The folder's name or the hub's, with what tells its weights from others of that name."""
        return self._model.name

    @property
    def capacity(self) -> int:
        """A batch."""
        return self._batches.size

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """As `Engine.answer`."""
        await self._batches.answer(await asyncio.to_thread(self._prepare, group), store_answer)

    async def close(self) -> None:
        """Let the batch in the works end early, and forget the model."""
        self._stop.set()
        await self._batches.close()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._model.unload()

    def _prepare(self, group: Sequence[ModelRequest]) -> list[PreparedRequest | ModelAnswer]:
        """Prompts and decoded pictures; a picture that several ask about is decoded once."""
        seen: dict[tuple[str, bool], Image.Image | ImageUnavailable] = {}
        return [self._prepare_one(ask, seen) for ask in group]

    def _prepare_one(
        self, ask: ModelRequest, seen: dict[tuple[str, bool], Image.Image | ImageUnavailable]
    ) -> PreparedRequest | ModelAnswer:
        from workbench.generation.engines.local.model import PreparedRequest  # noqa: PLC0415  # deferred: torch

        image = None
        if ask.picture is not None:
            if not self._model.accepts_images:
                return ModelAnswer(error=RequestFailure.UNSUPPORTED, detail="this model cannot see")
            key = (ask.picture.key, ask.picture.blank)
            if key not in seen:
                try:
                    seen[key] = load_image(ask.picture, self._settings.picture_side)
                except ImageUnavailable as unseen:
                    seen[key] = unseen
            found = seen[key]
            if isinstance(found, ImageUnavailable):
                return found.answer
            image = found
        if self._settings.raw_prompts and ask.raw is not None:
            return PreparedRequest(request=ask, text=ask.raw, image=image, raw=True)
        if not self._model.has_chat_template:
            return ModelAnswer(error=RequestFailure.UNSUPPORTED, detail="this model has no chat template")
        try:
            text = self._model.prompt(ask.messages, picture=image is not None)
        except ValueError as error:
            return ModelAnswer(error=RequestFailure.UNSUPPORTED, detail=display_text(str(error), limit=200))
        return PreparedRequest(request=ask, text=text, image=image, raw=False)

    async def _run(self, batch: list[PreparedRequest]) -> list[ModelAnswer]:
        """Answers to these, halved as often as it takes to fit the memory.

        Raises:
            EngineStopped: the memory does not hold a single question, or the device is lost.
        """
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._model.answer, batch, self._stop)
        except Exception as error:
            if len(batch) == 1:
                return [self._failed(error)]
            self._make_room(error, half := -(-len(batch) // 2))
        return [*await self._run(batch[:half]), *await self._run(batch[half:])]

    def _failed(self, error: Exception) -> ModelAnswer:
        told, full = first_line(error), out_of_memory(error)
        if full or _device_is_lost(error):
            hint = "a smaller model, a smaller picture_side, or another device" if full else ""
            raise EngineStopped(f"the engine {self._settings.name} stopped: {told}", hint=hint) from error
        return ModelAnswer(error=RequestFailure.SERVER, detail=told)

    def _make_room(self, error: Exception, half: int) -> None:
        if not out_of_memory(error):
            return  # one question spoils the batch: found out by asking fewer at a time
        self._model.free_memory()
        if half < self._batches.size:
            self._batches.size = half
            self._say(f"{self._settings.name}: out of memory, from now on {half} questions at a time")


_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
_DEVICE_LOST = "CUDA error"
"""Torch raises a bare RuntimeError for these two, so the text of its message is the only code there is."""


def _device_is_lost(error: Exception) -> bool:
    """Whether CUDA failed: no kernel runs in this process afterwards."""
    return _DEVICE_LOST in first_line(error)


def out_of_memory(error: Exception) -> bool:
    """Whether torch found no memory, on a GPU or on the CPU."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, (RuntimeError, MemoryError)) and any(text in str(error) for text in _NO_MEMORY)
    )
