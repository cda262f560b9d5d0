"""Permissions of the record and its copies: no copy has more permissions than the record."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.record import Record

from curation_db.errors import RecordUnwritable
from curation_db.integrity.checks import repair
from curation_db.storage import backup, database_file
from curation_db.storage.backup import back_up
from curation_db.storage.restore import restore
from curation_db.storage.store import create_store, open_store


@contextmanager
def masked(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes_below(folder: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """A umask under which new files are readable by every user by default."""
    with masked(0o000):
        yield


@pytest.fixture
def record_path(tmp_path: Path) -> Path:
    """A closed record of mode 600 with content."""
    path = tmp_path / "curation.db"
    with create_store(path) as store:
        Record(store).add(200)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(("umask", "expected"), [(0o000, 0o640), (0o022, 0o640), (0o027, 0o640), (0o077, 0o600)])
def test_a_new_record_and_its_log_are_never_more_open_than_640(tmp_path: Path, umask: int, expected: int) -> None:
    with masked(umask), create_store(tmp_path / "curation.db") as store:
        Record(store).add(1)
        assert modes_below(tmp_path) == dict.fromkeys(["curation.db", "curation.db-wal", "curation.db-shm"], expected)


@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o660, 0o644, 0o440])
def test_a_backup_has_the_mode_of_the_record(record_path: Path, tmp_path: Path, wanted: int) -> None:
    record_path.chmod(wanted)
    assert mode(back_up(record_path).path) == wanted
    assert mode(back_up(record_path, tmp_path / "mine.db").path) == wanted


def test_only_the_owner_can_read_an_unfinished_copy(record_path: Path) -> None:
    record_path.chmod(0o644)
    modes: set[int] = set()

    def collect_modes(done: int, total: int) -> None:
        modes.update(mode(part) for part in backup.backup_folder(record_path).glob(".*"))

    back_up(record_path, progress=collect_modes)
    assert modes == {0o600}


def test_a_restore_preserves_the_mode_of_record_and_copy(record_path: Path, tmp_path: Path) -> None:
    backup_path = back_up(record_path, tmp_path / "mine.db").path
    backup_path.chmod(0o666)
    record_path.chmod(0o660)
    done = restore(record_path, backup_path)
    assert mode(record_path) == 0o660
    assert done.before is not None
    assert mode(done.before) == 0o660
    with open_store(record_path) as store:
        Record(store).add(1)
        assert mode(record_path.with_name("curation.db-wal")) == 0o660


@pytest.mark.parametrize(("wanted", "expected"), [(0o666, 0o640), (0o600, 0o600), (0o444, 0o640)])
def test_a_record_that_was_gone_comes_back_no_more_open_than_a_new_one(
    record_path: Path, tmp_path: Path, wanted: int, expected: int
) -> None:
    backup_path = back_up(record_path, tmp_path / "mine.db").path
    backup_path.chmod(wanted)
    record_path.unlink()
    restore(record_path, backup_path)
    assert mode(record_path) == expected


def test_the_copied_bytes_of_a_damaged_record_have_its_mode(record_path: Path, tmp_path: Path) -> None:
    backup_path = back_up(record_path, tmp_path / "mine.db").path
    with record_path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xa5" * 4096)
    record_path.with_name("curation.db-wal").write_bytes(b"stale")
    record_path.with_name("curation.db-wal").chmod(0o600)
    done = restore(record_path, backup_path)
    assert done.before is not None
    assert done.damaged
    assert set(modes_below(done.before.parent).values()) == {0o600}


def test_the_copy_before_a_repair_has_the_mode_of_the_record(record_path: Path) -> None:
    connection = sqlite3.connect(record_path)
    connection.execute("UPDATE candidate_state SET state = 'rejected' WHERE candidate_id = 1")
    connection.commit()
    connection.close()
    assert repair(record_path)
    assert set(modes_below(record_path.parent / "backups").values()) == {0o600}


def test_a_group_that_cannot_be_given_gets_nothing(record_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    record_path.chmod(0o660)
    like = os.stat_result((*record_path.stat()[:5], record_path.stat().st_gid + 1, *record_path.stat()[6:10]))
    monkeypatch.setattr(os, "chown", refuse)
    database_file.copy_access(record_path, like)
    assert mode(record_path) == 0o600


def test_a_backup_makes_no_folder_but_its_own(record_path: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "no" / "such" / "x.db", record_path / "x.db"):
        with pytest.raises(RecordUnwritable, match="cannot write a backup to"):
            back_up(record_path, target)
    assert {each.name for each in tmp_path.iterdir()} == {"curation.db"}
