"""The engine "transformers": a chat model in this process, with or without eyes.

Questions of all groups that wait at the same time are answered in batches of one kind, in a thread of its own so that
the event loop lives. A batch that does not fit the memory is halved, and so are all after it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from curation_db.text import display_text
from workbench.errors import UsageError
from workbench.generation.asks import Answer, Ask, Failure
from workbench.generation.budget import Budget, BudgetReached
from workbench.generation.engines.protocol import EngineSettings, EngineStopped, Stored, Surroundings
from workbench.generation.pictures import Unseen, open_picture

if TYPE_CHECKING:
    from PIL import Image

    from workbench.generation.engines.local_model import LocalModel, Prepared

_GATHER_S: Final = 0.005
"""How long a batch waits for questions of other groups."""
_WINDOW: Final = 8
"""Batches from whose questions the next one is put together, those of a length beside each other."""


async def make(settings: EngineSettings, surroundings: Surroundings) -> LocalEngine:
    """Load the model that the settings name.

    Raises:
        UsageError: torch is not installed, there is no such model, or the settings are off.
    """
    if not all(map(importlib.util.find_spec, ("torch", "transformers"))):
        raise UsageError(
            "local models need torch and transformers", hint='install them with: pip install "negwb[train]"'
        )
    if settings.method not in {"auto", "logprobs"}:
        raise UsageError(f"the engine {settings.name} gives probabilities by logprobs, not by {settings.method}")
    if not settings.model:
        raise UsageError(f"the engine {settings.name} names no model", hint="a folder, or a model's name on the hub")
    model = await asyncio.to_thread(_load, settings, surroundings.folder)
    if not model.chats and not settings.raw_prompts:
        raise UsageError(
            f"the model {settings.model} has no chat template",
            hint="take one that was trained to chat, or set raw_prompts",
        )
    return LocalEngine(model, settings, surroundings.budget, surroundings.say)


def _load(settings: EngineSettings, folder: Path) -> LocalModel:
    from workbench.generation.engines.local_model import LocalModel  # noqa: PLC0415  # deferred: seconds of torch

    beside = folder / Path(settings.model).expanduser()
    name = str(beside) if beside.is_dir() else settings.model
    return LocalModel(name, revision=settings.revision, device=settings.device, dtype=settings.dtype)


@dataclass(slots=True, eq=False)
class _Waiting:
    question: Prepared
    answer: asyncio.Future[Answer]


class LocalEngine:
    """See the module."""

    simulated = False

    def __init__(self, model: LocalModel, settings: EngineSettings, budget: Budget, say: Callable[[str], None]) -> None:
        self._model = model
        self._settings = settings
        self._budget = budget
        self._say = say
        self._batch = max(1, settings.batch)
        self._waiting: deque[_Waiting] = deque()
        self._unanswered: set[asyncio.Future[Answer]] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"engine-{settings.name}")
        self._stop = threading.Event()
        self._pump: asyncio.Task[None] | None = None
        self._stopped: EngineStopped | None = None

    @property
    def model(self) -> str:
        """The folder's name or the hub's, with what tells its weights from others of that name."""
        return self._model.name

    @property
    def capacity(self) -> int:
        """A batch."""
        return self._batch

    async def answer(self, group: Sequence[Ask], stored: Stored) -> None:
        """As `Engine.answer`; where the budget ends within the group, what was asked before is still answered."""
        ready = await asyncio.to_thread(self._prepare, group)
        told = await asyncio.gather(
            *(self._answer_one(index, question, stored) for index, question in enumerate(ready)),
            return_exceptions=True,
        )
        failed = [error for error in told if error is not None]
        failed.sort(key=lambda error: isinstance(error, BudgetReached))
        if failed:
            raise failed[0]

    async def _answer_one(self, index: int, question: Prepared | Answer, stored: Stored) -> None:
        if isinstance(question, Answer):
            await stored(index, question)
            return
        if self._stopped is not None:
            raise self._stopped
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._unanswered.add(future)
        future.add_done_callback(self._unanswered.discard)
        self._waiting.append(_Waiting(question, future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._work())
        answer = await future
        self._budget.spend((answer.prompt_tokens or 0) + (answer.completion_tokens or 0), answer.cost)
        await stored(index, answer)

    async def close(self) -> None:
        """Let the batch in the works end early, and forget the model."""
        self._stop.set()
        if self._pump is not None:
            self._pump.cancel()
            with suppress(asyncio.CancelledError):
                await self._pump
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        for left in tuple(self._unanswered):
            left.cancel()
        self._waiting.clear()
        self._model.forget()

    def _prepare(self, group: Sequence[Ask]) -> list[Prepared | Answer]:
        """Prompts and decoded pictures; a picture that several ask about is decoded once."""
        seen: dict[tuple[str, bool], Image.Image | Unseen] = {}
        return [self._prepare_one(ask, seen) for ask in group]

    def _prepare_one(self, ask: Ask, seen: dict[tuple[str, bool], Image.Image | Unseen]) -> Prepared | Answer:
        from workbench.generation.engines.local_model import Prepared  # noqa: PLC0415  # deferred: torch

        image = None
        if ask.picture is not None:
            if not self._model.sees:
                return Answer(error=Failure.UNSUPPORTED, detail="this model cannot see")
            key = (ask.picture.key, ask.picture.blank)
            if key not in seen:
                try:
                    seen[key] = open_picture(ask.picture, self._settings.picture_side)
                except Unseen as unseen:
                    seen[key] = unseen
            found = seen[key]
            if isinstance(found, Unseen):
                return found.answer
            image = found
        if self._settings.raw_prompts and ask.raw is not None:
            return Prepared(ask=ask, text=ask.raw, image=image, raw=True)
        if not self._model.chats:
            return Answer(error=Failure.UNSUPPORTED, detail="this model has no chat template")
        try:
            text = self._model.prompt(ask.messages, picture=image is not None)
        except ValueError as error:
            return Answer(error=Failure.UNSUPPORTED, detail=display_text(str(error), limit=200))
        return Prepared(ask=ask, text=text, image=image, raw=False)

    async def _work(self) -> None:
        """Answer what waits, until nothing does."""
        while self._waiting:
            await asyncio.sleep(_GATHER_S)
            parts = deque([self._paid(take_batch(self._waiting, self._batch))])
            while parts:
                part = parts.popleft()
                try:
                    parts.extendleft(reversed(await self._run(part)))
                except EngineStopped as stopped:
                    self._stopped = stopped
                    for left in (*part, *(each for others in parts for each in others), *self._waiting):
                        if not left.answer.done():
                            left.answer.set_exception(stopped)
                    self._waiting.clear()
                    return

    def _paid(self, batch: list[_Waiting]) -> list[_Waiting]:
        """Those that the budget still allows."""
        for place in range(len(batch)):
            try:
                self._budget.take()
            except BudgetReached as reached:
                for refused in batch[place:]:
                    refused.answer.set_exception(reached)
                return batch[:place]
        return batch

    async def _run(self, part: list[_Waiting]) -> list[list[_Waiting]]:
        """Answer these, or say in which smaller parts to try them again.

        Raises:
            EngineStopped: the memory does not hold a single question, or the device is lost.
        """
        questions = [each.question for each in part]
        if not questions:
            return []
        began = time.perf_counter()
        try:
            loop = asyncio.get_running_loop()
            answers = await loop.run_in_executor(self._thread, self._model.answer, questions, self._stop)
        except Exception as error:
            return self._after(error, part)
        took = (time.perf_counter() - began) * 1000
        for each, answer in zip(part, answers, strict=True):
            if not each.answer.done():  # cancelled meanwhile
                each.answer.set_result(replace(answer, latency_ms=took))
        return []

    def _after(self, error: Exception, part: list[_Waiting]) -> list[list[_Waiting]]:
        told = display_text(str(error).strip().split("\n")[0] or repr(error), limit=200)
        full = out_of_memory(error)
        if (full and len(part) == 1) or "CUDA error" in told:  # after which no kernel runs any more
            hint = "a smaller model, a smaller picture_side, or another device" if full else ""
            raise EngineStopped(f"the engine {self._settings.name} stopped: {told}", hint=hint) from error
        if len(part) == 1:
            if not part[0].answer.done():
                part[0].answer.set_result(Answer(error=Failure.SERVER, detail=told))
            return []
        half = -(-len(part) // 2)
        if full:
            self._model.make_room()
            if half < self._batch:
                self._batch = half
                self._say(f"{self._settings.name}: out of memory, from now on {half} questions at a time")
        return [part[:half], part[half:]]


def out_of_memory(error: Exception) -> bool:
    """Whether torch found no memory, on a GPU or on the CPU."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, (RuntimeError, MemoryError))
        and any(word in str(error) for word in ("out of memory", "not enough memory", "can't allocate memory"))
    )


def take_batch(waiting: deque[_Waiting], most: int) -> list[_Waiting]:
    """Take out at most `most` questions that may share a batch: the one that waits longest is among them, the others
    are of about its length, so that little is padded."""
    alive = [each for each in waiting if not each.answer.done()]
    waiting.clear()
    waiting.extend(alive)
    if not alive:
        return []
    oldest = alive[0]
    same = [each for each in alive if each.question.kind == oldest.question.kind][: most * _WINDOW]
    same.sort(key=lambda each: (each.question.ask.sampling.max_tokens, len(each.question.text)))
    place = next(place for place, each in enumerate(same) if each is oldest)
    start = max(0, min(place - most // 2, len(same) - most))
    batch = same[start : start + most]
    for each in batch:
        waiting.remove(each)
    return batch
