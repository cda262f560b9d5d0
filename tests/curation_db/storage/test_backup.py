"""Backups are complete while others write, checked, and pruned; a restore reports every loss."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support.record import Record

from curation_db.enums import Kind
from curation_db.errors import CorruptRecord, NewerRecord, NotARecord, RecordError, RecordInUse, RecordReplaced
from curation_db.storage import backup, database_file, sqlite
from curation_db.storage.backup import back_up, list_backups, prune
from curation_db.storage.database_file import Contents
from curation_db.storage.migrations import REVISIONS
from curation_db.storage.restore import restore
from curation_db.storage.store import open_store


def decide(record: Record, name: str, count: int) -> None:
    session = record.open_session(name)
    for claim in session.queue.claim(count):
        session.reviewer.decide(claim.candidate_id, Kind.ACCEPT)


def leave(record: Record) -> None:
    """End all sessions and close the record."""
    with record.store.write() as connection:
        connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
    record.store.close()


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def break_page(path: Path, page: int) -> None:
    """Overwrite a page of the file."""
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)


class TestBackUp:
    def test_a_backup_is_the_record(self, record: Record, dump: Any) -> None:
        record.add(5)
        decide(record, "ana", 3)
        backed_up = back_up(record.store.path)
        assert backed_up.path.parent == record.store.path.parent / "backups"
        assert names(backed_up.path.parent) == {backed_up.path.name}
        assert (backed_up.event, backed_up.tables["event"], backed_up.tables["candidate"]) == (3, 3, 5)
        assert backed_up.path.name.endswith("-3.db")
        with open_store(backed_up.path) as store:
            assert dump(store) == dump(record.store)

    def test_concurrent_writes_are_not_in_the_copy_and_do_not_wait(self, record: Record) -> None:
        record.add(2_000)
        path, written = record.store.path, 0

        def decide_one(done: int, total: int) -> None:
            nonlocal written
            decide(record, "ana", 1)
            written += 1

        pages = database_file._PAGES_PER_STEP
        try:
            database_file._PAGES_PER_STEP = 20
            backed_up = back_up(path, progress=decide_one)
        finally:
            database_file._PAGES_PER_STEP = pages
        assert written > 5
        assert backed_up.event == backed_up.tables["event"] == 0
        assert rows(path, "SELECT count(*) FROM event") == [(written,)]

    def test_many_writers_at_full_speed(self, record: Record) -> None:
        record.add(300)
        stop = threading.Event()

        def work(name: str) -> None:
            session = record.open_session(name)
            while not stop.is_set() and (claims := session.queue.claim(1)):
                session.reviewer.decide(claims[0].candidate_id, Kind.ACCEPT)

        threads = [threading.Thread(target=work, args=(name,)) for name in ("ana", "ben")]
        for thread in threads:
            thread.start()
        backed_up = [back_up(record.store.path) for _ in range(3)]
        stop.set()
        for thread in threads:
            thread.join()
        for each in backed_up:
            with open_store(each.path) as store:
                Record(store).assert_state_matches_events()

    def test_nothing_is_overwritten(self, record: Record, tmp_path: Path) -> None:
        occupied = tmp_path / "mine.db"
        occupied.write_text("precious")
        with pytest.raises(FileExistsError):
            back_up(record.store.path, occupied)
        assert occupied.read_text() == "precious"

    def test_a_copy_that_is_something_else_is_refused(self, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
        record.add(2)
        copy = database_file.copy_snapshot

        def lossy(source: Path, target: Path, **more: Any) -> Contents:
            held = copy(source, target, **more)
            with sqlite3.connect(target) as connection:
                connection.execute("DELETE FROM queue_entry WHERE candidate_id = 1")
            connection.close()
            return held

        monkeypatch.setattr(database_file, "copy_snapshot", lossy)
        with pytest.raises(RecordError, match="4 rows of queue_entry became 2"):
            back_up(record.store.path)
        assert names(backup.backup_folder(record.store.path)) == set()

    def test_a_damaged_record_has_no_backup(self, record: Record) -> None:
        record.add(500)
        record.store.close()
        pages = record.store.path.stat().st_size // 4096
        break_page(record.store.path, pages // 2)
        with pytest.raises(CorruptRecord, match="damaged"):
            back_up(record.store.path)
        assert names(backup.backup_folder(record.store.path)) == set()

    def test_killed_in_the_middle_it_leaves_no_backup(self, record: Record) -> None:
        record.add(500)
        code = f"""
import os
from pathlib import Path
from curation_db.storage import backup, database_file
database_file._PAGES_PER_STEP = 5
backup.back_up(Path({str(record.store.path)!r}), progress=lambda *_: os.kill(os.getpid(), 9))"""
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
        folder = backup.backup_folder(record.store.path)
        assert list_backups(folder) == []
        assert back_up(record.store.path).event == 0
        (left,) = folder.glob(".*.part")
        os.utime(left, (0, 0))
        back_up(record.store.path)
        assert not left.exists()

    def test_automatic_ones_are_pruned_and_no_others(self, record: Record) -> None:
        path = record.store.path
        folder = backup.backup_folder(path)
        requested = back_up(path).path
        mine = back_up(path, folder / "mine.db").path
        automatic = [back_up(path, before="bulk").path for _ in range(3)]
        for age, each in enumerate(reversed(automatic), 1):
            each.rename(folder / f"curation-2020010{4 - age}T000000Z-0-before-bulk.db")
        gone = prune(folder, 1)
        assert [each.name for each in gone] == [
            "curation-20200102T000000Z-0-before-bulk.db",
            "curation-20200101T000000Z-0-before-bulk.db",
        ]
        assert names(folder) == {requested.name, mine.name, "curation-20200103T000000Z-0-before-bulk.db"}

    def test_the_list_names_unreadable_backups(self, record: Record) -> None:
        folder = backup.backup_folder(record.store.path)
        good = back_up(record.store.path, before="bulk").path
        (folder / "bad.db").write_bytes(b"GIF89a" * 1000)
        os.utime(folder / "bad.db", (0, 0))
        first, second = list_backups(folder)
        assert (first.path, first.event, first.before, first.problem) == (good, 0, "bulk", None)
        assert (second.made_at, second.event) == ("1970-01-01T00:00:00Z", None)
        assert second.problem is not None
        assert names(folder) == {good.name, "bad.db"}


class TestRestore:
    def test_a_restore_reports_the_loss_and_backs_it_up(self, record: Record) -> None:
        path = record.store.path
        record.add(10)
        decide(record, "ana", 2)
        backed_up = back_up(path)
        decide(record, "ana", 3)
        decide(record, "ben", 1)
        record.add(1)
        leave(record)
        done = restore(path, backed_up.path)
        assert (done.loss.events, done.loss.by_person) == (4, {"ana": 3, "ben": 1})
        assert done.loss.rows == {"image": 1, "caption": 1, "candidate": 1}
        assert (done.event, done.damaged) == (2, False)
        assert rows(path, "SELECT count(*) FROM event") == [(2,)]
        assert done.before is not None
        again = restore(path, done.before)
        assert again.loss.events == 0
        assert rows(path, "SELECT count(*) FROM event") == [(6,)]
        with open_store(path) as store:
            Record(store).assert_state_matches_events()
        assert sqlite.is_wal(path)

    def test_a_log_that_a_crash_left_is_never_applied_to_the_restored_file(self, record: Record) -> None:
        path = record.store.path
        record.add(3)
        backed_up = back_up(path)
        decide(record, "ana", 2)
        with record.store.write() as connection:
            connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
        stored_copy = {each.name: each.read_bytes() for each in path.parent.glob("curation.db*")}
        assert stored_copy["curation.db-wal"]
        record.store.close()
        for name, data in stored_copy.items():
            (path.parent / name).write_bytes(data)
        done = restore(path, backed_up.path)
        assert done.loss.by_person == {"ana": 2}
        assert rows(path, "SELECT count(*) FROM event") == [(0,)]
        assert not [name for name in names(path.parent) if name.endswith(("-wal", "-shm", ".part"))]

    @pytest.mark.parametrize("page", [1, 9], ids=["header", "middle"])
    def test_the_bytes_of_a_damaged_record_are_copied(self, record: Record, page: int) -> None:
        path = record.store.path
        record.add(200)
        backed_up = back_up(path)
        leave(record)
        break_page(path, page)
        damaged = path.read_bytes()
        (path.parent / "curation.db-wal").write_bytes(b"stale")
        done = restore(path, backed_up.path)
        assert done.damaged
        assert done.before is not None
        assert done.before.read_bytes()[4096:] == damaged[4096:]
        assert not (path.parent / "curation.db-wal").exists()
        assert rows(path, "SELECT count(*) FROM candidate") == [(200,)]
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]

    def test_a_deleted_record_is_restored(self, record: Record) -> None:
        path = record.store.path
        record.add(3)
        backed_up = back_up(path)
        record.store.close()
        path.unlink()
        assert restore(path, backed_up.path).before is None
        assert rows(path, "SELECT count(*) FROM candidate") == [(3,)]

    def test_a_restore_during_a_live_session_is_refused(self, record: Record) -> None:
        path = record.store.path
        record.add(3)
        backed_up = back_up(path)
        decide(record, "ana", 1)
        with pytest.raises(RecordInUse, match=rf"^ana \(negwb test, process {os.getpid()} on "):
            restore(path, backed_up.path)
        with pytest.raises(RecordInUse, match="open in another process"):
            restore(path, backed_up.path, force=True)
        assert rows(path, "SELECT count(*) FROM event") == [(1,)]
        assert names(backup.backup_folder(path)) == {backed_up.path.name}
        decide(record, "ana", 1)
        assert sqlite.is_wal(path)

    def test_a_session_of_another_machine_counts_while_it_holds_cards(self, record: Record) -> None:
        path = record.store.path
        record.add(3)
        backed_up = back_up(path)
        record.open_session("ana").queue.claim(1)
        with record.store.write() as connection:
            connection.exec_driver_sql("UPDATE work_session SET host = 'elsewhere', pid = 1")
        record.store.close()
        with pytest.raises(RecordInUse, match="elsewhere"):
            restore(path, backed_up.path)
        assert restore(path, backed_up.path, force=True).event == 0

    def test_a_dead_session_and_an_inherited_process_number_do_not_count(self, record: Record) -> None:
        path = record.store.path
        record.add(3)
        backed_up = back_up(path)
        record.open_session("ana").queue.claim(1)
        with record.store.write() as connection:
            # the ID of this process, with a start before this process began
            connection.exec_driver_sql("UPDATE work_session SET started_at = '2001-01-01T00:00:00.000Z'")
        record.store.close()
        assert restore(path, backed_up.path).event == 0

    def test_a_file_that_is_no_record_is_refused(self, record: Record, tmp_path: Path) -> None:
        path = record.store.path
        record.add(3)
        leave(record)
        before = path.read_bytes()
        newer, other, rubbish = (tmp_path / name for name in ("newer.db", "other.db", "rubbish.db"))
        back_up(path, newer)
        with sqlite3.connect(newer) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        with sqlite3.connect(other) as connection:
            connection.execute("CREATE TABLE theirs(id)")
        connection.close()
        rubbish.write_bytes(b"GIF89a" * 1000)
        for chosen, error in (
            (newer, NewerRecord),
            (other, NotARecord),
            (rubbish, CorruptRecord),
            (tmp_path / "none.db", NotARecord),
        ):
            with pytest.raises(error, match=chosen.name):
                restore(path, chosen)
        assert path.read_bytes() == before
        assert not backup.backup_folder(path).exists()

    def test_killed_before_the_last_step_the_record_is_as_it_was(self, record: Record) -> None:
        path = record.store.path
        record.add(5)
        backed_up = back_up(path)
        decide(record, "ana", 2)
        leave(record)
        code = f"""
import os
from pathlib import Path
from curation_db.storage import database_file
from curation_db.storage.restore import restore
database_file.replace_database = lambda *_: os.kill(os.getpid(), 9)
restore(Path({str(path)!r}), Path({str(backed_up.path)!r}))"""
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
        with open_store(path) as store:
            assert Record(store).rows("SELECT count(*) FROM event") == [(2,)]
        assert sqlite.is_wal(path)


class TestTheFileUnderAnOpenRecord:
    def test_a_replaced_or_deleted_file_takes_no_decision(self, record: Record) -> None:
        record.add(3)
        session = record.open_session("ana")
        path = record.store.path
        copy = back_up(path).path
        copy.replace(path)
        with pytest.raises(RecordReplaced, match="the last change was not written"):
            session.reviewer.decide(1, Kind.ACCEPT)
        path.unlink()
        with pytest.raises(RecordReplaced, match="deleted"):
            session.reviewer.decide(1, Kind.ACCEPT)
        assert not path.exists()
        record.store.close()

    def test_an_older_negwb_writes_nothing_into_a_newer_schema(self, record: Record) -> None:
        record.add(3)
        session = record.open_session("ana")
        session.reviewer.decide(1, Kind.ACCEPT)
        with sqlite3.connect(record.store.path) as other:
            other.execute("ALTER TABLE event ADD COLUMN mood TEXT")
            other.execute("UPDATE alembic_version SET version_num = '9999'")
        other.close()
        with pytest.raises(RecordReplaced, match="schema 9999"):
            session.reviewer.decide(2, Kind.ACCEPT)
        with pytest.raises(RecordReplaced, match="another version of negwb"):
            record.open_session("ben")
        assert rows(record.store.path, "SELECT count(*) FROM event") == [(1,)]

    def test_an_added_index_is_no_newer_schema(self, record: Record) -> None:
        record.add(2)
        session = record.open_session("ana")
        with sqlite3.connect(record.store.path) as other:
            other.execute("CREATE INDEX mine ON event(at)")
        other.close()
        session.reviewer.decide(1, Kind.ACCEPT)
        assert rows(record.store.path, "SELECT count(*) FROM event") == [(1,)]

    def test_no_migration_during_a_session_of_an_older_negwb(
        self, record: Record, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record.open_session("ana")
        monkeypatch.setattr("curation_db.storage.store.HEAD", "9999")
        monkeypatch.setattr("curation_db.storage.store.REVISIONS", (*REVISIONS, "9999"))
        before = rows(record.store.path, "SELECT * FROM sqlite_master")
        with pytest.raises(RecordInUse, match=r"ana \(negwb test"):
            open_store(record.store.path)
        assert rows(record.store.path, "SELECT * FROM sqlite_master") == before

    def test_a_file_taken_out_of_its_mode_is_put_back_into_it(self, record: Record) -> None:
        path = record.store.path
        record.store.close()
        rows(path, "PRAGMA journal_mode=DELETE")
        assert not sqlite.is_wal(path)
        open_store(path).close()
        assert sqlite.is_wal(path)


def test_a_backup_that_is_pruned_while_the_folder_is_read_is_not_listed(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_copy = back_up(record.store.path).path
    gone = stored_copy.with_name("gone.db")
    shutil.copy(stored_copy, gone)
    stat = Path.stat

    def pruned_first(path: Path, **how: Any) -> os.stat_result:
        if path.name == gone.name and inspected.append(path) is None and len(inspected) > 1:
            gone.unlink(missing_ok=True)
        return stat(path, **how)

    inspected: list[Path] = []
    monkeypatch.setattr(Path, "stat", pruned_first)
    assert [each.path for each in list_backups(stored_copy.parent)] == [stored_copy]
    assert len(inspected) > 1
