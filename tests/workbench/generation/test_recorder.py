"""The run's one writer: jobs together in a transaction, each with its own result; a bad one spoils no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from curation_db.store import Store, create_store
from workbench.generation.recorder import Recorder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with create_store(tmp_path / "curation.db") as store:
        yield store


def noting(name: str):
    def job(connection: Connection) -> str:
        connection.execute(text("INSERT INTO record_note(name, value) VALUES (:name, '')"), {"name": name})
        return name

    return job


def notes(store: Store) -> set[str]:
    with store.read() as connection:
        return set(connection.execute(text("SELECT name FROM record_note")).scalars())


async def test_jobs_that_come_in_together_are_committed_together_and_answered_one_by_one(store: Store) -> None:
    recorder = Recorder(store)
    try:
        named = [f"n{number}" for number in range(300)]
        assert await asyncio.gather(*(recorder.write(noting(name)) for name in named)) == named
        assert notes(store) == set(named)
    finally:
        recorder.close()


async def test_a_job_that_fails_fails_alone(store: Store) -> None:
    recorder = Recorder(store)
    try:
        jobs = [recorder.write(noting(name)) for name in ("a", "b", "a", "c")]
        done = await asyncio.gather(*jobs, return_exceptions=True)
        assert [each for each in done if isinstance(each, str)] == ["a", "b", "c"]
        assert notes(store) == {"a", "b", "c"}
    finally:
        recorder.close()


async def test_a_job_whose_caller_was_cancelled_is_done_all_the_same(store: Store) -> None:
    recorder = Recorder(store)
    task = asyncio.ensure_future(recorder.write(noting("paid")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    recorder.close()
    assert notes(store) == {"paid"}


async def test_closing_finishes_what_waits(store: Store) -> None:
    recorder = Recorder(store)
    waiting = [asyncio.ensure_future(recorder.write(noting(f"n{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    recorder.close()
    assert await asyncio.gather(*waiting) == [f"n{number}" for number in range(50)]
