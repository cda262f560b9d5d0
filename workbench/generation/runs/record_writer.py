"""Record writer of a run: runs jobs of the event loop in one thread, many per short transaction.

A job's caller continues when its transaction is committed. Jobs that arrive during a transaction share the next one,
so a slow disk leads to larger transactions, not to more. Annotators get the write lock between transactions.
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
_MAX_TRIES: Final = 8
"""Tries of a transaction while other processes hold the write lock; each try waits 15 s. After this many failures, each
transaction is tried once until one succeeds, so that a run that ends for this reason does end."""
_LONGEST_S: Final = 0.02
"""Seconds after which a transaction takes no further job, because annotators wait for the write lock."""
_GAP: Final = 0.5
"""Pause after a transaction as a share of its duration: SQLite has no lock queue, waiting processes poll."""
_RECORD_ERRORS: Final = (DiskError, RecordBusy, RecordReplaced, RecordUnwritable)
"""Errors of the record, not of a job."""
_Waiting = tuple[Callable[[Connection], Any], "asyncio.Future[Any]", bool]
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]
_Execute = Callable[[list[_Waiting]], list[Any]]


class RecordWriter:
    """Reads and writes the record for one event loop. Must be closed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition()
        self._closing = False
        self._tries = _MAX_TRIES
        self._thread = threading.Thread(target=self._work, name="record-writer", daemon=True)
        self._thread.start()

    async def write(self, job: Job[T]) -> T:
        """Run `job` in a write transaction; return its result after the commit.

        Raises:
            RecordError: the record could not be written.
        """
        return await self._put(job, writes=True)

    async def read(self, job: Job[T]) -> T:
        """Run a read-only `job`."""
        return await self._put(job, writes=False)

    def _put(self, job: Job[T], *, writes: bool) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self._loop.create_future()
        with self._changed:
            if self._closing:
                raise RuntimeError("the record writer is closed")
            self._waiting.append((job, done, writes))
            self._changed.notify()
        return done

    def close(self) -> None:
        """Finish the waiting jobs and stop the thread."""
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
            # separately: a long read must not hold the write lock, which annotators need for each key press
            self._process([job for job in jobs if not job[2]], self._read)
            self._process([job for job in jobs if job[2]], self._write)

    def _process(self, jobs: list[_Waiting], execute: _Execute) -> None:
        while jobs:
            began = time.monotonic()
            results = self._execute_all(jobs, execute)
            self._settle(results)
            jobs = jobs[len(results) :]
            if execute == self._write:
                time.sleep(min(_LONGEST_S, (time.monotonic() - began) * _GAP))

    def _settle(self, results: list[_Outcome]) -> None:
        def settle() -> None:
            for future, result, error in results:
                if future.cancelled():
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(settle)

    def _execute_all(self, jobs: list[_Waiting], execute: _Execute) -> list[_Outcome]:
        """Run the first jobs in one transaction; if one fails, run each in a transaction of its own."""
        try:
            return [(future, result, None) for (_, future, _), result in zip(jobs, execute(jobs), strict=False)]
        except _RECORD_ERRORS as error:  # single jobs would fail in the same way
            return [(future, None, error) for _, future, _ in jobs]
        except Exception as error:
            if len(jobs) == 1:
                return [(jobs[0][1], None, error)]
            return [each for job in jobs for each in self._execute_all([job], execute)]

    def _read(self, jobs: list[_Waiting]) -> list[Any]:
        with self._store.read() as connection:
            return [job(connection) for job, _, _ in jobs]

    def _write(self, jobs: list[_Waiting]) -> list[Any]:
        """Run as many jobs as one short transaction allows."""
        for left in reversed(range(self._tries)):
            try:
                with self._store.write() as connection:
                    done = _run_jobs(jobs, connection)
            except RecordBusy:
                if not left:
                    self._tries = 1
                    raise
            else:
                self._tries = _MAX_TRIES
                return done
        raise AssertionError("unreachable")


def _run_jobs(jobs: list[_Waiting], connection: Connection) -> list[Any]:
    done, until = [], time.monotonic() + _LONGEST_S
    for job, _, _ in jobs:
        done.append(job(connection))
        if time.monotonic() >= until:
            break
    return done
