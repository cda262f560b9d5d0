"""Eight processes on one record: three annotators, bulk decisions, imports, exports, backups, and checks by doctor.
No acknowledged action is lost, and the record stays consistent."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from support.mixed_work import Log, MixedWork
from support.record import Record

from curation_db.enums import State
from curation_db.exporting.freeze import freeze
from curation_db.exporting.selection import ExportFilter
from curation_db.integrity.checks import Level, check_record
from curation_db.storage.store import create_store, open_store

CARDS = 200


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with create_store(tmp_path / "curation.db") as store:
        record = Record(store)
        record.add(CARDS, overlap="1")
        record.add(CARDS, overlap="2+1", audit_rate=0.2)
    return tmp_path / "curation.db"


def stay_sound(database: Path, *, seconds: float, rounds: int) -> None:
    """Run the processes, and check everything that they wrote."""
    with MixedWork(database, seed=7) as mixed:
        mixed.work(seconds, rounds)
    done = mixed.lines()
    assert done[Log.FAULT] == []
    # A refusal after a wait of 15 s loses nothing; on a loaded machine up to one of a hundred actions may be refused.
    assert len(done[Log.BUSY]) <= len(done[Log.ACTION]) // 100
    with open_store(database) as store:
        record = Record(store)
        assert record.rows("PRAGMA integrity_check") == [("ok",)]
        assert record.rows("PRAGMA foreign_key_check") == []
        record.assert_state_matches_events()
        acts = {row[0] for row in record.rows("SELECT DISTINCT act FROM event")}
        assert {act for (act,) in done[Log.ACTION]} - acts == set(), "acknowledged and not there"
        assert record.rows(
            """SELECT count(*) FROM candidate c JOIN source s ON s.id = c.source_id
               WHERE s.name = 'more' AND c.parent_id IS NULL"""
        ) == [(len(done[Log.KEY]),)]
        assert record.rows("SELECT count(*) FROM candidate WHERE id NOT IN (SELECT candidate_id FROM queue_entry)") == [
            (0,)
        ]
    assert [each.message for each in check_record(database) if each.level is Level.ERROR] == []
    sets_are_repeatable(database, done[Log.SET][-10:])
    backups_are_sound(done[Log.COPY][-3:])


def sets_are_repeatable(database: Path, sets: list[list[object]]) -> None:
    """A set that was frozen during the work is equal to a new export at its event."""
    assert sets
    exports = database.parent / "exports"
    with open_store(database) as store:
        for name, event, states in sets:
            assert isinstance(event, int)
            assert isinstance(states, list)
            chosen = ExportFilter(tuple(map(State, states)))
            freeze(store, exports, f"again-{name}", selection=chosen, tool_version="test", at=event)
            for file in ("items.jsonl", "pairs.jsonl"):
                if (exports / str(name) / file).exists():
                    assert (exports / f"again-{name}" / file).read_bytes() == (exports / str(name) / file).read_bytes()


def backups_are_sound(copies: list[list[object]]) -> None:
    assert copies
    for path, event in copies:
        if not Path(str(path)).exists():
            continue
        connection = sqlite3.connect(str(path))
        assert connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone() == (event,)
        connection.close()
        with open_store(Path(str(path))) as store:
            Record(store).assert_state_matches_events()


@pytest.mark.long
def test_eight_kinds_of_work_for_a_moment(database: Path) -> None:
    stay_sound(database, seconds=0, rounds=2)


@pytest.mark.long
def test_eight_kinds_of_work_for_ninety_seconds(database: Path) -> None:
    stay_sound(database, seconds=90, rounds=5)
