"""Tests of people's labels of the pairs that review the judge of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from curation_db.enums import BENCHMARK, Kind, Reason, Stream
from curation_db.events.annotators import begin_session
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.stats.benchmark_labels import benchmark_labels
from curation_db.storage.store import Store, create_store

BLIND = PresentationContext(stream=Stream.AUDIT, blind=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with create_store(tmp_path / "curation.db") as created:
        yield created


def pairs(store: Store, count: int, *, pipeline: str = BENCHMARK) -> list[int]:
    with store.write() as connection:
        connection.execute(text("INSERT INTO source(id, name) VALUES (1, 's') ON CONFLICT DO NOTHING"))
        drafts = []
        for n in range(1, count + 1):
            values = {"n": n, "sha": bytes([n]) * 32}
            connection.execute(
                text("INSERT INTO image(id, source_id, key, content_sha256) VALUES (:n, 1, 'i' || :n, :sha)"), values
            )
            # fmt: off
            drafts.append(NewCandidate(source_id=1, key=f"{pipeline}/{n}", image_id=n, raw_text=f"no hat {n}",
                                       pipeline=pipeline, generator="simpleneg"))
            # fmt: on
        return insert_candidates(connection, drafts, Intake(overlap="2", audit_rate=1.0))


def key(number: int) -> tuple[str, str]:
    return f"no hat {number}", f"{number:02x}" * 32


def labels(store: Store) -> dict[tuple[str, str], bool]:
    with store.read() as connection:
        return benchmark_labels(connection)


def test_reasons_say_whether_the_text_is_true(store: Store) -> None:
    ids = pairs(store, 2 + len(Reason))
    ana = DecisionWriter(store, begin_session(store, "ana", version="t"))
    ana.decide(ids[0], Kind.ACCEPT, shown=BLIND)
    ana.decide(ids[1], Kind.UNSURE, shown=BLIND)
    for number, reason in zip(ids[2:], Reason, strict=True):
        ana.decide(number, Kind.REJECT, reason=reason, shown=BLIND)
    truths = {Reason.PRESENT: False, Reason.REST_FALSE: False, Reason.GRATUITOUS: True}
    expected = {key(number): truths[reason] for number, reason in zip(ids[2:], Reason, strict=True) if reason in truths}
    assert labels(store) == {key(ids[0]): True, **expected}


def test_only_blind_labels_that_agree_count(store: Store) -> None:
    ids = pairs(store, 3)
    ana, ben = (DecisionWriter(store, begin_session(store, name, version="t")) for name in ("ana", "ben"))
    for number in ids:
        ana.decide(number, Kind.ACCEPT, shown=BLIND)
    ben.decide(ids[0], Kind.ACCEPT, shown=BLIND)
    ben.decide(ids[1], Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
    ben.decide(ids[2], Kind.REJECT, reason=Reason.PRESENT)  # saw the verdicts
    assert labels(store) == {key(ids[0]): True, key(ids[2]): True}
    ana.undo()
    assert labels(store) == {key(ids[0]): True}


def test_other_candidates_have_no_labels(store: Store) -> None:
    (number,) = pairs(store, 1, pipeline="P1")
    DecisionWriter(store, begin_session(store, "ana", version="t")).decide(number, Kind.ACCEPT, shown=BLIND)
    assert labels(store) == {}
