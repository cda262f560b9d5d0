"""Questions of all groups that wait at the same time, answered in batches. For engines that hold a model themselves."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from workbench.generation.budget import Budget, BudgetReached
from workbench.generation.engines.protocol import EngineStopped, StoreAnswer
from workbench.generation.engines.requests import ModelAnswer

_GATHER_S: Final = 0.005
"""How long a batch waits for questions of other groups."""
_WINDOW: Final = 8
"""Batches from whose questions the next one is put together, those of a length beside each other."""

Q = TypeVar("Q")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Q]):
    question: Q
    answer: asyncio.Future[ModelAnswer]


class BatchQueue(Generic[Q]):
    """Collects questions and has them answered, one batch at a time."""

    def __init__(
        self,
        run: Callable[[list[Q]], Awaitable[list[ModelAnswer]]],
        budget: Budget,
        *,
        size: int,
        kind: Callable[[Q], Hashable] = lambda question: None,
        length: Callable[[Q], Any] = lambda question: 0,
    ) -> None:
        """Say how.

        Args:
            run: answers a batch, in its order; `EngineStopped` from it ends everything.
            budget: asked for each question when its batch begins.
            size: most questions in a batch; may be changed later.
            kind: only questions of one kind share a batch.
            length: those of a length are best beside each other.
        """
        self.size = max(1, size)
        self._run = run
        self._budget = budget
        self._kind = kind
        self._length = length
        self._waiting: deque[_Waiting[Q]] = deque()
        self._open: set[asyncio.Future[ModelAnswer]] = set()
        self._pump: asyncio.Task[None] | None = None
        self._stopped: EngineStopped | None = None

    async def answer(self, group: Sequence[Q | ModelAnswer], store_answer: StoreAnswer) -> None:
        """As `Engine.answer`, for questions made ready, some of which need no asking any more. Where the budget ends
        within the group, what was asked before is still answered."""
        told = await asyncio.gather(
            *(self._answer_one(index, question, store_answer) for index, question in enumerate(group)),
            return_exceptions=True,
        )
        failed = [error for error in told if error is not None]
        failed.sort(key=lambda error: isinstance(error, BudgetReached))
        if failed:
            raise failed[0]

    async def _answer_one(self, index: int, question: Q | ModelAnswer, store_answer: StoreAnswer) -> None:
        if isinstance(question, ModelAnswer):
            await store_answer(index, question)
            return
        if self._stopped is not None:
            raise self._stopped
        future: asyncio.Future[ModelAnswer] = asyncio.get_running_loop().create_future()
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        self._waiting.append(_Waiting(question, future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._work())
        answer = await future
        self._budget.spend((answer.prompt_tokens or 0) + (answer.completion_tokens or 0), answer.cost)
        await store_answer(index, answer)

    async def close(self) -> None:
        """Forget what waits."""
        if self._pump is not None:
            self._pump.cancel()
            with suppress(asyncio.CancelledError):
                await self._pump
        for future in tuple(self._open):
            future.cancel()
        self._waiting.clear()

    async def _work(self) -> None:
        """Answer what waits, until nothing does."""
        try:
            while self._waiting:
                await asyncio.sleep(_GATHER_S)
                batch = self._paid(self._take())
                if batch:
                    await self._settle(batch)
        except Exception as error:
            if isinstance(error, EngineStopped):
                self._stopped = error
            for future in tuple(self._open):  # nobody may wait for ever
                if not future.done():
                    future.set_exception(error)
            self._waiting.clear()

    async def _settle(self, batch: list[_Waiting[Q]]) -> None:
        began = time.perf_counter()
        answers = await self._run([each.question for each in batch])
        took = (time.perf_counter() - began) * 1000
        for each, answer in zip(batch, answers, strict=True):
            if not each.answer.done():  # cancelled meanwhile
                each.answer.set_result(replace(answer, latency_ms=took))

    def _take(self) -> list[_Waiting[Q]]:
        """Take out questions that may share a batch: the one that waits longest is among them, the others are of
        about its length, so that little is padded."""
        alive = [each for each in self._waiting if not each.answer.done()]
        kind = self._kind(alive[0].question) if alive else None
        same = [each for each in alive if self._kind(each.question) == kind][: self.size * _WINDOW]
        oldest = same[:1]
        same.sort(key=lambda each: self._length(each.question))
        start = max(0, min(same.index(oldest[0]) - self.size // 2, len(same) - self.size)) if oldest else 0
        batch = same[start : start + self.size]
        chosen = set(map(id, batch))
        self._waiting = deque(each for each in alive if id(each) not in chosen)
        return batch

    def _paid(self, batch: list[_Waiting[Q]]) -> list[_Waiting[Q]]:
        """Those that the budget still allows."""
        for place in range(len(batch)):
            try:
                self._budget.reserve()
            except BudgetReached as reached:
                for refused in batch[place:]:
                    refused.answer.set_exception(reached)
                return batch[:place]
        return batch
