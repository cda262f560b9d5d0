"""A file whose last process was killed is checked before the first write; after a clean end it is not."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.record import Record

from curation_db.errors import CorruptRecord
from curation_db.storage import database_file, sqlite
from curation_db.storage.store import create_store, open_read_only, open_store

_WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import text
from curation_db.storage.store import open_store
store = open_store(Path(sys.argv[1]))
with store.write() as connection:
    connection.execute(text("INSERT INTO record_note(name, value) VALUES ('last', 'words')"))
os.kill(os.getpid(), signal.SIGKILL)
"""
_OPEN_WITHOUT_A_CHECK = """
import sys
from pathlib import Path
from curation_db.storage import database_file
from curation_db.storage.store import open_store
database_file.integrity_faults = None
open_store(Path(sys.argv[1])).close()
"""
Checked = Callable[[], int]


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    path = tmp_path / "curation.db"
    with create_store(path) as store:
        Record(store).add(200)
    return path


@pytest.fixture
def killed(closed: Path) -> Path:
    """A record whose last process was killed directly after a write."""
    done = subprocess.run([sys.executable, "-c", _WRITE_AND_DIE, str(closed)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert sqlite.log_path(closed).stat().st_size
    return closed


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Checked:
    """Number of quick checks."""
    calls: list[bool] = []
    check_integrity = database_file.integrity_faults

    def counted(connection: sqlite3.Connection, *, quick: bool = False) -> list[str]:
        calls.append(quick)
        return check_integrity(connection, quick=quick)

    monkeypatch.setattr(database_file, "integrity_faults", counted)
    return lambda: calls.count(True)


def last_words(path: Path) -> list[tuple[object, ...]]:
    with open_read_only(path) as store, store.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT value FROM record_note WHERE name = 'last'")]


def break_page(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)


def test_after_a_kill_it_is_checked_once_and_nothing_is_lost(killed: Path, checked: Checked) -> None:
    with open_store(killed):
        assert checked() == 1
    assert last_words(killed) == [("words",)]
    assert checked() == 1
    assert not list(killed.parent.glob(".*"))


def test_a_normal_start_and_a_second_process_are_not_delayed(closed: Path, checked: Checked) -> None:
    with open_store(closed) as store:
        Record(store).add(1)
        assert sqlite.log_path(closed).stat().st_size
        open_store(closed).close()
        open_read_only(closed).close()
        subprocess.run([sys.executable, "-c", _OPEN_WITHOUT_A_CHECK, str(closed)], check=True)
        Record(store).add(1)
    open_store(closed).close()
    assert checked() == 0


def test_a_damaged_file_is_refused_until_it_is_replaced(killed: Path) -> None:
    with closing(sqlite3.connect(f"file:{killed}?mode=ro&immutable=1", uri=True)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'candidate_state'").fetchone()[0]
    break_page(killed, page)
    for opened in (open_store, open_read_only, open_store):
        with pytest.raises(CorruptRecord, match="is damaged") as caught:
            opened(killed)
        assert "\n" not in caught.value.message
        assert "negwb restore" in caught.value.hint
    assert sqlite.log_path(killed).stat().st_size, "the log is kept as it was found"
    assert not list(killed.parent.glob(".*"))


def test_a_rollback_journal_counts_like_a_log(closed: Path, checked: Checked) -> None:
    code = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=DELETE")
connection.execute("PRAGMA cache_size=1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE candidate SET text = text || 'x'")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, str(closed)], check=False)
    assert closed.with_name("curation.db-journal").stat().st_size
    with open_store(closed) as store:
        assert checked() == 1
        assert Record(store).rows("SELECT count(*) FROM candidate WHERE text LIKE '%x'") == [(0,)]


def test_a_linked_record_is_refused_with_its_log_untouched(killed: Path, tmp_path: Path) -> None:
    from curation_db.errors import LinkedRecord

    (tmp_path / "second.db").hardlink_to(killed)
    log = sqlite.log_path(killed).read_bytes()
    with pytest.raises(LinkedRecord):
        open_store(killed)
    assert sqlite.log_path(killed).read_bytes() == log
