"""The one writer of a run: jobs from the event loop, done in a thread, many in one short transaction.

A job's caller goes on when the transaction that holds it is committed. While one is being written the next ones
gather, so the disk's slowness makes transactions larger and not more; people at work in the record get in between.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from curation_db.errors import DiskError, RecordBusy, RecordReplaced, RecordUnwritable
from curation_db.storage.store import Store

T = TypeVar("T")
Job = Callable[[Connection], T]
_MOST_AT_ONCE: Final = 256
_PATIENCE: Final = 8
"""How often a transaction is tried while others hold the record; each try waits for a quarter of a minute. After so
many in vain, once only until one succeeds: a run that ends for that must come to its end."""
_LONGEST_S: Final = 0.02
"""Seconds after which a transaction takes in no further job: people at work in the record wait for its lock."""
_GAP: Final = 0.5
"""Of the time that a transaction took, the lock is left to them: SQLite keeps no queue, who waits tries again."""
_FOR_ALL: Final = (DiskError, RecordBusy, RecordReplaced, RecordUnwritable)
"""What is wrong with the record, and not with a job."""
_Waiting = tuple[Callable[[Connection], Any], "asyncio.Future[Any]", bool]
_Told = tuple["asyncio.Future[Any]", Any, BaseException | None]
_Do = Callable[[list[_Waiting]], list[Any]]


class RecordWriter:
    """Reads and writes the record for one event loop. Close it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition()
        self._closing = False
        self._patience = _PATIENCE
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
            # apart: a long look must not hold the write lock, for which people wait with each key
            self._work_on([job for job in jobs if not job[2]], self._read)
            self._work_on([job for job in jobs if job[2]], self._write)

    def _work_on(self, jobs: list[_Waiting], do: _Do) -> None:
        while jobs:
            began = time.monotonic()
            told = self._together(jobs, do)
            self._settle(told)
            jobs = jobs[len(told) :]
            if do == self._write:
                time.sleep(min(_LONGEST_S, (time.monotonic() - began) * _GAP))

    def _settle(self, told: list[_Told]) -> None:
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

    def _together(self, jobs: list[_Waiting], do: _Do) -> list[_Told]:
        """Results of the first jobs, or why they failed; where one spoils a transaction, each has one of its own."""
        try:
            return [(future, result, None) for (_, future, _), result in zip(jobs, do(jobs), strict=False)]
        except _FOR_ALL as error:  # whoever tried again alone would wait as long, and fail as well
            return [(future, None, error) for _, future, _ in jobs]
        except Exception as error:
            if len(jobs) == 1:
                return [(jobs[0][1], None, error)]
            return [each for job in jobs for each in self._together([job], do)]

    def _read(self, jobs: list[_Waiting]) -> list[Any]:
        with self._store.read() as connection:
            return [job(connection) for job, _, _ in jobs]

    def _write(self, jobs: list[_Waiting]) -> list[Any]:
        """The results of as many jobs as one short transaction holds."""
        for left in reversed(range(self._patience)):
            try:
                with self._store.write() as connection:
                    done = _in_time(jobs, connection)
            except RecordBusy:
                if not left:
                    self._patience = 1
                    raise
            else:
                self._patience = _PATIENCE
                return done
        raise AssertionError("unreachable")


def _in_time(jobs: list[_Waiting], connection: Connection) -> list[Any]:
    done, until = [], time.monotonic() + _LONGEST_S
    for job, _, _ in jobs:
        done.append(job(connection))
        if time.monotonic() >= until:
            break
    return done
