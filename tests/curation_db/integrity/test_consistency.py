"""Derived data is compared with the events, and rebuilt from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.record import Record

from curation_db.enums import Kind, Reason
from curation_db.events.history_cache import events_of
from curation_db.events.state import Overlap, fold
from curation_db.integrity.consistency import Comparison, compare
from curation_db.integrity.rebuild import delete_strays, rebuild, rebuild_indexes, release_leases
from curation_db.storage.work_sessions import open_sessions


@pytest.fixture
def worked(record: Record) -> Record:
    """A record with every kind of event: two annotators, overlap 2, audit, edits, undo, skips, notes."""
    record.add(6, overlap="2", audit_rate=0.0)
    record.add(6, audit_rate=1.0)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    for number in (1, 2, 3):
        ana.reviewer.decide(number, Kind.ACCEPT)
        ben.reviewer.decide(number, Kind.ACCEPT if number < 3 else Kind.REJECT, reason=_reason(number == 3))
    ana.reviewer.decide(4, Kind.SKIP)
    ana.reviewer.decide(4, Kind.SKIP)
    ben.reviewer.decide(5, Kind.UNSURE)
    ana.reviewer.edit(6, "a woman without any hat")
    ben.reviewer.edit(7, "no hat on a horse")
    ben.reviewer.undo()
    ben.reviewer.decide(8, Kind.ACCEPT)
    ben.reviewer.undo()
    ben.reviewer.redo()
    ana.reviewer.toggle_flag(9)
    ana.reviewer.note(9, "look")
    return record


def _reason(rejects: bool) -> Reason | None:
    return Reason.PRESENT if rejects else None


def compare_record(record: Record) -> Comparison:
    with record.store.read() as connection:
        return compare(connection)


def spoil(record: Record, *statements: str) -> None:
    with record.store.write() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_a_record_that_was_worked_in_is_sound(worked: Record) -> None:
    result: list[tuple[int, int]] = []
    with worked.store.read() as connection:
        comparison = compare(connection, progress=lambda done, total: result.append((done, total)))
    assert comparison.is_consistent, (comparison.states.examples, comparison.queue.examples)
    ((candidates,),) = worked.rows("SELECT count(*) FROM candidate")
    ((events,),) = worked.rows("SELECT count(*) FROM event")
    assert (comparison.candidates, comparison.events) == (candidates, events)
    assert result[-1] == (candidates, candidates)


def test_the_merge_pass_agrees_with_single_folds(worked: Record) -> None:
    spoil(worked, "UPDATE candidate_state SET accepts = accepts + 1 WHERE candidate_id % 3 = 0")
    with worked.store.read() as connection:
        wrong = []
        for number, overlap in worked.rows("SELECT id, overlap FROM candidate ORDER BY id"):
            standing = fold(events_of(connection, number), Overlap.parse(overlap))
            stored = worked.rows("SELECT accepts FROM candidate_state WHERE candidate_id = :id", id=number)
            wrong += [number] if stored != [(standing.accepts,)] else []
    assert compare_record(worked).states.ids == wrong


@pytest.mark.parametrize(
    ("spoiled", "where"),
    [
        ("UPDATE candidate_state SET state = 'rejected' WHERE candidate_id = 1", "states"),
        ("UPDATE candidate_state SET last_seq = 0 WHERE candidate_id = 1", "states"),
        ("UPDATE candidate_state SET flagged = 0, notes = 7 WHERE candidate_id = 9", "states"),
        ("DELETE FROM candidate_state WHERE candidate_id = 2", "states"),
        (
            "UPDATE queue_entry SET group_id = (SELECT id FROM queue_group WHERE stream = 'audit') "
            "WHERE candidate_id = 4 AND ordering = 'oldest'",
            "queue",
        ),
        ("DELETE FROM queue_entry WHERE candidate_id = 4 AND ordering = 'conflict'", "queue"),
        (
            "INSERT INTO queue_entry SELECT ordering, group_id, 99, candidate_id FROM queue_entry "
            "WHERE candidate_id = 4 AND ordering = 'oldest'",
            "queue",
        ),
        (
            "UPDATE queue_entry SET group_id = (SELECT id FROM queue_group WHERE stream = 'review' AND voters = ',' "
            "AND passes = ',') WHERE candidate_id = 5",
            "queue",
        ),
    ],
)
def test_every_kind_of_mismatch_is_detected_and_rebuilt(
    worked: Record, dump: Callable[..., Any], spoiled: str, where: str
) -> None:
    before = dump(worked.store)
    spoil(worked, spoiled)
    comparison = compare_record(worked)
    assert not comparison.is_consistent
    assert len(getattr(comparison, where).ids) == len(getattr(comparison, where).examples) == 1
    rebuild(worked.store, comparison.wrong)
    assert compare_record(worked).is_consistent
    assert dump(worked.store) == before


def test_other_orders_are_worked_out_in_the_background_and_may_be_missing(worked: Record) -> None:
    spoil(
        worked,
        "INSERT INTO queue_entry SELECT 'lint', group_id, 0.5, candidate_id FROM queue_entry "
        "WHERE candidate_id < 5 AND ordering = 'oldest'",
    )
    assert compare_record(worked).is_consistent


def test_entries_and_states_of_missing_candidates_are_deleted(worked: Record) -> None:
    with worked.store.write() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("INSERT INTO queue_entry VALUES ('oldest', 1, 0.0, 777), ('oldest', 1, 0.0, 0)")
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    assert compare_record(worked).strays == 2
    assert delete_strays(worked.store) == 2
    assert compare_record(worked).is_consistent


def test_everything_derived_can_be_lost(worked: Record, dump: Callable[..., Any]) -> None:
    before = dump(worked.store)
    spoil(
        worked, "DELETE FROM candidate_state", "DELETE FROM queue_entry", "DELETE FROM lease", "DELETE FROM queue_group"
    )
    rebuild(worked.store, compare_record(worked).wrong)
    assert compare_record(worked).is_consistent
    after = dump(worked.store)
    assert after["candidate_state"] == before["candidate_state"]
    assert {row[::3] for row in after["queue_entry"]} == {row[::3] for row in before["queue_entry"]}
    assert after["event"] == before["event"]


def test_leases_of_dead_sessions_are_freed_and_others_stay(record: Record) -> None:
    record.add(6)
    dead, ended, alive = (record.open_session(name) for name in ("ana", "ben", "cho"))
    for annotator_session in (dead, ended, alive):
        annotator_session.queue.claim(2)
    spoil(
        record,
        f"UPDATE work_session SET pid = 999999999 WHERE id = '{dead.actor.session}'",
        f"UPDATE work_session SET ended_at = 'now' WHERE id = '{ended.actor.session}'",
    )
    with record.store.write() as connection:
        gone = [each.id for each in open_sessions(connection.connection.driver_connection) if not each.alive]
    assert gone == [dead.actor.session]
    assert release_leases(record.store, gone) == 4
    assert {session for (session,) in record.rows("SELECT session FROM lease")} == {alive.actor.session}
    assert record.rows("SELECT count(*) FROM work_session WHERE ended_at IS NULL") == [(1,)]


def test_search_finds_every_text_once_after_an_index_rebuild(record: Record) -> None:
    record.add(3)
    with record.store.write() as connection:
        connection.exec_driver_sql("INSERT INTO candidate_text(rowid, text, concept) VALUES (1, 'rubbish', 'x')")
    rebuild_indexes(record.store)
    with record.store.read() as connection:
        comparison = connection.exec_driver_sql(
            "SELECT rowid FROM candidate_text WHERE candidate_text MATCH 'wearing' ORDER BY rowid"
        ).all()
    assert [row.rowid for row in comparison] == [1, 2, 3]
    assert record.rows("SELECT count(*) FROM candidate_text WHERE candidate_text MATCH 'rubbish'") == [(0,)]
