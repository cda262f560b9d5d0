"""The one writer of a run: jobs from the event loop, done in a thread, as many in one transaction as have come in.

A job's caller goes on when the transaction that holds it is committed. While one is being written the next ones
gather, so the disk's slowness makes transactions larger and not more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from curation_db.errors import RecordBusy
from curation_db.store import Store

T = TypeVar("T")
Job = Callable[[Connection], T]
_MOST_AT_ONCE: Final = 256
_PATIENCE: Final = 8
"""How often a transaction is tried while others hold the record; each try waits for a quarter of a minute."""
_Waiting = tuple[Callable[[Connection], Any], "asyncio.Future[Any]", bool]


class Recorder:
    """Reads and writes the record for one event loop. Close it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    async def write(self, job: Job[T]) -> T:
        """Do `job` in a write transaction; returns when it is committed.

        Raises:
            RecordError: it could not be written.
        """
        return await self._put(job, writes=True)

    async def read(self, job: Job[T]) -> T:
        """Do `job`, which only reads."""
        return await self._put(job, writes=False)

    def _put(self, job: Job[T], *, writes: bool) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self._loop.create_future()
        with self._changed:
            if self._closing:
                raise RuntimeError("the recorder is closed")
            self._waiting.append((job, done, writes))
            self._changed.notify()
        return done

    def close(self) -> None:
        """Finish what is waiting, and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                jobs, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
            if not jobs:
                return
            self._settle(self._together(jobs))

    def _settle(self, told: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
        def settle() -> None:
            for future, result, error in told:
                if future.cancelled():
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(settle)

    def _together(self, jobs: list[_Waiting]) -> list[tuple[asyncio.Future[Any], Any, BaseException | None]]:
        """Their results, or why they failed; where one spoils a transaction, each has one of its own."""
        try:
            return [(future, result, None) for (_, future, _), result in zip(jobs, self._done(jobs), strict=True)]
        except Exception as error:
            if len(jobs) == 1:
                return [(jobs[0][1], None, error)]
        return [each for job in jobs for each in self._together([job])]

    def _done(self, jobs: list[_Waiting]) -> list[Any]:
        if not any(writes for _, _, writes in jobs):
            with self._store.read() as connection:
                return [job(connection) for job, _, _ in jobs]
        for left in reversed(range(_PATIENCE)):
            try:
                with self._store.write() as connection:
                    return [job(connection) for job, _, _ in jobs]
            except RecordBusy:
                if not left:
                    raise
        raise AssertionError("unreachable")
