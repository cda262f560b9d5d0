"""The record writer: jobs share transactions, get their own results, and fail alone."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection, text
from support.monotonic import MonotonicClock

from curation_db.errors import RecordBusy
from curation_db.storage import sqlite
from curation_db.storage.store import Store, create_store
from workbench.generation.runs import record_writer
from workbench.generation.runs.record_writer import RecordWriter


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with create_store(tmp_path / "curation.db") as store:
        yield store


def noting(name: str):
    def job(connection: Connection) -> str:
        connection.execute(text("INSERT INTO record_note(name, value) VALUES (:name, '')"), {"name": name})
        return name

    return job


def press(store: Store) -> None:
    with store.write() as connection:
        noting("a key press")(connection)


def notes(store: Store) -> set[str]:
    with store.read() as connection:
        return set(connection.execute(text("SELECT name FROM record_note")).scalars())


async def test_simultaneous_jobs_share_a_transaction_and_get_their_own_results(store: Store) -> None:
    recorder = RecordWriter(store)
    try:
        named = [f"n{number}" for number in range(300)]
        assert await asyncio.gather(*(recorder.write(noting(name)) for name in named)) == named
        assert notes(store) == set(named)
    finally:
        recorder.close()


async def test_a_failing_job_fails_alone(store: Store) -> None:
    recorder = RecordWriter(store)
    try:
        jobs = [recorder.write(noting(name)) for name in ("a", "b", "a", "c")]
        done = await asyncio.gather(*jobs, return_exceptions=True)
        assert [each for each in done if isinstance(each, str)] == ["a", "b", "c"]
        assert notes(store) == {"a", "b", "c"}
    finally:
        recorder.close()


async def test_a_job_of_a_cancelled_caller_is_still_run(store: Store) -> None:
    recorder = RecordWriter(store)
    task = asyncio.ensure_future(recorder.write(noting("paid")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    recorder.close()
    assert notes(store) == {"paid"}


async def test_close_finishes_waiting_jobs(store: Store) -> None:
    recorder = RecordWriter(store)
    waiting = [asyncio.ensure_future(recorder.write(noting(f"n{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    recorder.close()
    assert await asyncio.gather(*waiting) == [f"n{number}" for number in range(50)]


async def test_an_annotator_gets_the_write_lock_between_short_transactions(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, done = MonotonicClock(), 0
    pauses: list[tuple[float, int]] = []

    def slow(connection: Connection) -> None:
        nonlocal done
        clock.advance(0.015)
        done += 1

    def pause(seconds: float) -> None:
        if not pauses:
            press(store)
        pauses.append((seconds, done))

    monkeypatch.setattr(record_writer, "time", SimpleNamespace(monotonic=clock, sleep=pause))
    recorder = RecordWriter(store)
    try:
        await asyncio.gather(*(recorder.write(slow) for _ in range(40)))
    finally:
        recorder.close()
    jobs = [after - before for before, after in pairwise([0, *(count for _, count in pauses)])]
    assert (sum(jobs), max(jobs)) == (40, 2), "a transaction takes no job after 0.02 s"
    assert [seconds for seconds, _ in pauses] == [pytest.approx(0.5 * 0.015 * count) for count in jobs]
    assert notes(store) == {"a key press"}


async def test_a_long_read_does_not_block_writers(store: Store) -> None:
    looking = threading.Event()

    def can_read(connection: Connection) -> bool:
        looking.set()
        return written.wait(30)

    written = threading.Event()
    recorder = RecordWriter(store)
    try:
        results = recorder.write(noting("first")), recorder.read(can_read), recorder.write(noting("second"))
        jobs = [asyncio.ensure_future(each) for each in results]
        assert await asyncio.to_thread(looking.wait, 30)
        await asyncio.to_thread(press, store)
        written.set()
        assert await asyncio.gather(*jobs) == ["first", True, "second"]
    finally:
        recorder.close()


async def test_a_busy_record_fails_all_jobs_after_one_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_PRAGMAS", ("PRAGMA busy_timeout=20", *sqlite._PRAGMAS[1:]))
    transactions, write = [], Store.write

    def count_and_write(store: Store) -> AbstractContextManager[Connection]:
        transactions.append(store)
        return write(store)

    monkeypatch.setattr(Store, "write", count_and_write)
    with create_store(tmp_path / "busy.db") as store, sqlite3.connect(store.path) as holder:
        holder.execute("BEGIN IMMEDIATE")
        transactions.clear()
        recorder = RecordWriter(store)
        jobs = [recorder.write(noting(f"n{number}")) for number in range(50)]
        done = await asyncio.gather(*jobs, return_exceptions=True)
        assert {type(each) for each in done} == {RecordBusy}
        with pytest.raises(RecordBusy):
            await recorder.write(noting("its last word"))
        assert len(transactions) <= 12  # eight tries, then one for each later batch; each job alone: 408
        holder.rollback()
        assert await recorder.write(noting("later")) == "later"
        recorder.close()
    holder.close()
