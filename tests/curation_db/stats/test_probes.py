"""Answers to probes in the record: no votes, undone and replaced, triplets, consistency, exports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text
from support.record import Record

from curation_db.enums import Kind, Reason
from curation_db.events.annotators import begin_session
from curation_db.exporting.freeze import freeze
from curation_db.exporting.manifest import ITEMS_FILE, ExportItem
from curation_db.exporting.selection import ExportFilter
from curation_db.review.decisions import DecisionWriter
from curation_db.stats.annotator_agreement import current_agreement
from curation_db.stats.probes import VerifiedTriplet, consistency, read_answers, verified_triplets

TWIN, PARAPHRASE = "a woman wearing a hat riding a horse", "a woman wearing no hat riding a horse"


def writer(record: Record, name: str) -> DecisionWriter:
    return DecisionWriter(record.store, begin_session(record.store, name, version="test"))


def test_answers_are_no_votes_and_give_triplets_and_a_consistency(record: Record, tmp_path: Path) -> None:
    ana, ben = writer(record, "ana"), writer(record, "ben")
    first, second, third = record.add(3, overlap="1")
    for number in (first, second, third):
        ana.decide(number, Kind.ACCEPT)
    with record.store.read() as connection:
        before = connection.execute(text("SELECT * FROM candidate_state ORDER BY candidate_id")).all()
        agreed = current_agreement(connection)
    ana.answer_probe(first, Kind.TWIN, TWIN, is_true=False)
    ana.answer_probe(first, Kind.PARAPHRASE, PARAPHRASE, is_true=True)
    ana.answer_probe(second, Kind.TWIN, TWIN, is_true=True)  # contradicts the accept
    ana.answer_probe(second, Kind.PARAPHRASE, PARAPHRASE, is_true=True)
    ana.answer_probe(third, Kind.TWIN, TWIN, is_true=False)  # only one question
    at = ben.answer_probe(first, Kind.PARAPHRASE, PARAPHRASE, is_true=False).seq  # contradicts ana
    with record.store.read() as connection:
        states = connection.execute(text("SELECT state, accepts, wanted, notes FROM candidate_state")).all()
        assert states == [("accepted", 1, 0, 0)] * 3
        assert [row[:-1] for row in before] == [
            row[:-1] for row in connection.execute(text("SELECT * FROM candidate_state ORDER BY candidate_id"))
        ]  # only the number of the newest event differs
        assert current_agreement(connection) == agreed
        answers = read_answers(connection)
        assert verified_triplets(answers) == {}
        assert verified_triplets(read_answers(connection, at - 1)) == {first: VerifiedTriplet(PARAPHRASE, TWIN)}
        score = consistency(answers)["ana"]
    assert (score.answers, score.consistent) == (5, 4)
    assert score.share.estimate == pytest.approx(0.8)
    assert score.share.low < 0.8 < score.share.high
    assert ben.undo() is not None
    with record.store.read() as connection:
        answers = read_answers(connection)
        assert verified_triplets(answers) == {first: VerifiedTriplet(PARAPHRASE, TWIN)}
        assert set(consistency(answers)) == {"ana"}
    ana.answer_probe(second, Kind.TWIN, TWIN, is_true=False)  # the newest answer counts
    ana.decide(first, Kind.REJECT, reason=Reason.PRESENT)
    freeze(record.store, tmp_path / "exports", "one", selection=ExportFilter(), tool_version="test")
    lines = (tmp_path / "exports" / "one" / ITEMS_FILE).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line).get("triplet") for line in lines] == [{"paraphrase": PARAPHRASE, "twin": TWIN}, None]
    assert "triplet" not in json.loads(lines[1])
    assert ExportItem.from_line(lines[0]).triplet == {"paraphrase": PARAPHRASE, "twin": TWIN}


def test_undo_and_redo_take_an_answer_as_one_action(record: Record) -> None:
    ana = writer(record, "ana")
    (number,) = record.add(1)
    ana.decide(number, Kind.ACCEPT)
    ana.answer_probe(number, Kind.TWIN, TWIN, is_true=True)
    undone = ana.undo()
    assert undone is not None
    assert undone.kind is Kind.TWIN
    with record.store.read() as connection:
        assert read_answers(connection) == []
    assert ana.redo() is not None
    with record.store.read() as connection:
        assert [answer.is_true for answer in read_answers(connection)] == [True]
    with pytest.raises(ValueError, match="no answer to a probe"):
        ana.answer_probe(number, Kind.NOTE, TWIN, is_true=True)
