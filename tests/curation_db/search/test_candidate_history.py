"""Entries, order and redaction of a candidate's timeline."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.record import Record

from curation_db.enums import Cause, Kind, Reason, Role, State, Stream
from curation_db.errors import RecordError
from curation_db.exporting.freeze import freeze as freeze_set
from curation_db.exporting.selection import ExportFilter
from curation_db.review.decisions import PresentationContext
from curation_db.search.candidate_history import (
    CandidateOrigin,
    ExportMembership,
    JudgeVerdictRow,
    RelatedCandidates,
    Timeline,
    TimelineAction,
    find_candidate,
    redact,
    timeline,
)

BLIND = PresentationContext(stream=Stream.AUDIT, blind=True, elapsed_ms=1_500)


def timeline_of(record: Record, number: int, exports: Path | None = None) -> Timeline:
    with record.store.read() as connection:
        return timeline(connection, number, exports)


def freeze(record: Record, folder: Path) -> None:
    freeze_set(record.store, folder.parent, folder.name, selection=ExportFilter(), tool_version="test")


def actions_of(history: Timeline) -> list[TimelineAction]:
    return [entry.content for entry in history.entries if isinstance(entry.content, TimelineAction)]


def test_the_timeline_has_each_event_and_verdict_of_the_family_once_in_order(record: Record) -> None:
    first, other = record.add(2)
    record.judge(first, llava=0.2, qwen=0.9)
    record.judge(other, llava=0.5)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    ana.reviewer.note(first, "left edge")
    ana.reviewer.decide(other, Kind.ACCEPT)
    child = ana.reviewer.edit(first, "a woman without a helmet riding a horse").child_id
    grandchild = ben.reviewer.edit(child, "a woman without a red helmet riding a horse").child_id
    ben.reviewer.undo()
    ben.reviewer.redo()
    ana.reviewer.decide(grandchild, Kind.ACCEPT)
    family = (first, child, grandchild)
    for number in family:
        history = timeline_of(record, number)
        assert [member.candidate_id for member in history.members] == list(family)
        assert [action.seq for action in actions_of(history)] == [
            row[0]
            for row in record.rows("SELECT seq FROM event WHERE candidate_id != :other ORDER BY seq", other=other)
        ]
        assert [m.content.judge for m in history.entries if isinstance(m.content, JudgeVerdictRow)] == ["llava", "qwen"]
        assert [m.candidate_id for m in history.entries if isinstance(m.content, CandidateOrigin)] == list(family)
        at = [entry.at for entry in history.entries]
        assert at == sorted(at)
    relations = [member.relation for member in timeline_of(record, child).members]
    assert relations == [RelatedCandidates.ANCESTOR, RelatedCandidates.THIS, RelatedCandidates.DESCENDANT]


def test_undone_events_are_marked_as_undone(record: Record) -> None:
    (number,) = record.add(1)
    ana = record.open_session("ana")
    ana.reviewer.decide(number, Kind.REJECT, reason=Reason.SCOPE)
    ana.reviewer.undo()
    ana.reviewer.redo()
    ana.reviewer.undo()
    ana.reviewer.decide(number, Kind.ACCEPT)
    assert [
        (action.kind, action.original_kind, action.is_redo, action.undone)
        for action in actions_of(timeline_of(record, number))
    ] == [
        (Kind.REJECT, Kind.REJECT, False, True),
        (Kind.UNDO, Kind.REJECT, False, False),
        (Kind.UNDO, Kind.REJECT, True, False),
        (Kind.UNDO, Kind.REJECT, False, False),
        (Kind.ACCEPT, Kind.ACCEPT, False, False),
    ]


def test_an_action_has_its_role_stream_and_time(record: Record) -> None:
    numbers = record.add(3, audit_rate=1.0)
    ana, dan = record.open_session("ana"), record.open_session("dan", role=Role.ADJUDICATOR)
    for number in numbers:
        ana.reviewer.decide(number, Kind.ACCEPT, shown=BLIND)
    dan.reviewer.adjudicate(numbers[0], Kind.REJECT, reason=Reason.PRESENT, cause=Cause.EDGE_CASE)
    dan.reviewer.decide_many(numbers, Kind.REQUEUE)
    first, word, anew = actions_of(timeline_of(record, numbers[0]))
    assert (first.blind, first.stream, first.elapsed_ms, first.late, first.bulk) == (
        True,
        Stream.AUDIT,
        1_500,
        True,
        False,
    )
    assert (word.role, word.verdict, word.reason, word.cause) == (
        Role.ADJUDICATOR,
        Kind.REJECT,
        Reason.PRESENT,
        Cause.EDGE_CASE,
    )
    assert (anew.kind, anew.bulk) == (Kind.REQUEUE, True)


def test_an_export_with_the_candidate_is_an_entry_at_its_last_event(record: Record, tmp_path: Path) -> None:
    inside, outside = record.add(2)
    ana = record.open_session("ana")
    ana.reviewer.decide(inside, Kind.ACCEPT)
    freeze(record, tmp_path / "exports" / "one")
    ana.reviewer.undo()
    (tmp_path / "exports" / "broken").mkdir()
    history = timeline_of(record, inside, tmp_path / "exports")
    assert [m.content for m in history.entries if isinstance(m.content, ExportMembership)] == [
        ExportMembership("one", 1, "accepted")
    ]
    assert [type(m.content) for m in history.entries] == [
        CandidateOrigin,
        TimelineAction,
        ExportMembership,
        TimelineAction,
    ]
    assert not [
        m for m in timeline_of(record, outside, tmp_path / "exports").entries if isinstance(m.content, ExportMembership)
    ]


def test_redaction_keeps_only_own_actions_and_the_origin(record: Record, tmp_path: Path) -> None:
    (number,) = record.add(1, audit_rate=1.0)
    record.judge(number, llava=0.2)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    ana.reviewer.decide(number, Kind.SKIP, shown=BLIND)
    ben.reviewer.decide(number, Kind.ACCEPT, shown=BLIND)
    freeze(record, tmp_path / "exports" / "one")
    whole = timeline_of(record, number, tmp_path / "exports")
    assert len(whole.entries) == 5
    hidden = redact(whole, {number}, "ana", blind={number})
    assert [type(m.content) for m in hidden.entries] == [CandidateOrigin, TimelineAction]
    assert [action.actor for action in actions_of(hidden)] == ["ana"]
    assert (hidden.members[0].state, whole.members[0].state) == (None, State.ACCEPTED)
    assert redact(whole, set(), "ana", blind=set()).entries == whole.entries


def test_a_candidate_is_found_by_number_or_key(record: Record) -> None:
    first, _ = record.add(2)
    with record.store.read() as connection:
        assert find_candidate(connection, str(first)) == first
        assert find_candidate(connection, "test/1") == first
        for unknown in ("test/99", "9" * 40, ""):
            with pytest.raises(RecordError, match="no candidate has"):
                find_candidate(connection, unknown)
        with pytest.raises(RecordError, match="no candidate 77"):
            timeline(connection, find_candidate(connection, "77"))
