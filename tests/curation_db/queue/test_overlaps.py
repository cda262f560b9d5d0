"""Overlap set after the import: states, queue and exports follow it; exports of earlier events stay equal."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.record import Record

from curation_db.enums import Kind, Reason, Role, State
from curation_db.errors import RecordError
from curation_db.events import event_clock
from curation_db.events.state import Overlap
from curation_db.exporting.selection import Chosen, DecidedCandidate, ExportFilter, choose
from curation_db.exporting.staleness import drift_since
from curation_db.integrity.consistency import compare
from curation_db.review.overlaps import differing, drawn, preview, set_overlap
from curation_db.stats.annotation_cost import overlaps as effort
from curation_db.storage.store import create_store

ALL = ExportFilter(states=tuple(State))
PEOPLE = ("ana", "ben", "dan")


def change(record: Record, overlap: str, *numbers: int) -> int:
    return set_overlap(record.store, numbers, Overlap.parse(overlap), actor="ana")


def exported_now(record: Record) -> Chosen:
    """As `negwb export` does it: the number for now becomes one that stands."""
    with record.store.write() as connection:
        number = event_clock.reserve(connection, ALL.depends_on())
    return exported_at(record, number)


def exported_at(record: Record, number: int) -> Chosen:
    with record.store.read() as connection:
        return choose(connection, ALL, at=number)


def sound(record: Record) -> bool:
    with record.store.read() as connection:
        return compare(connection).is_consistent


@pytest.mark.parametrize("result", ["1", "3", "2+1", "99"])
def test_an_overlap_is_formatted_as_parsed(result: str) -> None:
    assert str(Overlap.parse(result)) == result


def test_existing_candidates_need_more_decisions(record: Record) -> None:
    record.add(3)
    ana, ben = record.open_session("ana"), record.open_session("ben")
    ana.reviewer.decide(1, Kind.ACCEPT)
    assert change(record, "2", 1, 2) == 2
    assert [record.state(number) for number in (1, 2, 3)] == ["needs_more", "open", "open"]
    assert {claim.candidate_id for claim in ben.queue.claim(5)} == {1, 2, 3}
    ben.reviewer.decide(1, Kind.ACCEPT)
    ben.reviewer.decide(2, Kind.ACCEPT)
    assert [record.state(number) for number in (1, 2)] == ["accepted", "needs_more"]
    assert change(record, "1", 1, 2) == 2
    assert record.state(2) == "accepted"
    assert change(record, "1", 1, 2, 3) == 0, "they have it already"
    assert sound(record)


def test_a_child_inherits_the_present_overlap(record: Record) -> None:
    record.add(1)
    change(record, "2", 1)
    done = record.open_session("ana").reviewer.edit(1, "a woman without a hat")
    assert record.rows("SELECT overlap FROM candidate WHERE id = :id", id=done.child_id) == [("2",)]
    grandchild = record.open_session("ben").reviewer.edit(done.child_id, "a woman with no hat").child_id
    with record.store.read() as connection:
        assert differing(connection, "1") == 0, "it was set on purpose"
    assert record.state(grandchild) != "accepted"
    assert sound(record)


def test_effort_counts_by_the_present_overlap(record: Record) -> None:
    record.add(2)
    change(record, "2+1", 1)
    with record.store.read() as connection:
        assert [(each.overlap, each.candidates) for each in effort(connection)] == [("1", 1), ("2+1", 1)]


def test_an_export_is_stale_after_an_overlap_change(record: Record) -> None:
    record.add(2)
    record.open_session("ana").reviewer.decide(1, Kind.ACCEPT)
    with record.store.read() as connection:
        assert not drift_since(connection, 1, ExportFilter()).stale
    change(record, "2", 1, 2)
    with record.store.read() as connection:
        drift = drift_since(connection, 1, ExportFilter())
    assert (drift.entered, drift.left) == (0, 1)


def test_a_bulk_decision_uses_the_present_overlap(record: Record) -> None:
    record.add(2)
    change(record, "2", 1)
    done = record.open_session("ana").reviewer.decide_many([1, 2], Kind.ACCEPT)
    assert done.preview.becomes == {State.NEEDS_MORE: 1, State.ACCEPTED: 1}


def test_the_preview_equals_the_change(record: Record) -> None:
    record.add(4)
    ana = record.open_session("ana").reviewer
    ana.decide(1, Kind.ACCEPT)
    ana.decide(2, Kind.REJECT, reason=Reason.SCOPE)
    change(record, "2", 4)
    with record.store.read() as connection:
        result = preview(connection, [4, 3, 2, 1, 1], Overlap.parse("2"))
    assert (result.candidates, result.drawn, list(result.changing)) == (4, 4, [1, 2, 3])
    assert result.moves == {(State.ACCEPTED, State.NEEDS_MORE): 1, (State.REJECTED, State.NEEDS_MORE): 1}
    assert (result.wanted_before, result.wanted_after) == (1, 4)
    assert change(record, "2", *result.changing) == 3
    assert record.rows("SELECT sum(wanted) FROM candidate_state WHERE candidate_id < 4") == [(4,)]


class TestShare:
    def test_it_is_the_same_each_time_and_a_larger_one_only_adds(self, record: Record) -> None:
        numbers = record.add(400, audit_rate=0.5)
        with record.store.read() as connection:
            fewer, more = drawn(connection, numbers, 0.2), drawn(connection, numbers, 0.5)
            assert fewer == drawn(connection, numbers, 0.2)
            assert drawn(connection, numbers, 1) == numbers
        assert set(fewer) < set(more)
        # wider than 5 standard deviations of a share drawn at random
        assert 40 <= len(fewer) <= 120
        assert 150 <= len(more) <= 250

    def test_it_is_independent_of_the_audit(self, record: Record) -> None:
        """The audit is the same hash below its rate: with the same numbers the share would be the audit itself."""
        numbers = record.add(400, audit_rate=0.5)
        audit = {number for (number,) in record.rows("SELECT id FROM candidate WHERE audit")}
        with record.store.read() as connection:
            both = audit & set(drawn(connection, numbers, 0.5))
        assert 50 <= len(both) <= 150

    @pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
    def test_invalid_shares_are_refused(self, record: Record, share: float) -> None:
        record.add(1)
        with record.store.read() as connection, pytest.raises(ValueError, match="share"):
            drawn(connection, [1], share)


def test_candidates_with_another_overlap_are_counted(record: Record) -> None:
    numbers = record.add(5)
    record.add(2, overlap="2")
    with record.store.read() as connection:
        assert (differing(connection, "1"), differing(connection, "2"), differing(connection, "3")) == (2, 5, 7)
    change(record, "2+1", numbers[0])
    with record.store.read() as connection:
        assert differing(connection, "2") == 4, "the one that was changed was changed on purpose"


step = st.tuples(
    st.sampled_from([*PEOPLE, "overlap", "overlap", "export"]),
    st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
    st.sampled_from(["accept", "reject", "unsure", "undo", "redo", "edit", "adjudicate", "requeue", "bulk"]),
    st.sampled_from(["1", "2", "2+1", "3"]),
)


@settings(max_examples=examples(15), deadline=None)
@given(steps=st.lists(step, max_size=20))
def test_exports_of_past_events_stay_equal(steps: list[tuple[str, list[int], str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder, create_store(Path(folder) / "curation.db") as store:
        record = Record(store)
        numbers = record.add(4)
        people = {
            name: record.open_session(name, role=Role.ADJUDICATOR if name == "dan" else None).reviewer
            for name in PEOPLE
        }
        frozen: dict[int, tuple[list[int], dict[int, DecidedCandidate]]] = {}
        for at, (who, items, what, overlap) in enumerate(steps):
            chosen = [numbers[item] for item in items]
            if who == "overlap":
                change(record, overlap, *numbers[4:], *chosen)
            elif who == "export":
                result = exported_now(record)
                frozen[result.event_seq] = result.ids, result.outcomes
                states = {number: str(outcome.state) for number, outcome in result.outcomes.items()}
                assert states == dict(record.rows("SELECT candidate_id, state FROM candidate_state"))
            else:
                run_step(people[who], chosen, what, numbers, at)
        record.assert_state_matches_events()
        assert sound(record)
        for number, (ids, outcomes) in frozen.items():
            again = exported_at(record, number)
            assert (again.ids, again.outcomes) == (ids, outcomes)


def run_step(reviewer: object, chosen: list[int], what: str, numbers: list[int], at: int) -> None:
    assert hasattr(reviewer, "decide")
    with suppress(RecordError, ValueError):
        match what:
            case "undo" | "redo":
                getattr(reviewer, what)()
            case "edit":
                numbers.append(reviewer.edit(chosen[0], f"a man without a hat {at}").child_id)  # type: ignore[attr-defined]
            case "adjudicate" | "requeue":
                getattr(reviewer, what)(chosen[0], *([Kind.ACCEPT] if what == "adjudicate" else []))
            case "bulk":
                reviewer.decide_many(chosen, Kind.ACCEPT)  # type: ignore[attr-defined]
            case kind:
                reviewer.decide(chosen[0], Kind(kind), reason=Reason.SCOPE if kind == "reject" else None)
