"""Decisions in force: the SQL condition, the pure function and a slow oracle agree on random histories."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from support.examples import examples
from support.record import Record

from curation_db.enums import Kind, Reason, Role
from curation_db.errors import RecordError
from curation_db.events.history_cache import events_of
from curation_db.events.in_force import decisions_in_force, in_force_sql
from curation_db.exporting.selection import outcomes_at
from curation_db.queue.gold import KnownAnswer
from curation_db.review.gold_marking import mark, unmark_all
from curation_db.search.disagreements import vote_summary
from curation_db.search.facets import facets
from curation_db.search.overview import overview
from curation_db.search.query_language import QueryField, Value
from curation_db.stats.progress import read_progress
from curation_db.storage.store import create_store

ANNOTATORS = ("ana", "ben", "dan")
_DECISIONS = ("accept", "reject", "unsure", "skip", "edit", "adjudicate", "flip")
_TOP, _MIDDLE, _LOW = ("adjudicate",), ("accept", "reject", "unsure", "edit", "flip"), ("skip",)

# fmt: off
step = st.tuples(
    st.sampled_from(ANNOTATORS),
    st.integers(0, 2),
    st.sampled_from(["accept", "reject", "unsure", "skip", "flip", "adjudicate", "requeue", "undo", "redo", "edit",
                     "bulk", "take back", "gold", "no gold"]),
)
# fmt: on


def play(record: Record, steps: list[tuple[str, int, str]]) -> None:
    numbers = record.add(3, overlap="2+1")
    sessions = {
        name: record.open_session(name, role=Role.ADJUDICATOR if name == "dan" else Role.ANNOTATOR)
        for name in ANNOTATORS
    }
    actions = ["none"] * 3
    for at, (name, item, what) in enumerate(steps):
        reviewer, number = sessions[name].reviewer, numbers[item]
        with suppress(RecordError, ValueError):
            match what:
                case "flip" | "adjudicate":
                    done = getattr(reviewer, what)(number, Kind.REJECT, reason=Reason.SCOPE)
                case "requeue":
                    done = sessions["dan"].reviewer.requeue(number)
                case "undo" | "redo":
                    done = getattr(reviewer, what)()
                case "edit":
                    done = reviewer.edit(number, f"a man without a hat {at}")
                case "bulk":
                    done = reviewer.decide_many(numbers, Kind.ACCEPT)
                case "take back":
                    done = sessions["dan"].reviewer.take_back(actions[item])
                case "gold":
                    with record.store.write() as connection:
                        mark(connection, {number: KnownAnswer(Kind.ACCEPT)}, "test")
                    continue
                case "no gold":
                    unmark_all(record.store)
                    continue
                case kind:
                    done = reviewer.decide(number, Kind(kind), reason=Reason.PRESENT if kind == "reject" else None)
            if done is not None and done.action_id:
                actions.insert(0, done.action_id)


def by_hand(record: Record) -> list[dict[str, Any]]:
    """Oracle: return the event in force of every person and candidate."""
    names = ("seq", "candidate_id", "actor", "kind", "verdict", "reason", "undo_of", "gold")
    rows = record.rows(f"SELECT {', '.join(names)} FROM event ORDER BY seq")
    events = [dict(zip(names, row, strict=True)) for row in rows]

    def taken_back(seq: int) -> bool:
        return any(event["undo_of"] == seq and not taken_back(event["seq"]) for event in events)

    standing = [event for event in events if event["kind"] != "undo" and not taken_back(event["seq"])]
    chosen = []
    for number in {event["candidate_id"] for event in events}:
        about = [event for event in standing if event["candidate_id"] == number]
        anew = max((event["seq"] for event in about if event["kind"] == "requeue"), default=0)
        counting = [event for event in about if event["seq"] > anew or event["kind"] == "edit"]
        for name in ANNOTATORS:
            for gold in (0, 1):
                mine = [event for event in counting if (event["actor"], event["gold"]) == (name, gold)]
                for kinds in (_TOP, _MIDDLE, _LOW):
                    if ranked := [event for event in mine if event["kind"] in kinds]:
                        chosen.append(ranked[-1])
                        break
    return sorted(chosen, key=lambda event: event["seq"])


@settings(max_examples=examples(30), deadline=None)
@given(steps=st.lists(step, max_size=25))
def test_every_count_is_over_the_decisions_in_force(steps: list[tuple[str, int, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder, create_store(Path(folder) / "curation.db") as store:
        record = Record(store)
        play(record, steps)
        expected = by_hand(record)
        with store.read() as connection:
            in_force_numbers = connection.execute(
                text(f"SELECT e.seq FROM event e WHERE {in_force_sql()} ORDER BY e.seq")
            ).scalars()
            assert list(in_force_numbers) == [event["seq"] for event in expected]
            numbers = connection.execute(text("SELECT id FROM candidate")).scalars().all()
            pure = [event.seq for number in numbers for event in decisions_in_force(events_of(connection, number))]
            assert sorted(pure) == [event["seq"] for event in expected]
            people = overview(connection).people
            by, reason = facets(connection, QueryField.BY), facets(connection, QueryField.REASON)
        counts = Counter((event["actor"], event["kind"]) for event in expected)
        for person in people:
            assert person.decisions == {kind: counts[person.name, kind] for kind in _DECISIONS}
        for worker in read_progress(store, resamples=2).people:
            assert worker.decisions == {kind: counts[worker.name, kind] for kind in _DECISIONS}
        cards = {(event["actor"], event["candidate_id"]) for event in expected}
        assert {facet.value: facet.count for facet in by} == {
            Value(name): count for name, count in Counter(name for name, _ in cards).items()
        }
        reasons = {(event["reason"], event["candidate_id"]) for event in expected if event["reason"]}
        assert {facet.value: facet.count for facet in reason} == {
            Value(name): count for name, count in Counter(name for name, _ in reasons).items()
        }


@pytest.fixture
def replaced(record: Record) -> Record:
    """A card that ana rejected, and rejected again for another reason after going back."""
    record.add(1, overlap="2")
    ana = record.open_session("ana").reviewer
    ana.decide(1, Kind.REJECT, reason=Reason.PRESENT)
    ana.decide(1, Kind.REJECT, reason=Reason.SCOPE)
    return record


def test_a_replaced_reason_is_in_no_export(replaced: Record) -> None:
    replaced.open_session("ben").reviewer.decide(1, Kind.REJECT, reason=Reason.DUPLICATE)
    with replaced.store.read() as connection:
        ((_, outcome),) = outcomes_at(connection, 3)
    assert outcome.reasons == ("duplicate", "scope")


def test_an_adjudicator_sees_the_last_vote_of_each_person(replaced: Record) -> None:
    replaced.open_session("ben").reviewer.decide(1, Kind.ACCEPT)
    with replaced.store.read() as connection:
        voices = vote_summary(connection, 1).votes
    assert [(voice.actor, voice.verdict, voice.reason) for voice in voices] == [
        ("ana", Kind.REJECT, Reason.SCOPE),
        ("ben", Kind.ACCEPT, None),
    ]
