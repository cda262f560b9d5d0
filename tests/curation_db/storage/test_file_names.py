"""A record with several names: hard links are refused, symbolic links stay."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.record import Record

from curation_db.enums import Kind
from curation_db.errors import LinkedRecord, RecordReplaced
from curation_db.integrity.checks import Level, check_record, repair
from curation_db.storage import backup
from curation_db.storage.backup import back_up
from curation_db.storage.restore import restore
from curation_db.storage.store import create_store, open_read_only, open_store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A record with three candidates, two of them decided, without live sessions."""
    folder = tmp_path / "real"
    folder.mkdir()
    with create_store(folder / "curation.db") as store:
        record = Record(store)
        record.add(3)
        decide(record, 2)
    return folder / "curation.db"


def decide(record: Record, count: int) -> None:
    ana = record.open_session("ana")
    for claim in ana.queue.claim(count):
        ana.reviewer.decide(claim.candidate_id, Kind.ACCEPT)
    with record.store.write() as connection:
        connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")


def events(path: Path) -> int:
    with open_store(path) as store:
        return int(Record(store).rows("SELECT count(*) FROM event")[0][0])  # type: ignore[call-overload]


class TestHardLinks:
    @pytest.fixture
    def other(self, database: Path) -> Path:
        """A second name of the file, as `cp -al` creates it."""
        other = database.parent.parent / "copy" / "curation.db"
        other.parent.mkdir()
        os.link(database, other)
        return other

    @pytest.mark.parametrize("open_it", [open_store, open_read_only])
    def test_neither_name_is_opened(self, database: Path, other: Path, open_it) -> None:
        for path in (database, other):
            with pytest.raises(LinkedRecord, match="2 names"):
                open_it(path)

    def test_doctor_says_so_and_repairs_nothing(self, database: Path, other: Path) -> None:
        (results,) = [each for each in check_record(other) if each.name == "links"]
        assert (results.level, "negwb restore" in results.hint) == (Level.ERROR, True)
        with create_store(database.with_name("fine.db")) as store:
            (fine,) = [each for each in check_record(store.path) if each.name == "links"]
        assert fine.level is Level.OK
        assert repair(other) == []

    def test_the_commands_of_the_hint_create_a_separate_file(self, database: Path, other: Path, tmp_path: Path) -> None:
        restore(other, back_up(other, tmp_path / "copy.db").path)
        assert not database.samefile(other)
        with open_store(other) as store:
            decide(Record(store), 1)
        assert (events(database), events(other)) == (2, 3)


class TestSymbolicLinks:
    @pytest.fixture
    def link(self, database: Path, tmp_path: Path) -> Path:
        """A workspace whose database is a symbolic link to another folder."""
        link = tmp_path / "workspace" / "curation.db"
        link.parent.mkdir()
        link.symlink_to(database)
        return link

    def test_restoring_replaces_the_file_and_keeps_the_link(self, database: Path, link: Path) -> None:
        copy = back_up(link)
        with open_store(link) as store:
            decide(Record(store), 1)
        assert events(database) == 3
        restored = restore(link, copy.path)
        assert link.is_symlink()
        assert link.resolve() == database
        assert (events(link), events(database)) == (2, 2)
        assert restored.before is not None
        assert restored.before.parent == backup.backup_folder(link)
        assert events(restored.before) == 3
        assert [path.name for path in database.parent.iterdir() if path.name.startswith(".")] == []

    def test_the_old_log_does_not_stay_beside_the_restored_file(self, database: Path, link: Path) -> None:
        copy = back_up(link)
        log = database.with_name("curation.db-wal")
        for each in (link, database):
            database.write_bytes(b"\xa5" * 8_192)
            log.write_bytes(b"what the broken record's log held")
            restored = restore(each, copy.path)
            assert restored.damaged
            assert link.is_symlink()
            assert not log.exists()
            assert events(link) == 2

    def test_a_restore_recreates_the_missing_target_of_a_link(self, database: Path, link: Path) -> None:
        copy = back_up(link)
        database.unlink()
        restore(link, copy.path)
        assert link.is_symlink()
        assert events(database) == 2


class TestReplacedWhileOpen:
    def test_a_file_that_is_moved_away_during_a_transaction_takes_nothing(self, database: Path) -> None:
        moved = database.with_name("moved.db")
        with open_store(database) as store:
            results: list[RecordReplaced] = []
            store.on_replaced = results.append
            record = Record(store)
            ana = record.open_session("ana")
            with pytest.raises(RecordReplaced, match="moved"), store.write() as connection:
                connection.exec_driver_sql("UPDATE work_session SET host = 'changed'")
                database.rename(moved)
            with pytest.raises(RecordReplaced):
                ana.reviewer.decide(3, Kind.ACCEPT)
            assert [each.message for each in results] == [results[0].message] * 2
        assert not database.exists()
        moved.with_name("curation.db-wal").unlink(missing_ok=True)
        with open_store(moved) as store:
            assert Record(store).rows("SELECT count(*) FROM work_session WHERE host = 'changed'") == [(0,)]

    def test_reading_a_file_that_is_gone_says_so(self, database: Path) -> None:
        with open_store(database) as store:
            shutil.move(database, database.with_name("moved.db"))
            with pytest.raises(RecordReplaced), store.read():
                pass
