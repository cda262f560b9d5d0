"""The engine kind `transformers`: a chat model in this process, with or without image input.

The model runs in a thread of its own, so that the event loop stays responsive. A batch that does not fit into memory is
halved, and so are all later batches.
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
from workbench.workspace.settings.engines import EngineSettings

if TYPE_CHECKING:
    from PIL import Image

    from workbench.generation.engines.local.model import LocalModel, PreparedRequest


async def make(settings: EngineSettings, context: EngineContext) -> LocalEngine:
    """Load the model that the settings name.

    Raises:
        UsageError: torch is not installed, the model does not exist, or the settings are invalid.
    """
    if not all(map(importlib.util.find_spec, ("torch", "transformers"))):
        raise UsageError("local models need torch and transformers", hint=install_hint("train"))
    if settings.method not in {"auto", "logprobs"}:
        raise UsageError(f"the engine {settings.name} supports the method logprobs only, not {settings.method}")
    if not settings.model:
        raise UsageError(
            f"the engine {settings.name} names no model",
            hint="set model to a folder or to a name on the Hugging Face hub",
        )
    model = await asyncio.to_thread(_load, settings, context.folder)
    if not model.has_chat_template and not settings.raw_prompts:
        raise UsageError(
            f"the model {settings.model} has no chat template",
            hint="use a chat model, or set raw_prompts = true",
        )
    return LocalEngine(model, settings, context.budget, context.notify)


def _load(settings: EngineSettings, folder: Path) -> LocalModel:
    from workbench.generation.engines.local.model import LocalModel  # noqa: PLC0415  # deferred: seconds of torch

    local = folder / Path(settings.model).expanduser()
    name = str(local) if local.is_dir() else settings.model
    return LocalModel(name, revision=settings.revision, device=settings.device, dtype=settings.dtype)


class LocalEngine:
    """Engine with a model in this process."""

    simulated = False

    def __init__(
        self, model: LocalModel, settings: EngineSettings, budget: Budget, notify: Callable[[str], None]
    ) -> None:
        self._model = model
        self._settings = settings
        self._notify = notify
        self._batches: BatchQueue[PreparedRequest] = BatchQueue(
            self._run,
            budget,
            size=settings.batch,
            kind=lambda question: question.kind,
            length=lambda question: (question.request.sampling.max_tokens, len(question.text)),
            tokens=lambda question: _most_tokens(question, settings),
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"engine-{settings.name}")
        self._stop = threading.Event()

    @property
    def model(self) -> str:
        """Name of the folder or on the hub, with a hash of the weights."""
        return self._model.name

    @property
    def capacity(self) -> int:
        """Batch size."""
        return self._batches.size

    @property
    def in_flight(self) -> int:
        """Number of requests in the running batch."""
        return self._batches.in_flight

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """See `Engine`."""
        await self._batches.answer(await asyncio.to_thread(self._prepare, group), store_answer)

    async def close(self) -> None:
        """End the running batch early and unload the model."""
        self._stop.set()
        await self._batches.close()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._model.unload()

    def _prepare(self, group: Sequence[ModelRequest]) -> list[PreparedRequest | ModelAnswer]:
        """Build prompts and decode images; each image is decoded once per group."""
        images: dict[tuple[str, bool], Image.Image | ImageUnavailable] = {}
        return [self._prepare_one(ask, images) for ask in group]

    def _prepare_one(
        self, ask: ModelRequest, images: dict[tuple[str, bool], Image.Image | ImageUnavailable]
    ) -> PreparedRequest | ModelAnswer:
        from workbench.generation.engines.local.model import PreparedRequest  # noqa: PLC0415  # deferred: torch

        image = None
        if ask.picture is not None:
            if not self._model.accepts_images:
                return ModelAnswer(error=RequestFailure.UNSUPPORTED, detail="this model takes no images")
            key = (ask.picture.key, ask.picture.blank)
            if key not in images:
                try:
                    images[key] = load_image(ask.picture, self._settings.picture_side)
                except ImageUnavailable as unavailable:
                    images[key] = unavailable
            loaded = images[key]
            if isinstance(loaded, ImageUnavailable):
                return loaded.answer
            image = loaded
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
        """Answer a batch; halve it as often as necessary to fit into memory.

        Raises:
            EngineStopped: a single request does not fit into memory, or the device is lost.
        """
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._model.answer, batch, self._stop)
        except Exception as error:
            if len(batch) == 1:
                return [self._failed(error)]
            self._halve_batch_size(error, half := -(-len(batch) // 2))
        return [*await self._run(batch[:half]), *await self._run(batch[half:])]

    def _failed(self, error: Exception) -> ModelAnswer:
        message, no_memory = first_line(error), out_of_memory(error)
        if no_memory or _device_is_lost(error):
            hint = "use a smaller model, a smaller picture_side or another device" if no_memory else ""
            raise EngineStopped(f"the engine {self._settings.name} stopped: {message}", hint=hint) from error
        return ModelAnswer(error=RequestFailure.SERVER, detail=message)

    def _halve_batch_size(self, error: Exception, half: int) -> None:
        if not out_of_memory(error):
            return  # one request fails the batch: smaller batches isolate it
        self._model.free_memory()
        if half < self._batches.size:
            self._batches.size = half
            self._notify(f"{self._settings.name}: out of memory; the batch size is now {half}")


def _most_tokens(question: PreparedRequest, settings: EngineSettings) -> int:
    """Return the most tokens of a prompt and its answer: a token has at least one byte."""
    image = settings.picture_tokens if question.image is not None else 0
    return len(question.text.encode("utf-8", "surrogatepass")) + image + question.request.sampling.max_tokens


_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
_DEVICE_LOST = "CUDA error"
"""Torch raises a plain RuntimeError for these two, so the message text is the only way to recognise them."""


def _device_is_lost(error: Exception) -> bool:
    """Whether CUDA failed, after which no kernel runs in this process."""
    return _DEVICE_LOST in first_line(error)


def out_of_memory(error: Exception) -> bool:
    """Whether torch ran out of memory on a GPU or on the CPU."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, (RuntimeError, MemoryError)) and any(text in str(error) for text in _NO_MEMORY)
    )
