"""Selection of an export: the state at an event, folded from events alone, and its deciders."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from support.examples import examples

from curation_db.enums import BENCHMARK, Kind, Reason, Role, State, Stream
from curation_db.errors import RecordError
from curation_db.events.annotators import begin_session
from curation_db.events.history_cache import events_of
from curation_db.events.state import Overlap, fold
from curation_db.exporting.manifest import read_items
from curation_db.exporting.selection import (
    DecidedCandidate,
    ExportFilter,
    ExportRefused,
    as_number,
    choose,
    natural_sort_key,
    outcomes_at,
)
from curation_db.exporting.staleness import Drift, drift_since
from curation_db.review.decisions import DecisionWriter, PresentationContext


def chosen(record, *states, at=None):
    with record.store.read() as connection:
        return sorted(choose(connection, ExportFilter(states or (State.ACCEPTED,)), at=at).ids)


def drift(record, event, *states):
    with record.store.read() as connection:
        return drift_since(connection, event, ExportFilter(states or (State.ACCEPTED,)))


def test_states(decided):
    assert chosen(decided) == [1, 2, 3, 4, 5, 6]
    assert chosen(decided, State.REJECTED, State.UNSURE) == [7, 8, 9]
    assert chosen(decided, State.OPEN) == [10]
    assert chosen(decided, *State) == list(range(1, 11))


def test_state_at_an_event_whatever_came_later(decided):
    ana = decided.person("ana")
    ana.undo()  # event 10 takes back 9
    ana.undo()  # event 11 takes back 8
    assert chosen(decided, at=3) == [1, 2, 3]
    assert chosen(decided, State.REJECTED, at=9) == [7, 8]
    assert chosen(decided, State.REJECTED) == [7]
    ana.redo()
    assert chosen(decided, State.REJECTED) == [7, 8]
    assert chosen(decided, State.REJECTED, at=11) == [7]
    assert chosen(decided, at=0) == []


def test_children_of_later_edits_do_not_exist_yet(decided):
    before = decided.last_event()
    child = decided.person("ana").edit(2, "a dog on a bed without a cat").child_id
    assert chosen(decided) == [1, 3, 4, 5, 6, child]
    assert chosen(decided, at=before) == [1, 2, 3, 4, 5, 6]
    assert chosen(decided, State.OPEN, at=before) == [10]
    assert chosen(decided, State.SUPERSEDED) == [2]


def test_edit_names_what_it_replaced(decided):
    decided.person("ana").edit(2, "a dog on a bed without a cat", concept="cat")
    decided.freeze("s")
    edited = [item for item in read_items(decided.export("s")) if item.edited]
    assert [(item.edited, item.text, item.pipeline) for item in edited] == [
        ("gen/8", "a dog on a bed without a cat", "edit")
    ]


@pytest.mark.parametrize("at", [10, 1_000, -1])
def test_there_is_no_such_event(decided, at):
    with pytest.raises(ExportRefused):
        chosen(decided, at=at)


def test_who_decided_and_why(record):
    record.pairs(2)
    source = record.source("two")
    image = record.image(source, "1", "1.jpg")
    with_overlap_2 = record.candidate(source, "gen/1", image, "no dog", overlap="2")
    ana, bob = record.person("ana"), record.person("bob")
    bob.decide(with_overlap_2, Kind.REJECT, reason=Reason.SCOPE)
    ana.decide(with_overlap_2, Kind.REJECT, reason=Reason.PRESENT)
    ana.note(with_overlap_2, "look again")
    ana.decide(1, Kind.SKIP)
    bob.decide(1, Kind.ACCEPT)
    with record.store.read() as connection:
        outcomes = dict(outcomes_at(connection, record.last_event()))
    reasons = ("present", "scope")
    assert replace(outcomes[with_overlap_2], votes=()) == DecidedCandidate(
        State.REJECTED, 0, 2, ("ana", "bob"), reasons, "review"
    )
    assert replace(outcomes[1], votes=()) == DecidedCandidate(State.ACCEPTED, 1, 0, ("bob",), (), "review")


def adjudicator(record, name):
    return DecisionWriter(record.store, begin_session(record.store, name, version="test", role=Role.ADJUDICATOR))


def outcome_of(record, candidate):
    with record.store.read() as connection:
        return dict(outcomes_at(connection, record.last_event()))[candidate]


def test_the_last_adjudicator_is_the_one_who_decided(record):
    """GIVEN two adjudicators about one pair THEN items.jsonl names the one whose word stands, with that reason."""
    record.pairs(2)
    dan, eva = adjudicator(record, "dan"), adjudicator(record, "eva")
    for candidate, first, last in ((1, dan, eva), (2, eva, dan)):
        first.adjudicate(candidate, Kind.REJECT, reason=Reason.SCOPE)
        last.adjudicate(candidate, Kind.REJECT, reason=Reason.PRESENT)
    record.freeze("s", selection=ExportFilter((State.REJECTED,)), names=True)
    items = list(read_items(record.export("s")))
    assert [(item.deciders, item.reasons) for item in items] == [(("eva",), ("present",)), (("dan",), ("present",))]
    dan.undo()
    assert replace(outcome_of(record, 2), votes=()) == DecidedCandidate(
        State.REJECTED, 0, 0, ("eva",), ("scope",), "review", adjudicated=True
    )
    eva.decide(2, Kind.REJECT, reason=Reason.DUPLICATE)  # a vote, which changes no final word
    assert replace(outcome_of(record, 2), votes=()) == DecidedCandidate(
        State.REJECTED, 0, 1, ("eva",), ("scope",), "review", adjudicated=True
    )


@pytest.mark.parametrize("audited", [(True, False), (False, True)])
def test_one_decision_in_the_audit_makes_it_a_pair_of_the_audit(record, audited):
    record.pairs(1, source="other")
    source = record.source("two")
    candidate = record.candidate(source, "gen/1", record.image(source, "1", "1.jpg"), "no dog", overlap="2")
    for name, audit in zip(("ana", "bob"), audited, strict=True):
        shown = PresentationContext(stream=Stream.AUDIT if audit else Stream.REVIEW)
        record.person(name).decide(candidate, Kind.ACCEPT, shown=shown)
    assert outcome_of(record, candidate).stream == "audit"
    record.person("ana").decide(1, Kind.ACCEPT)
    assert outcome_of(record, 1).stream == "review"


def test_a_replaced_decision_gives_no_reason(record):
    """GIVEN a second rejection with another reason THEN only the reason of the counted vote is exported."""
    source = record.source("two")
    candidate = record.candidate(source, "gen/1", record.image(source, "1", "1.jpg"), "no dog", overlap="3")
    ana, bob, cid = (record.person(name) for name in ("ana", "bob", "cid"))
    ana.decide(candidate, Kind.REJECT, reason=Reason.SCOPE)
    ana.decide(candidate, Kind.ACCEPT)
    bob.decide(candidate, Kind.REJECT, reason=Reason.UNGRAMMATICAL)
    bob.decide(candidate, Kind.REJECT, reason=Reason.PRESENT)
    cid.decide(candidate, Kind.REJECT, reason=Reason.PRESENT)
    cid.note(candidate, "look again")
    outcomes = outcome_of(record, candidate)
    assert (outcomes.state, outcomes.deciders, outcomes.reasons) == (
        State.REJECTED,
        ("ana", "bob", "cid"),
        ("present",),
    )


DEEDS = ("accept", "reject", "unsure", "skip", "edit", "undo", "redo", "flag")


def do(person, kind, candidate, step):
    match kind:
        case "undo" | "redo":
            getattr(person, kind)()
        case "edit":
            person.edit(candidate, f"no dog at step {step}")
        case "flag":
            person.toggle_flag(candidate)
        case _:
            reason = Reason.SCOPE if kind == "reject" else None
            person.decide(candidate, Kind(kind), reason=reason)


@settings(max_examples=examples(40), deadline=None)
@given(decisions=st.lists(st.tuples(st.booleans(), st.integers(1, 3), st.sampled_from(DEEDS)), max_size=20))
def test_past_events_give_past_states(new_record, decisions):
    """GIVEN any decisions of two annotators THEN each past event gives the state that was materialised then."""
    with new_record() as record:
        record.pairs(3)
        people = record.person("ana"), record.person("bob")
        then = {0: {1: "open", 2: "open", 3: "open"}}
        for step, (second, candidate, kind) in enumerate(decisions):
            with suppress(RecordError):  # another annotator edited it, or decided about the edit
                do(people[second], kind, candidate, step)
            then[record.last_event()] = states_now(record)
        now = then[record.last_event()]
        for event, states in then.items():
            for state in (State.ACCEPTED, State.OPEN, State.SUPERSEDED):
                was = {number for number, each in states.items() if each == state}
                is_now = {number for number, each in now.items() if each == state}
                assert set(chosen(record, state, at=event)) == was
                assert drift(record, event, state) == Drift(entered=len(is_now - was), left=len(was - is_now))


def states_now(record):
    with record.store.read() as connection:
        return {row.candidate_id: row.state for row in connection.execute(text("SELECT * FROM candidate_state"))}


def test_outcomes_are_the_fold(decided):
    with decided.store.read() as connection:
        for number, outcome in outcomes_at(connection, 9):
            status = fold(events_of(connection, number), Overlap.parse("1"))
            assert (outcome.state, outcome.accepts) == (status.state, status.accepts)


class TestDrift:
    def test_nothing_moved(self, decided):
        bob = decided.person("bob")
        bob.decide(1, Kind.ACCEPT)
        bob.note(2, "nice")
        bob.decide(10, Kind.SKIP)
        assert drift(decided, 9) == Drift(0, 0)
        assert not drift(decided, 9).stale

    def test_in_out_and_back(self, decided):
        ana = decided.person("ana")
        ana.decide(10, Kind.ACCEPT)
        ana.edit(1, "a bed without a cat")
        assert drift(decided, 9) == Drift(2, 1)
        ana.undo()
        ana.undo()
        assert drift(decided, 9) == Drift(0, 0)


@pytest.mark.parametrize(
    ("key", "number"),
    [("0", 0), ("42", 42), ("-5", -5), ("9" * 18, 10**18 - 1)],
)
def test_keys_that_are_numbers(key, number):
    assert as_number(key) == number


@pytest.mark.parametrize("key", ["007", "-0", "-", "5\n", "", "1e3", "٣", "²", "9" * 19, "a.jpg"])
def test_keys_that_are_names(key):
    assert as_number(key) is None


def test_natural_order():
    keys = ["x10", "x9", "x", "10", "9", "9" * 6_000, "", "x9y2", "x9y10", "x09"]
    in_order = ["", "9", "10", "9" * 6_000, "x", "x9", "x09", "x9y2", "x9y10", "x10"]
    assert sorted(keys, key=lambda key: (natural_sort_key(key), len(key))) == in_order


def test_without_edits_it_is_what_came_in(decided):
    decided.person("ana").edit(1, "a bed without a cat")
    with decided.store.read() as connection:
        children = {row.id for row in connection.execute(text("SELECT id FROM candidate WHERE parent_id IS NOT NULL"))}
        everything = set(choose(connection, ExportFilter(tuple(State))).ids)
        as_proposed = set(choose(connection, ExportFilter(tuple(State), edits=False)).ids)
    assert children
    assert everything - as_proposed == children
    assert ExportFilter(edits=False).to_dict() == {"states": ["accepted"], "edits": False}


def test_an_edit_moves_nothing_in_a_set_without_edits(decided):
    ana = decided.person("ana")
    ana.edit(1, "a bed without a cat")
    with decided.store.read() as connection:
        assert drift_since(connection, 9, ExportFilter(tuple(State))) == Drift(1, 0)
        assert drift_since(connection, 9, ExportFilter(tuple(State), edits=False)) == Drift(0, 0)


def test_rejected_pairs_by_reason(decided):
    """7 and 8 are rejected as present."""
    ana = decided.person("ana")
    ana.decide(10, Kind.REJECT, reason=Reason.SCOPE)
    both = (State.ACCEPTED, State.REJECTED)
    cases = {(): [7, 8, 10], (Reason.PRESENT,): [7, 8], (Reason.SCOPE,): [10], (Reason.DUPLICATE,): []}
    with decided.store.read() as connection:
        for reasons, rejected in cases.items():
            assert sorted(choose(connection, ExportFilter(both, reasons=reasons)).ids) == [*range(1, 7), *rejected]
            selection = ExportFilter((State.REJECTED,), reasons=reasons)
            assert sorted(choose(connection, selection).ids) == rejected
            entered = int(10 in rejected)
            assert drift_since(connection, 9, selection) == Drift(entered, 0)


def test_pairs_that_only_a_policy_accepted(decided):
    policy = DecisionWriter(decided.store, begin_session(decided.store, "auto", version="test", role=Role.POLICY))
    policy.decide(10, Kind.ACCEPT)
    policy.decide(1, Kind.ACCEPT)  # a person accepted it, too
    assert chosen(decided) == [1, 2, 3, 4, 5, 6, 10]
    before = decided.last_event()
    by_people = ExportFilter(auto=False)
    with decided.store.read() as connection:
        assert sorted(choose(connection, by_people).ids) == [1, 2, 3, 4, 5, 6]
    decided.person("ana").decide(10, Kind.ACCEPT)
    with decided.store.read() as connection:
        assert sorted(choose(connection, by_people).ids) == [1, 2, 3, 4, 5, 6, 10]
        assert drift_since(connection, before, by_people) == Drift(1, 0)
        assert drift_since(connection, before, ExportFilter()) == Drift(0, 0)


@pytest.mark.parametrize(
    "selection",
    [
        ExportFilter(),
        ExportFilter((State.REJECTED, State.ACCEPTED), hasty=False, reasons=(Reason.SCOPE, Reason.PRESENT)),
        ExportFilter(edits=False, auto=False),
    ],
)
def test_a_filter_is_read_back_from_its_manifest(selection):
    again = ExportFilter.from_dict(selection.to_dict())
    assert again.to_dict() == selection.to_dict()
    assert set(again.states) == set(selection.states)


@pytest.mark.parametrize(
    "damaged", [{}, {"states": ["x"]}, {"states": [], "colour": 1}, {"states": [], "reasons": ["x"]}]
)
def test_a_damaged_filter_is_refused(damaged):
    with pytest.raises((KeyError, ValueError)):
        ExportFilter.from_dict(damaged)


def test_reviews_of_benchmarks_stay_out_with_their_edits(decided):
    source = decided.source("benchmark-val2014")
    image = decided.image(source, "1.jpg", "1.jpg")
    review = decided.candidate(source, "benchmark/1", image, "a desk with no lamp", pipeline=BENCHMARK)
    second = decided.candidate(source, "benchmark/2", image, "a desk with no cup", pipeline=BENCHMARK)
    event, ana = decided.last_event(), decided.person("ana")
    ana.decide(review, Kind.ACCEPT)
    edited = ana.edit(second, "a desk without a cup").child_id
    with decided.store.read() as connection:
        everything = choose(connection, ExportFilter(tuple(State))).ids
        assert not {review, second, edited}.intersection(everything)
        with_reviews = choose(connection, ExportFilter(benchmarks=True)).ids
        assert {review, edited} <= set(with_reviews)
        assert set(with_reviews) - {review, edited} == set(choose(connection, ExportFilter()).ids)
        assert not drift_since(connection, event, ExportFilter()).stale
        assert drift_since(connection, event, ExportFilter(benchmarks=True)).entered == 2
    for selection in (ExportFilter(), ExportFilter(benchmarks=True)):
        assert ExportFilter.from_dict(selection.to_dict()) == selection
    assert "benchmarks" not in ExportFilter().to_dict()
