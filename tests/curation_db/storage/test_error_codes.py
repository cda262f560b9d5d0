"""Errors are classified by SQLite's error codes, never by their texts."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError
from support.record import Record

from curation_db.errors import CorruptRecord, DiskError, RecordBusy, RecordError, RecordUnwritable
from curation_db.integrity import checks
from curation_db.integrity.checks import Level
from curation_db.storage import backup, database_file, sqlite, sqlite_errors, work_sessions

CODES = {
    sqlite3.SQLITE_BUSY: RecordBusy,
    sqlite3.SQLITE_BUSY_SNAPSHOT: RecordBusy,
    sqlite3.SQLITE_BUSY_RECOVERY: RecordBusy,
    sqlite3.SQLITE_LOCKED: RecordBusy,
    sqlite3.SQLITE_LOCKED_SHAREDCACHE: RecordBusy,
    sqlite3.SQLITE_PROTOCOL: RecordBusy,
    sqlite3.SQLITE_FULL: RecordUnwritable,
    sqlite3.SQLITE_CANTOPEN: RecordUnwritable,
    sqlite3.SQLITE_CANTOPEN_ISDIR: RecordUnwritable,
    sqlite3.SQLITE_READONLY: RecordUnwritable,
    sqlite3.SQLITE_READONLY_DBMOVED: RecordUnwritable,
    sqlite3.SQLITE_READONLY_DIRECTORY: RecordUnwritable,
    sqlite3.SQLITE_PERM: RecordUnwritable,
    sqlite3.SQLITE_IOERR: DiskError,
    sqlite3.SQLITE_IOERR_READ: DiskError,
    sqlite3.SQLITE_IOERR_WRITE: DiskError,
    sqlite3.SQLITE_IOERR_FSYNC: DiskError,
    sqlite3.SQLITE_IOERR_SHORT_READ: DiskError,
    sqlite3.SQLITE_IOERR_NOMEM: RecordError,
    sqlite3.SQLITE_NOMEM: RecordError,
    sqlite3.SQLITE_CORRUPT: CorruptRecord,
    sqlite3.SQLITE_CORRUPT_VTAB: CorruptRecord,
    sqlite3.SQLITE_CORRUPT_INDEX: CorruptRecord,
    sqlite3.SQLITE_NOTADB: CorruptRecord,
    sqlite3.SQLITE_FORMAT: CorruptRecord,
    sqlite3.SQLITE_CONSTRAINT_TRIGGER: RecordError,
    sqlite3.SQLITE_ERROR: RecordError,
}
WORDS = (
    "no such column: locked",
    "the queue is full",
    "database disk image is malformed",
    "unable to open the box",
    "readonly",
    "disk I/O error",
    "corrupt",
)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("code", CODES)
def test_the_code_decides_and_no_word(code: int, words: str) -> None:
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code  # as the driver sets it
    for raised in (error, DBAPIError("SELECT 1", None, error)):
        translated = sqlite_errors.translate(raised, Path("/ws/curation.db"))
        assert type(translated) is CODES[code]
        assert "\n" not in translated.message


def test_an_error_of_the_driver_itself_has_no_code() -> None:
    translated = sqlite_errors.translate(
        sqlite3.ProgrammingError("the database is locked away"), Path("/ws/curation.db")
    )
    assert type(translated) is RecordError
    assert translated.message == "curation.db: the database is locked away"


class FailingDisk:
    """Child process in which reads or writes of one file fail with EIO."""

    def __init__(self, library: Path) -> None:
        self._library = library

    def run(self, code: str, *words: object, fail: str, on: Path, page: int = 9) -> subprocess.CompletedProcess[str]:
        # fmt: off
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            env={**os.environ, "LD_PRELOAD": str(self._library), "FAIL_CALL": fail, "FAIL_FILE": str(on),
                 "FAIL_FROM": str((page - 1) * 4096)},
            check=False, capture_output=True, text=True,
        )
        # fmt: on


_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static int fails(const char *call, int fd, off_t end) {
    const char *wanted = getenv("FAIL_CALL"), *file = getenv("FAIL_FILE");
    char link[64], path[4096];
    if (!wanted || strcmp(wanted, call) || end <= atol(getenv("FAIL_FROM"))) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return !strcmp(path, file);
}
ssize_t pread64(int fd, void *to, size_t size, off_t at) {
    ssize_t (*next)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, "pread64");
    if (fails("read", fd, at + size)) { errno = EIO; return -1; }
    return next(fd, to, size, at);
}
ssize_t pwrite64(int fd, const void *from, size_t size, off_t at) {
    ssize_t (*next)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite64");
    if (fails("write", fd, at + size)) { errno = EIO; return -1; }
    return next(fd, from, size, at);
}
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> FailingDisk:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler to make a failing disk with")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(_SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "shim.so", folder / "shim.c", "-ldl"], check=True)
    return FailingDisk(folder / "shim.so")


@pytest.fixture
def closed(record: Record) -> Path:
    record.add(500)
    record.store.close()
    return record.store.path


_BACK_UP = """
import sys
from pathlib import Path
from curation_db.storage.backup import back_up
from curation_db.errors import RecordError
try:
    back_up(Path(sys.argv[1]), *map(Path, sys.argv[2:]))
except RecordError as error:
    print(type(error).__name__, error.message)"""
_EXAMINE = """
import sys
from pathlib import Path
from curation_db.integrity.checks import check_record
for each in check_record(Path(sys.argv[1])):
    print(each.level, each.message)"""


def test_a_disk_that_cannot_be_read_is_no_damage(disk: FailingDisk, closed: Path) -> None:
    backup_of = disk.run(_BACK_UP, closed, fail="read", on=closed)
    expected = f"DiskError cannot read or write {closed}: Input/output error"
    assert backup_of.stdout.strip() == expected, backup_of.stderr
    assert not list(backup.backup_folder(closed).iterdir())
    doctor = disk.run(_EXAMINE, closed, fail="read", on=closed)
    first = doctor.stdout.splitlines()[0]
    assert first == f"error cannot read or write {closed}: Input/output error", doctor.stderr
    assert "damaged" not in doctor.stdout
    assert backup.back_up(closed).tables["candidate"] == 500, "and the record is whole"


def test_a_page_that_only_the_check_reads_is_no_damage(disk: FailingDisk, closed: Path) -> None:
    """SQLite reports an unreadable page as a line of its check instead of an error."""
    with closing(sqlite3.connect(closed)) as connection:
        connection.execute("INSERT INTO record_note VALUES ('long', ?)", ("x" * 40_000,))
        connection.commit()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    check = """
import sys
from pathlib import Path
from curation_db.storage import sqlite
with sqlite.raw_connection(Path(sys.argv[1])) as connection:
    print(*connection.execute("PRAGMA integrity_check"))"""
    assert "ok" not in disk.run(check, closed, fail="read", on=closed, page=pages).stdout
    doctor = disk.run(_EXAMINE, closed, fail="read", on=closed, page=pages)
    assert doctor.stdout.splitlines()[0].startswith(f"error cannot read or write {closed}: "), doctor.stderr
    assert "damaged" not in doctor.stdout


def test_a_copy_that_cannot_be_written_names_the_folder(disk: FailingDisk, closed: Path, tmp_path: Path) -> None:
    code = _BACK_UP.replace(
        "try:",
        "from curation_db.storage import database_file\ndatabase_file.draft_path = lambda folder, name: folder / 'p'\n"
        "try:",
    )
    target = tmp_path / "other"
    target.mkdir()
    done = disk.run(code, closed, target / "mine.db", fail="write", on=target / "p")
    assert done.stdout.strip() == f"DiskError cannot write a backup to {target}: disk I/O error", done.stderr
    assert not list(target.iterdir())


class TestWhatWasTakenForAnotherSchema:
    """A statement that fails for a reason other than a missing table raises."""

    @pytest.fixture
    def barred(self, closed: Path) -> Iterator[sqlite3.Connection]:
        """A connection on which every statement finds a lock."""
        with closing(sqlite3.connect(closed, isolation_level=None)) as holder:
            holder.execute("PRAGMA locking_mode=EXCLUSIVE")
            holder.execute("BEGIN EXCLUSIVE")
            with sqlite.raw_connection(closed, patience=0) as connection:
                yield connection

    def test_the_newest_event(self, barred: sqlite3.Connection) -> None:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            database_file.newest_event(barred)

    def test_the_open_sessions(self, barred: sqlite3.Connection) -> None:
        for function in (work_sessions.live_sessions, work_sessions.stale_leases, work_sessions.end_all_sessions):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                function(barred)

    def test_a_missing_table_is_another_schema(self) -> None:
        with closing(sqlite3.connect(":memory:")) as connection:
            assert database_file.newest_event(connection) == 0
            assert work_sessions.live_sessions(connection) == []
            assert work_sessions.stale_leases(connection) == 0
            work_sessions.end_all_sessions(connection)


def test_wrong_indexes_and_wrong_tables_are_distinguished(closed: Path) -> None:
    with closing(sqlite3.connect(closed)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'cue_position', 'pipeline') WHERE name = 'candidate_position'"
        )
        connection.commit()
    with sqlite.raw_connection(closed) as connection:
        assert database_file.integrity_faults(connection)
        assert database_file.only_indexes_damaged(connection)
    results = {each.name: each for each in checks.check_record(closed)}
    assert results["database"].level is Level.ERROR
    assert results["database"].repairable


def test_an_error_without_words_of_its_own_names_the_way_back(tmp_path: Path) -> None:
    """GIVEN an error that no entry describes, such as a migration that fails THEN the hint names doctor and backups."""
    with closing(sqlite3.connect(tmp_path / "record.db")) as connection:
        connection.execute("CREATE TABLE lineage(x)")
        with pytest.raises(sqlite3.OperationalError) as failed:
            connection.execute("CREATE TABLE lineage(x)")
    translated = sqlite_errors.translate(failed.value, tmp_path / "record.db")
    assert "record.db: table lineage already exists" in translated.message
    assert "negwb doctor" in translated.hint
