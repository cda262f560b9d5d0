"""Everything that happened is told, in order, and nothing else; what is hidden is."""

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


def told(record: Record, number: int, exports: Path | None = None) -> Timeline:
    with record.store.read() as connection:
        return timeline(connection, number, exports)


def freeze(record: Record, folder: Path) -> None:
    freeze_set(record.store, folder.parent, folder.name, selection=ExportFilter(), tool_version="test")


def deeds(line: Timeline) -> list[TimelineAction]:
    return [moment.content for moment in line.entries if isinstance(moment.content, TimelineAction)]


def test_every_event_and_verdict_of_the_family_is_told_once_in_order(record: Record) -> None:
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
        line = told(record, number)
        assert [member.candidate_id for member in line.members] == list(family)
        assert [deed.seq for deed in deeds(line)] == [
            row[0]
            for row in record.rows("SELECT seq FROM event WHERE candidate_id != :other ORDER BY seq", other=other)
        ]
        assert [m.content.judge for m in line.entries if isinstance(m.content, JudgeVerdictRow)] == ["llava", "qwen"]
        assert [m.candidate_id for m in line.entries if isinstance(m.content, CandidateOrigin)] == list(family)
        at = [moment.at for moment in line.entries]
        assert at == sorted(at)
    relations = [member.relation for member in told(record, child).members]
    assert relations == [RelatedCandidates.ANCESTOR, RelatedCandidates.THIS, RelatedCandidates.DESCENDANT]


def test_what_was_taken_back_is_said_to_be(record: Record) -> None:
    (number,) = record.add(1)
    ana = record.open_session("ana")
    ana.reviewer.decide(number, Kind.REJECT, reason=Reason.SCOPE)
    ana.reviewer.undo()
    ana.reviewer.redo()
    ana.reviewer.undo()
    ana.reviewer.decide(number, Kind.ACCEPT)
    assert [(deed.kind, deed.original_kind, deed.is_redo, deed.undone) for deed in deeds(told(record, number))] == [
        (Kind.REJECT, Kind.REJECT, False, True),
        (Kind.UNDO, Kind.REJECT, False, False),
        (Kind.UNDO, Kind.REJECT, True, False),
        (Kind.UNDO, Kind.REJECT, False, False),
        (Kind.ACCEPT, Kind.ACCEPT, False, False),
    ]


def test_how_it_came_about_is_told(record: Record) -> None:
    numbers = record.add(3, audit_rate=1.0)
    ana, dan = record.open_session("ana"), record.open_session("dan", role=Role.ADJUDICATOR)
    for number in numbers:
        ana.reviewer.decide(number, Kind.ACCEPT, shown=BLIND)
    dan.reviewer.adjudicate(numbers[0], Kind.REJECT, reason=Reason.PRESENT, cause=Cause.EDGE_CASE)
    dan.reviewer.decide_many(numbers, Kind.REQUEUE)
    first, word, anew = deeds(told(record, numbers[0]))
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


def test_frozen_sets_that_hold_it_are_told_where_they_were_frozen(record: Record, tmp_path: Path) -> None:
    inside, outside = record.add(2)
    ana = record.open_session("ana")
    ana.reviewer.decide(inside, Kind.ACCEPT)
    freeze(record, tmp_path / "exports" / "one")
    ana.reviewer.undo()
    (tmp_path / "exports" / "broken").mkdir()
    line = told(record, inside, tmp_path / "exports")
    assert [m.content for m in line.entries if isinstance(m.content, ExportMembership)] == [
        ExportMembership("one", 1, "accepted")
    ]
    assert [type(m.content) for m in line.entries] == [
        CandidateOrigin,
        TimelineAction,
        ExportMembership,
        TimelineAction,
    ]
    assert not [
        m for m in told(record, outside, tmp_path / "exports").entries if isinstance(m.content, ExportMembership)
    ]


def test_what_is_hidden_leaves_only_ones_own_and_where_it_came_from(record: Record, tmp_path: Path) -> None:
    (number,) = record.add(1, audit_rate=1.0)
    record.judge(number, llava=0.2)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    ana.reviewer.decide(number, Kind.SKIP, shown=BLIND)
    ben.reviewer.decide(number, Kind.ACCEPT, shown=BLIND)
    freeze(record, tmp_path / "exports" / "one")
    whole = told(record, number, tmp_path / "exports")
    assert len(whole.entries) == 5
    hidden = redact(whole, {number}, "ana", blind={number})
    assert [type(m.content) for m in hidden.entries] == [CandidateOrigin, TimelineAction]
    assert [deed.actor for deed in deeds(hidden)] == ["ana"]
    assert (hidden.members[0].state, whole.members[0].state) == (None, State.ACCEPTED)
    assert redact(whole, set(), "ana", blind=set()).entries == whole.entries


def test_a_candidate_is_named_by_number_or_key(record: Record) -> None:
    first, _ = record.add(2)
    with record.store.read() as connection:
        assert find_candidate(connection, str(first)) == first
        assert find_candidate(connection, "test/1") == first
        for unknown in ("test/99", "9" * 40, ""):
            with pytest.raises(RecordError, match="no candidate has"):
                find_candidate(connection, unknown)
        with pytest.raises(RecordError, match="no candidate 77"):
            timeline(connection, find_candidate(connection, "77"))
