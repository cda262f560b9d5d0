"""The run's one writer: jobs together in a transaction, each with its own result; a bad one spoils no other."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from curation_db.errors import RecordBusy
from curation_db.storage import sqlite
from curation_db.storage.store import Store, create_store
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


async def test_jobs_that_come_in_together_are_committed_together_and_answered_one_by_one(store: Store) -> None:
    recorder = RecordWriter(store)
    try:
        named = [f"n{number}" for number in range(300)]
        assert await asyncio.gather(*(recorder.write(noting(name)) for name in named)) == named
        assert notes(store) == set(named)
    finally:
        recorder.close()


async def test_a_job_that_fails_fails_alone(store: Store) -> None:
    recorder = RecordWriter(store)
    try:
        jobs = [recorder.write(noting(name)) for name in ("a", "b", "a", "c")]
        done = await asyncio.gather(*jobs, return_exceptions=True)
        assert [each for each in done if isinstance(each, str)] == ["a", "b", "c"]
        assert notes(store) == {"a", "b", "c"}
    finally:
        recorder.close()


async def test_a_job_whose_caller_was_cancelled_is_done_all_the_same(store: Store) -> None:
    recorder = RecordWriter(store)
    task = asyncio.ensure_future(recorder.write(noting("paid")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    recorder.close()
    assert notes(store) == {"paid"}


async def test_closing_finishes_what_waits(store: Store) -> None:
    recorder = RecordWriter(store)
    waiting = [asyncio.ensure_future(recorder.write(noting(f"n{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    recorder.close()
    assert await asyncio.gather(*waiting) == [f"n{number}" for number in range(50)]


async def test_a_transaction_ends_in_time_for_people_to_get_in_between(store: Store) -> None:
    def slow(connection: Connection) -> float:
        time.sleep(0.015)
        return time.monotonic()

    recorder = RecordWriter(store)
    try:
        jobs = [asyncio.ensure_future(recorder.write(slow)) for _ in range(40)]
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await asyncio.to_thread(press, store)
        took = time.monotonic() - began
        assert max(await asyncio.gather(*jobs)) > began + took, "the run was still at work"
        assert took < 0.3  # all of the jobs together take 0.6 s
    finally:
        recorder.close()


async def test_a_long_look_holds_up_nobody_who_writes(store: Store) -> None:
    looking = threading.Event()

    def look(connection: Connection) -> bool:
        looking.set()
        return written.wait(5)

    written = threading.Event()
    recorder = RecordWriter(store)
    try:
        told = recorder.write(noting("first")), recorder.read(look), recorder.write(noting("second"))
        jobs = [asyncio.ensure_future(each) for each in told]
        assert await asyncio.to_thread(looking.wait, 5)
        await asyncio.to_thread(press, store)
        written.set()
        assert await asyncio.gather(*jobs) == ["first", True, "second"]
    finally:
        recorder.close()


async def test_a_record_that_stays_busy_ends_everything_after_one_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_PRAGMAS", ("PRAGMA busy_timeout=20", *sqlite._PRAGMAS[1:]))
    with create_store(tmp_path / "busy.db") as store, sqlite3.connect(store.path) as holder:
        holder.execute("BEGIN IMMEDIATE")
        recorder, began = RecordWriter(store), time.monotonic()
        jobs = [recorder.write(noting(f"n{number}")) for number in range(50)]
        done = await asyncio.gather(*jobs, return_exceptions=True)
        assert {type(each) for each in done} == {RecordBusy}
        with pytest.raises(RecordBusy):
            await recorder.write(noting("its last word"))
        assert time.monotonic() - began < 2  # each by itself: 8 s
        holder.rollback()
        assert await recorder.write(noting("later")) == "later"
        recorder.close()
    holder.close()
