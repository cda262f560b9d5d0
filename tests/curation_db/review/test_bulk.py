"""Bulk decisions: the preview equals the effect, all of it is one action, protected candidates are skipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.record import Record

from curation_db.enums import Kind, Reason, Role, State, Stream
from curation_db.errors import RecordError
from curation_db.integrity.consistency import compare
from curation_db.queue.gold import KnownAnswer
from curation_db.review.bulk import MAX_BULK_BACKUPS, decide_in_bulk, preview
from curation_db.review.bulk_preview import SkipReason
from curation_db.review.decisions import PresentationContext
from curation_db.review.gold_marking import mark
from curation_db.storage.backup import backup_folder, list_backups

BLIND = PresentationContext(stream=Stream.AUDIT, blind=True)


def preview_ids(record: Record, who, ids, kind: Kind):
    with record.store.read() as connection:
        return preview(connection, who.actor, ids, kind)


def states(record: Record, numbers) -> list[str]:
    return [record.state(number) for number in numbers]


def test_one_undo_reverses_all_and_one_redo_repeats_it(record: Record) -> None:
    numbers = record.add(12)
    ana = record.open_session("ana")
    ana.reviewer.decide(numbers[0], Kind.ACCEPT)
    done = decide_in_bulk(record.store, ana.actor, numbers, Kind.REJECT, Reason.SCOPE)
    assert (done.changed, done.left, done.becomes) == (12, {}, {State.REJECTED: 12})
    assert {row[0] for row in record.rows("SELECT act FROM event WHERE kind = 'reject'")} == {done.action_id}
    assert len(set(record.rows("SELECT uid FROM event"))) == 13
    undone = ana.reviewer.undo()
    assert undone
    assert (undone.candidates, undone.kind) == (12, Kind.REJECT)
    assert states(record, numbers) == ["accepted", *["open"] * 11], "what was there before is there again"
    record.assert_state_matches_events()
    assert record.rows("SELECT * FROM lease") == [], "a bulk lies in nobody's hands"
    assert ana.reviewer.redo()
    assert states(record, numbers) == ["rejected"] * 12
    ana.reviewer.undo()
    ana.reviewer.undo()
    assert states(record, numbers) == ["open"] * 12
    record.assert_state_matches_events()


def test_protected_candidates_are_skipped_and_counted(record: Record) -> None:
    plain, held, edited, settled, same = record.add(5)
    blind, decided = record.add(2, audit_rate=1.0)
    ana, ben, dan = (
        record.open_session("ana"),
        record.open_session("ben"),
        record.open_session("dan", role=Role.ADJUDICATOR),
    )
    ben.queue.retake(held)
    child = ana.reviewer.edit(edited, "a woman without a helmet riding a horse").child_id
    dan.reviewer.adjudicate(settled, Kind.REJECT, reason=Reason.SCOPE)
    ben.reviewer.decide(same, Kind.ACCEPT)
    ben.reviewer.decide(decided, Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
    named = [plain, held, edited, settled, same, blind, decided, 999, plain]
    seen = preview_ids(record, ana, named, Kind.ACCEPT)
    assert (seen.requested, seen.votes) == (8, [plain, decided])
    assert seen.left == {
        SkipReason.HELD: 1,
        SkipReason.SUPERSEDED: 1,
        SkipReason.FINAL: 1,
        SkipReason.ALREADY: 1,
        SkipReason.AUDIT: 1,
        SkipReason.UNKNOWN: 1,
    }
    assert seen.becomes == {State.ACCEPTED: 1, State.CONTESTED: 1}
    done = decide_in_bulk(record.store, ana.actor, named, Kind.ACCEPT)
    assert (done.changed, done.left, done.becomes) == (2, seen.left, seen.becomes)
    assert states(record, [plain, held, blind, decided, child]) == ["accepted", "open", "open", "contested", "open"]
    record.assert_state_matches_events()


def test_gold_items_are_skipped(record: Record) -> None:
    plain, known = record.add(2)
    with record.store.write() as connection:
        mark(connection, {known: KnownAnswer(Kind.REJECT)}, "a file")
    ana = record.open_session("ana")
    done = decide_in_bulk(record.store, ana.actor, [plain, known], Kind.ACCEPT)
    assert (done.changed, done.left) == (1, {SkipReason.GOLD: 1})
    assert states(record, [plain, known]) == ["accepted", "open"]


def test_own_audit_label_stays_and_gets_a_flip(record: Record) -> None:
    numbers = record.add(4, audit_rate=1.0)
    ana = record.open_session("ana")
    for number in numbers[:3]:
        ana.reviewer.decide(number, Kind.ACCEPT, shown=BLIND)
    done = decide_in_bulk(record.store, ana.actor, numbers, Kind.REJECT, Reason.SCOPE)
    assert (done.changed, done.left) == (3, {SkipReason.AUDIT: 1})
    assert record.rows("SELECT DISTINCT kind, verdict, reason FROM event WHERE act = :act", act=done.action_id) == [
        ("flip", "reject", "scope")
    ]
    assert states(record, numbers) == [*["rejected"] * 3, "open"]
    ana.reviewer.undo()
    assert states(record, numbers) == [*["accepted"] * 3, "open"]


def test_a_backup_precedes_and_old_bulk_backups_are_pruned(record: Record) -> None:
    numbers = record.add(3)
    ana = record.open_session("ana")
    for turn in range(MAX_BULK_BACKUPS + 2):
        kind = Kind.REQUEUE if turn % 2 else Kind.ACCEPT
        done = decide_in_bulk(record.store, ana.actor, numbers, kind)
        assert done.backup
        assert done.backup.is_file()
    backups = list_backups(backup_folder(record.store.path))
    assert [each.before for each in backups] == ["bulk"] * MAX_BULK_BACKUPS
    assert backups[0].event == 3 * (MAX_BULK_BACKUPS + 1), "as it was before the last one"


def test_nothing_to_change_writes_nothing(record: Record, dump: Callable) -> None:
    numbers = record.add(3)
    ana = record.open_session("ana")
    decide_in_bulk(record.store, ana.actor, numbers, Kind.ACCEPT)
    before = dump(record.store)
    done = decide_in_bulk(record.store, ana.actor, numbers, Kind.ACCEPT)
    assert (done.action_id, done.changed, done.backup) == (None, 0, None)
    assert dump(record.store) == before


def test_forbidden_decisions_write_nothing(record: Record, dump: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = record.add(3)
    ana, _ = record.open_session("ana"), record.open_session("ben")
    before = dump(record.store)
    for kind, reason, error in (
        (Kind.REQUEUE, None, RecordError),
        (Kind.REJECT, None, ValueError),
        (Kind.ACCEPT, Reason.SCOPE, ValueError),
        (Kind.EDIT, None, ValueError),
    ):
        with pytest.raises(error):
            decide_in_bulk(record.store, ana.actor, numbers, kind, reason)
    monkeypatch.setattr("curation_db.review.bulk_preview.MAX_CANDIDATES", 2)
    with pytest.raises(RecordError, match="too many"):
        decide_in_bulk(record.store, ana.actor, numbers, Kind.ACCEPT)
    assert dump(record.store) == before
    assert not backup_folder(record.store.path).exists()


def test_an_adjudicator_requeues_and_undoes_others(record: Record) -> None:
    numbers = record.add(4)
    ana, dan = record.open_session("ana"), record.open_session("dan", role=Role.ADJUDICATOR)
    done = decide_in_bulk(record.store, ana.actor, numbers, Kind.ACCEPT)
    decide_in_bulk(record.store, dan.actor, numbers, Kind.REQUEUE)
    assert states(record, numbers) == ["open"] * 4
    dan.reviewer.undo()
    assert dan.reviewer.take_back(done.action_id).candidates == 4
    assert states(record, numbers) == ["open"] * 4
    record.assert_state_matches_events()


def test_a_failure_in_the_middle_leaves_nothing(record: Record, dump: Callable) -> None:
    numbers = record.add(3)
    ana = record.open_session("ana")
    ana.queue.claim()
    before = dump(record.store)

    def stop(step: str, *_: int) -> None:
        if step == "deciding":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        decide_in_bulk(record.store, ana.actor, numbers, Kind.ACCEPT, progress=stop)
    assert dump(record.store) == before


def test_several_batches_are_one_action(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation_db.review.bulk_preview.BATCH", 7)
    monkeypatch.setattr("curation_db.review.decisions.BATCH", 7)
    numbers = record.add(40, overlap="2+1")
    ana, ben = record.open_session("ana"), record.open_session("ben")
    for number in numbers[::3]:
        ben.reviewer.decide(number, Kind.REJECT, reason=Reason.SCOPE)
    decide_in_bulk(record.store, ana.actor, numbers, Kind.ACCEPT)
    ana.reviewer.undo()
    ana.reviewer.redo()
    assert len(record.rows("SELECT DISTINCT act FROM event WHERE actor = 'ana'")) == 3
    with record.store.read() as connection:
        report = compare(connection)
    assert report.is_consistent, (report.states.examples, report.queue.examples)


def test_progress_reports_both_steps(record: Record, tmp_path: Path) -> None:
    numbers = record.add(3)
    steps: list[tuple[str, int, int]] = []
    decide_in_bulk(
        record.store, record.open_session("ana").actor, numbers, Kind.ACCEPT, progress=lambda *step: steps.append(step)
    )
    assert dict((step, done) for step, done, _ in steps)["deciding"] == 3
    assert steps[0][0] == "backing up"
