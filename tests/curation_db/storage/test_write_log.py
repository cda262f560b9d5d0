"""The write-ahead log stays small despite readers, and doctor names a reader that prevents its truncation."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from support.record import Record

from curation_db.integrity import checks
from curation_db.integrity.checks import Level
from curation_db.storage import sqlite, write_log
from curation_db.storage.store import Store, create_store, open_store

SMALL = 5_000_000
"""Limit of the log in these tests, in bytes: above the 1,000 pages at which SQLite checkpoints by itself."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_log, "LOG_LIMIT_BYTES", SMALL)
    pragmas = [each for each in sqlite._PRAGMAS if "journal_size_limit" not in each]
    assert len(pragmas) < len(sqlite._PRAGMAS), "the limit is set on every connection"
    monkeypatch.setattr(sqlite, "_PRAGMAS", (*pragmas, f"PRAGMA journal_size_limit={SMALL}"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with create_store(tmp_path / "curation.db") as new_store:
        Record(new_store).add(3)
        yield new_store


def write(store: Store, number: int) -> None:
    """Write 400 kB into the log."""
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE caption SET text = ? WHERE id = 1", (str(number % 10) * 400_000,))


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold a snapshot, as another process would."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM event").fetchone()
        yield connection
    finally:
        connection.close()


def test_short_readers_that_overlap_do_not_let_the_log_grow(store: Store) -> None:
    """GIVEN overlapping readers without a pause THEN the log is still truncated."""
    stop, turns = threading.Event(), threading.Barrier(2)

    def read() -> None:
        with ExitStack() as held:
            turns.wait()
            while not stop.is_set():
                newer = ExitStack()
                newer.enter_context(reading(store.path))  # before the older one ends
                held.close()
                held.push(newer)

    reader = threading.Thread(target=read)
    reader.start()
    turns.wait()
    try:
        sizes = []
        for number in range(200):
            write(store, number)
            sizes.append(write_log.log_size(store.path))
    finally:
        stop.set()
        reader.join()
    assert sum(after < before for before, after in pairwise(sizes)) >= 1
    assert max(sizes) < 4 * SMALL


def test_a_log_that_a_long_reader_let_grow_is_cut_once_it_has_left(store: Store) -> None:
    with reading(store.path), reading(store.path):
        for number in range(60):
            write(store, number)
        assert write_log.log_size(store.path) > 2 * SMALL
    write(store, 60)
    write(store, 61)
    assert write_log.log_size(store.path) <= SMALL + 500_000


def test_a_writer_does_not_wait_for_a_long_reader_at_every_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    real = write_log.truncate_log

    def shorten(record: Path) -> bool:
        tried.append(write_log.log_size(record))
        return real(record)

    monkeypatch.setattr(write_log, "truncate_log", shorten)
    with reading(store.path):
        for number in range(80):
            write(store, number)
    assert 1 <= len(tried) <= 8
    assert tried == sorted(tried)


def test_a_log_that_cannot_be_shortened_costs_no_decision(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(record: Path) -> bool:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(write_log, "truncate_log", fail)
    with reading(store.path):
        for number in range(60):
            write(store, number)
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT text FROM caption WHERE id = 1").scalar_one().startswith("999")


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM event").fetchone()
print("holds", flush=True)
sys.stdin.read()
"""


def test_doctor_reports_a_large_log_and_its_readers(store: Store) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, store.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "holds\n"
        for number in range(60):
            write(store, number)
        result = {each.name: each for each in checks.check_record(store.path)}["log size"]
        assert result.level is Level.WARNING
        assert f"process {holder.pid} (" in result.message
        assert "MB" in result.message
        holder.stdin.close()
    write(store, 60)
    write(store, 61)
    result = {each.name: each for each in checks.check_record(store.path)}["log size"]
    assert result.level is Level.OK


def test_there_is_no_log_of_a_closed_record(tmp_path: Path) -> None:
    create_store(tmp_path / "curation.db").close()
    assert write_log.log_size(tmp_path / "curation.db") == 0
    with open_store(tmp_path / "curation.db") as opened:
        write_log.truncate_log(opened.path)
