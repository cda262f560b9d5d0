"""Queue that batches the waiting requests of all groups, for engines that run a model themselves."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from workbench.generation.budget import Budget, BudgetClosed, BudgetReached, Reservation
from workbench.generation.engines.protocol import EngineStopped, StoreAnswer
from workbench.generation.engines.requests import ModelAnswer

_GATHER_S: Final = 0.005
"""Seconds that a batch waits for requests of other groups."""
_WINDOW: Final = 8
"""Number of batches of waiting requests from which requests of similar length are selected."""

Q = TypeVar("Q")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Q]):
    question: Q
    answer: asyncio.Future[ModelAnswer]
    reservation: Reservation | None = None
    """Of a request in a running batch."""

    def settle(self, answer: ModelAnswer | None = None) -> None:
        """Replace the reservation by what the answer cost."""
        if self.reservation is not None and answer is not None:
            self.reservation.settle((answer.prompt_tokens or 0) + (answer.completion_tokens or 0), answer.cost)
        elif self.reservation is not None:
            self.reservation.settle()


class BatchQueue(Generic[Q]):
    """Collects requests and runs one batch at a time."""

    def __init__(
        self,
        run: Callable[[list[Q]], Awaitable[list[ModelAnswer]]],
        budget: Budget,
        *,
        size: int,
        kind: Callable[[Q], Hashable] = lambda question: None,
        length: Callable[[Q], Any] = lambda question: 0,
        tokens: Callable[[Q], int] = lambda question: 0,
    ) -> None:
        """Configure the queue.

        Args:
            run: Answers a batch in order; an `EngineStopped` from it fails all waiting requests.
            budget: Charged for each request when its batch starts.
            size: Largest batch; may change later.
            kind: Only requests of equal kind share a batch.
            tokens: Most tokens that a request and its answer can have.
            length: Sort key; requests of similar length share a batch, to reduce padding.
        """
        self.size = max(1, size)
        self._run = run
        self._budget = budget
        self._kind = kind
        self._length = length
        self._tokens = tokens
        self._waiting: deque[_Waiting[Q]] = deque()
        self._open: set[asyncio.Future[ModelAnswer]] = set()
        self._pump: asyncio.Task[None] | None = None
        self._stopped: EngineStopped | None = None
        self.in_flight = 0
        """Number of requests in the running batch."""
        budget.when_closed(self._refuse_waiting)

    async def answer(self, group: Sequence[Q | ModelAnswer], store_answer: StoreAnswer) -> None:
        """Answer a group as `Engine.answer` does; items that are already answers are only stored. If the budget ends
        within the group, the requests before that point are still answered."""
        results = await asyncio.gather(
            *(self._answer_one(index, question, store_answer) for index, question in enumerate(group)),
            return_exceptions=True,
        )
        failed = [error for error in results if error is not None]
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
        await store_answer(index, answer)

    async def close(self) -> None:
        """Cancel the waiting requests."""
        if self._pump is not None:
            self._pump.cancel()
            with suppress(asyncio.CancelledError):
                await self._pump
        for future in tuple(self._open):
            future.cancel()
        self._waiting.clear()

    def _refuse_waiting(self) -> None:
        for each in self._waiting:
            if not each.answer.done():
                each.answer.set_exception(BudgetClosed("the run is ending"))

    async def _work(self) -> None:
        """Run batches until no request waits."""
        try:
            while self._waiting:
                await asyncio.sleep(_GATHER_S)
                batch = await self._within_budget(self._take_batch())
                if batch:
                    await self._run_batch(batch)
        except Exception as error:
            if isinstance(error, EngineStopped):
                self._stopped = error
            for future in tuple(self._open):  # no caller may wait for ever
                if not future.done():
                    future.set_exception(error)
            self._waiting.clear()

    async def _run_batch(self, batch: list[_Waiting[Q]]) -> None:
        began = time.perf_counter()
        self.in_flight = len(batch)
        try:
            answers = await self._run([each.question for each in batch])
            for each, answer in zip(batch, answers, strict=True):
                each.settle(answer)
        finally:
            self.in_flight = 0
            for each in batch:
                each.settle()
        milliseconds = (time.perf_counter() - began) * 1000
        for each, answer in zip(batch, answers, strict=True):
            if not each.answer.done():  # cancelled in the meantime
                each.answer.set_result(replace(answer, latency_ms=milliseconds))

    def _take_batch(self) -> list[_Waiting[Q]]:
        """Remove a batch from the queue: the oldest request, and others of its kind and similar length."""
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

    async def _within_budget(self, batch: list[_Waiting[Q]]) -> list[_Waiting[Q]]:
        """Reserve for the requests that the budget allows now, and return them.

        Those that no budget is left for fail with BudgetReached. Those that may fit after this batch wait again.
        """
        for position, each in enumerate(batch):
            most = self._tokens(each.question) if self._budget.limits_amounts else 0
            try:
                # other engines may have requests in flight: the first one waits for them
                each.reservation = (
                    self._budget.try_reserve(most, 0.0) if position else await self._budget.reserve_in_turn(most, 0.0)
                )
            except BudgetReached as reached:
                for refused in batch[position:]:
                    if not refused.answer.done():
                        refused.answer.set_exception(reached)
                return batch[:position]
            if each.reservation is None:
                self._waiting.extendleft(reversed(batch[position:]))
                return batch[:position]
        return batch
