"""Event numbers after a restore: no number is used twice, and numbers of the replaced history are recognised."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.record import Record

from curation_db.enums import Kind, State
from curation_db.events import event_clock
from curation_db.events.event_clock import HistoryRelation, origin_of, relation_of
from curation_db.exporting.freeze import freeze
from curation_db.exporting.manifest import MANIFEST_FILE, event_numbers, read_manifest
from curation_db.exporting.selection import ExportFilter, ExportRefused
from curation_db.integrity import event_numbering
from curation_db.storage import lineage
from curation_db.storage.backup import back_up, backup_folder
from curation_db.storage.restore import RestoreResult, restore
from curation_db.storage.store import create_store, open_store

OPEN = ExportFilter((State.OPEN,))


class World:
    """A record, its exports and its backups."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "curation.db"
        self.exports = folder / "exports"
        create_store(self.path).close()
        self.add(12)

    def add(self, count: int) -> None:
        with open_store(self.path) as store:
            Record(store).add(count)

    def decide(self, count: int) -> list[int]:
        with open_store(self.path) as store:
            session = Record(store).open_session("ana")
            claims = session.queue.claim(count)
            numbers = [session.reviewer.decide(claim.candidate_id, Kind.ACCEPT).seq for claim in claims]
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
        return numbers

    def undo(self) -> int:
        with open_store(self.path) as store:
            done = Record(store).open_session("ana").reviewer.undo()
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
        assert done is not None
        return done.seq

    def freeze(self, name: str, *, at: int | None = None, selection: ExportFilter | None = None) -> int:
        with open_store(self.path) as store:
            return freeze(
                store, self.exports, name, selection=selection or ExportFilter(), tool_version="1", at=at
            ).event_seq

    def back_up(self) -> Path:
        return back_up(self.path).path

    def restore(self, chosen: Path) -> RestoreResult:
        return restore(self.path, chosen, exported=event_numbers(self.exports))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def history(self, name: str) -> HistoryRelation:
        frozen = read_manifest(self.exports / name)
        with open_store(self.path) as store, store.read() as connection:
            return relation_of(connection, frozen.event_seq, frozen.event_uid, frozen.lineage)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class TestNumbers:
    def test_go_on_above_those_of_the_record_that_was_replaced(self, world: World) -> None:
        world.decide(3)
        backup = world.back_up()
        world.decide(3)
        done = world.restore(backup)
        assert (done.event, done.next_event) == (3, 7)
        assert world.rows("SELECT first, last, cause FROM event_gap") == [(4, 6, "restore")]
        (_, after, source) = world.rows("SELECT uid, after, restored_from FROM lineage")[1]
        assert (after, source) == (3, backup.name)
        assert world.decide(2) == [7, 8]
        assert world.undo() == 9
        with open_store(world.path) as store:
            assert Record(store).rows("SELECT undo_of FROM event WHERE seq = 9") == [(8,)]

    def test_go_on_above_a_number_that_an_export_took(self, world: World) -> None:
        world.decide(3)
        backup = world.back_up()
        world.add(1)
        assert world.freeze("taken", selection=OPEN) == 4
        assert world.restore(backup).next_event == 5
        assert world.decide(1) == [5]

    def test_a_later_restore_goes_on_above_all_of_them(self, world: World) -> None:
        world.decide(1)
        first = world.back_up()
        world.decide(2)
        before = world.restore(first).before
        assert before is not None
        assert world.decide(1) == [4]
        assert world.restore(before).next_event == 5
        assert world.rows("SELECT first, last, cause FROM event_gap") == [(4, 4, "restore")]
        assert world.decide(1) == [5]
        assert world.restore(first).next_event == 6
        assert world.rows("SELECT first, last FROM event_gap") == [(2, 5)]

    def test_a_backup_that_is_the_record_leaves_no_gap_but_a_lineage(self, world: World) -> None:
        world.decide(2)
        assert world.restore(world.back_up()).next_event == 3
        assert world.rows("SELECT * FROM event_gap") == []
        assert world.rows("SELECT after FROM lineage ORDER BY rowid") == [(0,), (2,)]

    @pytest.mark.parametrize("left", ["nothing", "rubbish"])
    def test_of_a_record_that_cannot_be_read_are_those_that_exports_and_backups_know(
        self, world: World, left: str
    ) -> None:
        world.decide(1)
        backup = world.back_up()
        world.decide(2)
        world.back_up()
        world.decide(2)
        world.freeze("s")
        folder = backup_folder(world.path)
        (folder / "curation-20260101T000000Z-99999999999999999999.db").write_bytes(b"")
        world.path.unlink()
        if left == "rubbish":
            world.path.write_bytes(b"GIF89a" * 2_000)
        assert world.restore(backup).next_event == 6
        assert world.history("s") is HistoryRelation.REPLACED
        assert world.restore(backup).next_event == 6

    def test_of_a_backup_alone(self, world: World) -> None:
        world.decide(1)
        backup = world.back_up()
        world.decide(2)
        world.back_up()
        world.path.unlink()
        assert restore(world.path, backup).next_event == 4

    def test_arrivals_before_the_backup_show_above_the_gap(self, world: World) -> None:
        """GIVEN candidates that arrived after the newest event of the backup, marked with a number of a replaced one
        THEN an export of the present shows them at a number of its own."""
        world.decide(2)
        world.add(1)
        backup = world.back_up()
        world.decide(2)
        world.restore(backup)
        assert world.freeze("before", at=2, selection=OPEN) == 2
        assert world.freeze("now", selection=OPEN) == 5
        assert [read_manifest(world.exports / name).counts.pairs for name in ("before", "now")] == [10, 11]
        assert world.rows("SELECT first, last, cause FROM event_gap") == [(3, 4, "restore"), (5, 5, "export")]
        assert world.decide(1) == [6]

    def test_zero_of_a_replaced_history_does_not_stand(self, world: World) -> None:
        """GIVEN a backup from before the first export WHEN candidates arrive, 0 is exported, and the backup is restored
        THEN an export of 0 with the content of the backup is refused."""
        backup = world.back_up()
        world.add(1)
        assert world.freeze("zero", selection=OPEN) == 0
        world.restore(backup)
        with pytest.raises(ExportRefused, match="replaced"):
            world.freeze("again", at=0, selection=OPEN)
        assert world.freeze("now", selection=OPEN) == 1
        assert world.history("zero") is HistoryRelation.REPLACED
        assert world.decide(1) == [2]


class TestFrozenSets:
    def test_of_a_replaced_history_are_recognised(self, world: World) -> None:
        world.decide(3)
        world.freeze("kept")
        backup = world.back_up()
        world.decide(2)
        assert world.freeze("replaced") == 5
        world.restore(backup)
        assert (world.history("kept"), world.history("replaced")) == (HistoryRelation.SAME, HistoryRelation.REPLACED)
        assert world.decide(2) == [6, 7]
        assert world.history("replaced") is HistoryRelation.REPLACED
        for number in (4, 5):
            with pytest.raises(ExportRefused, match="replaced") as refused:
                world.freeze("again", at=number)
            assert "before 4 or after 5" in refused.value.hint
        assert world.freeze("later") == 7
        assert world.history("later") is HistoryRelation.SAME

    def test_of_a_history_that_came_back_are_of_this_one(self, world: World) -> None:
        world.decide(1)
        first = world.back_up()
        world.decide(2)
        world.freeze("one")
        before = world.restore(first).before
        world.decide(1)
        world.freeze("other")
        assert before is not None
        world.restore(before)
        assert (world.history("one"), world.history("other")) == (HistoryRelation.SAME, HistoryRelation.REPLACED)

    def test_carry_the_event_and_the_lineage_of_their_number(self, world: World) -> None:
        """GIVEN a number that an export took THEN the set has the uid of the last event before it."""
        world.decide(2)
        (uid,) = world.rows("SELECT uid FROM event WHERE seq = 2")[0]
        (first,) = world.rows("SELECT uid FROM lineage")[0]
        world.add(1)
        assert world.freeze("taken", selection=OPEN) == 3
        contents = json.loads((world.exports / "taken" / MANIFEST_FILE).read_text())
        assert (contents["event_uid"], contents["lineage"]) == (uid, first)
        world.freeze("zero", at=0, selection=OPEN)
        zero = read_manifest(world.exports / "zero")
        assert (zero.event_uid, zero.lineage) == (None, first)
        world.restore(world.back_up())
        world.decide(1)
        world.freeze("second")
        second = read_manifest(world.exports / "second")
        ((event, newest),) = world.rows(
            "SELECT (SELECT uid FROM event WHERE seq = 4), (SELECT uid FROM lineage ORDER BY rowid DESC LIMIT 1)"
        )
        assert (second.event_uid, second.lineage) == (event, newest)
        assert newest != first
        world.freeze("taken-again", at=3, selection=OPEN)
        assert (world.exports / "taken-again" / MANIFEST_FILE).read_text() == json.dumps(contents, indent=2) + "\n"

    def test_of_an_older_negwb_are_recognised_by_their_number(self, world: World) -> None:
        world.decide(3)
        world.freeze("old")
        backup = world.back_up()
        world.decide(1)
        world.freeze("newer")
        for name in ("old", "newer"):
            path = world.exports / name / MANIFEST_FILE
            contents = json.loads(path.read_text())
            del contents["event_uid"], contents["lineage"]
            path.chmod(0o644)
            path.write_text(json.dumps(contents))
        assert [world.history(name) for name in ("old", "newer")] == [HistoryRelation.SAME, HistoryRelation.SAME]
        world.restore(backup)
        assert [world.history(name) for name in ("old", "newer")] == [HistoryRelation.SAME, HistoryRelation.REPLACED]

    def test_of_events_that_another_file_has_are_not_of_this_record(self, world: World, tmp_path: Path) -> None:
        """GIVEN a database that was copied back by hand THEN sets of its lost events are recognised, also if their
        numbers are in use again."""
        world.decide(2)
        copy = tmp_path / "copy.db"
        copy.write_bytes(world.path.read_bytes())
        world.decide(2)
        world.freeze("lost")
        world.path.write_bytes(copy.read_bytes())
        assert world.history("lost") is HistoryRelation.UNKNOWN
        assert world.decide(3) == [3, 4, 5]
        assert world.history("lost") is HistoryRelation.UNKNOWN


class TestMissingNumbers:
    def test_are_those_without_event_and_gap(self, world: World) -> None:
        world.decide(9)
        connection = sqlite3.connect(world.path)
        connection.execute("DROP TRIGGER event_never_goes")
        connection.execute("DELETE FROM event WHERE seq IN (1, 4, 5, 7, 9)")
        connection.execute("INSERT INTO event_gap VALUES (5, 5, 'export', 'now')")
        assert event_numbering.missing_ranges(connection) == [(1, 1), (4, 4), (7, 7), (9, 9)]
        connection.execute("INSERT INTO event_gap VALUES (9, 20, 'restore', 'now')")
        assert event_numbering.missing_ranges(connection) == [(1, 1), (4, 4), (7, 7)]
        connection.execute("UPDATE sqlite_sequence SET seq = 22 WHERE name = 'event'")
        assert event_numbering.missing_ranges(connection) == [(1, 1), (4, 4), (7, 7), (21, 22)]
        assert lineage.largest_handed_out(connection) == 22
        connection.commit()
        connection.close()

    def test_are_not_handed_out_again(self, world: World) -> None:
        world.decide(5)
        with sqlite3.connect(world.path) as connection:
            connection.execute("DROP TRIGGER event_never_goes")
            connection.execute("DELETE FROM event WHERE seq > 3")
        connection.close()
        assert world.decide(1) == [6]
        with pytest.raises(ExportRefused, match="event 4 is missing"):
            world.freeze("s", at=4)

    def test_one_that_an_export_takes_is_recorded(self, world: World) -> None:
        world.decide(1)
        world.add(1)
        assert world.freeze("taken", selection=OPEN) == 2
        assert world.rows("SELECT first, last, cause FROM event_gap") == [(2, 2, "export")]
        assert world.decide(1) == [3]
        with sqlite3.connect(world.path) as connection:
            assert event_numbering.missing_ranges(connection) == []
        connection.close()


def test_the_origin_of_a_number_is_the_newest_lineage_below_it(world: World) -> None:
    world.decide(2)
    with open_store(world.path) as store, store.write() as connection:
        for uid, after in (("b", 2), ("c", 2), ("d", 6)):
            connection.exec_driver_sql("INSERT INTO lineage(uid, after, started_at) VALUES (?, ?, 'now')", (uid, after))
        (first,) = connection.exec_driver_sql("SELECT uid FROM lineage ORDER BY rowid LIMIT 1").one()
        lineages = [origin_of(connection, number).lineage for number in (0, 2, 3, 6, 7)]
        assert lineages == [first, first, "c", "c", "d"]
        assert event_clock.is_exportable(connection, 2)
        assert not event_clock.is_exportable(connection, 3)
