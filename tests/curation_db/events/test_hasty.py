"""Hasty decisions: views, facets and exports agree, at every event number."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.record import Record

from curation_db.enums import Kind, Reason, Role
from curation_db.errors import RecordError
from curation_db.events.hasty import HASTY_MS
from curation_db.exporting.freeze import freeze
from curation_db.exporting.manifest import read_manifest, verify
from curation_db.exporting.selection import ExportFilter, NothingChosen, choose, outcomes_at
from curation_db.exporting.staleness import drift_since
from curation_db.queue.gold import KnownAnswer
from curation_db.review.decisions import DecisionResult, PresentationContext
from curation_db.review.gold_marking import mark
from curation_db.search.facets import facets
from curation_db.search.query_language import QueryField, parse_view
from curation_db.search.search import ids_of
from curation_db.storage.store import create_store

FAST, SLOW = HASTY_MS - 1, HASTY_MS
WITHOUT = ExportFilter(hasty=False)


def decide(record: Record, name: str, number: int, elapsed_ms: int | None, kind: Kind = Kind.ACCEPT) -> DecisionResult:
    reason = Reason.PRESENT if kind is Kind.REJECT else None
    return record.open_session(name).reviewer.decide(
        number, kind, reason=reason, shown=PresentationContext(elapsed_ms=elapsed_ms)
    )


def listed(record: Record, line: str = "is:hasty") -> list[int]:
    """Return the candidates of a view in ascending order."""
    with record.store.read() as connection:
        return sorted(chain.from_iterable(ids_of(connection, parse_view(line))))


def test_a_decision_below_the_limit_is_hasty(record: Record) -> None:
    first, second, third = record.add(3)
    decide(record, "ana", first, FAST)
    decide(record, "ana", second, SLOW)
    decide(record, "ana", third, None)
    assert listed(record) == [first]
    assert listed(record, "-is:hasty") == [second, third]
    assert listed(record, "is:hasty state:accepted") == [first]


@pytest.mark.parametrize("kind", [Kind.REJECT, Kind.UNSURE])
def test_so_is_any_answer_but_not_a_skip(record: Record, kind: Kind) -> None:
    first, second = record.add(2)
    decide(record, "ana", first, FAST, kind)
    decide(record, "ana", second, FAST, Kind.SKIP)
    assert listed(record) == [first]


def test_an_undone_decision_is_not_hasty(record: Record) -> None:
    (number,) = record.add(1)
    ana = record.open_session("ana").reviewer
    ana.decide(number, Kind.ACCEPT, shown=PresentationContext(elapsed_ms=FAST))
    ana.undo()
    assert listed(record) == []
    ana.redo()
    assert listed(record) == [number]


def test_a_replaced_decision_and_a_quick_second_decision_are_not_hasty(record: Record) -> None:
    first, second = record.add(2)
    decide(record, "ana", first, FAST)
    decide(record, "ana", first, SLOW, Kind.REJECT)
    decide(record, "ana", second, SLOW)
    decide(record, "ana", second, FAST, Kind.REJECT)
    assert listed(record) == []


def test_one_hasty_annotator_is_enough(record: Record) -> None:
    (number,) = record.add(1, overlap="2")
    decide(record, "ana", number, SLOW)
    decide(record, "ben", number, FAST)
    assert listed(record) == [number]


def test_an_answer_to_a_known_card_is_no_decision(record: Record) -> None:
    (number,) = record.add(1)
    with record.store.write() as connection:
        mark(connection, {number: KnownAnswer(Kind.ACCEPT)}, "test")
    decide(record, "ana", number, FAST)
    assert listed(record) == []


def test_an_export_can_exclude_hasty_pairs_and_states_it(record: Record, tmp_path: Path) -> None:
    first, second = record.add(2)
    decide(record, "ana", first, FAST)
    decide(record, "ana", second, SLOW)
    both = freeze(record.store, tmp_path, "both", selection=ExportFilter(), tool_version="1")
    left = freeze(record.store, tmp_path, "left", selection=WITHOUT, tool_version="1")
    assert (both.counts.pairs, left.counts.pairs) == (2, 1)
    assert dict(both.selection) == {"states": ["accepted"]}
    assert dict(read_manifest(tmp_path / "left").selection) == {"states": ["accepted"], "hasty": False}
    assert verify(tmp_path / "left") == []
    # later the decision is replaced: then the pair belongs to the set, but not at the same event
    decide(record, "ana", first, SLOW)
    with record.store.read() as connection:
        now = drift_since(connection, left.event_seq, ExportFilter(hasty=False))
        assert (now.entered, now.left) == (1, 0)
        assert not drift_since(connection, both.event_seq, ExportFilter()).stale
    again = freeze(record.store, tmp_path, "again", selection=WITHOUT, tool_version="1", at=left.event_seq)
    assert again.export_sha256 == left.export_sha256
    assert freeze(record.store, tmp_path, "now", selection=WITHOUT, tool_version="1").counts.pairs == 2


def test_an_export_of_only_hasty_pairs_is_empty(record: Record, tmp_path: Path) -> None:
    (number,) = record.add(1)
    decide(record, "ana", number, FAST)
    with pytest.raises(NothingChosen, match="without a hasty decision"):
        freeze(record.store, tmp_path, selection=WITHOUT, tool_version="1")


step = st.tuples(
    st.sampled_from(["ana", "ben", "dan"]),
    st.integers(0, 1),
    st.sampled_from(["accept", "reject", "unsure", "skip", "flip", "adjudicate", "requeue", "undo", "redo", "edit"]),
    st.sampled_from([FAST, SLOW, None]),
)


def play(record: Record, steps: list[tuple[str, int, str, int | None]]) -> None:
    numbers = record.add(2, overlap="2+1")
    people = {
        name: record.open_session(name, role=Role.ADJUDICATOR if name == "dan" else None).reviewer
        for name in ("ana", "ben", "dan")
    }
    for at, (name, item, what, elapsed_ms) in enumerate(steps):
        reviewer, number, shown = people[name], numbers[item], PresentationContext(elapsed_ms=elapsed_ms)
        with suppress(RecordError, ValueError):
            match what:
                case "flip" | "adjudicate":
                    getattr(reviewer, what)(number, Kind.REJECT, reason=Reason.SCOPE, shown=shown)
                case "requeue":
                    people["dan"].requeue(number)
                case "undo" | "redo":
                    getattr(reviewer, what)()
                case "edit":
                    reviewer.edit(number, f"a man without a hat {at}", shown=shown)
                case kind:
                    reason = Reason.PRESENT if kind == "reject" else None
                    reviewer.decide(number, Kind(kind), reason=reason, shown=shown)


@settings(max_examples=examples(30), deadline=None)
@given(steps=st.lists(step, max_size=20))
def test_views_facets_and_exports_agree_on_random_work(steps: list[tuple[str, int, str, int | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder, create_store(Path(folder) / "curation.db") as store:
        record = Record(store)
        play(record, steps)
        with store.read() as connection:
            newest = connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM event").scalar_one()
            exported = sorted(number for number, outcome in outcomes_at(connection, newest) if outcome.hasty)
            assert exported == sorted(chain.from_iterable(ids_of(connection, parse_view("is:hasty"))))
            counted = {facet.value.name: facet.count for facet in facets(connection, QueryField.IS)}
            assert counted.get("hasty", 0) == len(exported)
            remaining = choose(connection, WITHOUT).ids
            assert set(remaining) == set(choose(connection, ExportFilter()).ids) - set(exported)
