"""Labels for a benchmark: who agreed on them, and which decisions count."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from curation_db.enums import Kind, Reason, Role, State
from curation_db.events.annotators import begin_session
from curation_db.exporting.agreed_labels import images_of_content, read_agreed_labels
from curation_db.exporting.selection import ExportFilter, choose
from curation_db.exporting.staleness import Drift, drift_since
from curation_db.language.token_counter import CLIP_LIMIT
from curation_db.queue.gold import KnownAnswer
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.review.gold_marking import mark


def labels(record, votes=2):
    with record.store.read() as connection:
        return read_agreed_labels(connection, votes, CLIP_LIMIT)


def keys(record, votes=2):
    return [label.item.key for label in labels(record, votes).labels]


@pytest.fixture
def overlapping(record):
    """Candidates gen/0 .. gen/9, each of its own image, with the overlap 2+1; no decision."""
    source = record.source("s")
    for n in range(10):
        image = record.image(source, str(n), f"{n}.jpg")
        record.candidate(source, f"gen/{n}", image, f"a dog with no hat {n}", concept="hat", overlap="2+1")
    return record


def decide(record, candidate, **answers):
    for name, answer in answers.items():
        if answer is None:
            record.person(name).decide(candidate, Kind.ACCEPT)
        else:
            record.person(name).decide(candidate, Kind.REJECT, reason=answer)


def test_two_who_agree_and_a_third_who_settles_it(overlapping):
    decide(overlapping, 1, ana=None, bob=None)
    decide(overlapping, 2, ana=None)
    decide(overlapping, 3, ana=None, bob=Reason.PRESENT, cid=None)
    decide(overlapping, 4, ana=Reason.PRESENT, bob=None, cid=Reason.PRESENT)
    decide(overlapping, 5, ana=None, bob=Reason.PRESENT)
    decide(overlapping, 6, ana=Reason.SCOPE, bob=Reason.SCOPE)
    decide(overlapping, 7, ana=Reason.SCOPE, bob=Reason.PRESENT)
    found = labels(overlapping)
    assert [(label.item.key, label.item.state) for label in found.labels] == [
        ("gen/0", "accepted"),
        ("gen/2", "accepted"),
        ("gen/3", "rejected"),
    ]
    assert (found.too_few_votes, found.other_reason) == (0, 2)
    assert found.labels[1].item.deciders == ("ana", "bob", "cid")
    assert [len(label.events) for label in found.labels] == [2, 3, 3]
    assert labels(overlapping, votes=3).labels == ()
    assert labels(overlapping, votes=3).too_few_votes == 5


def test_one_vote_is_enough_only_if_asked_for(decided):
    assert keys(decided) == []
    assert labels(decided).too_few_votes == 8
    assert keys(decided, votes=1) == [f"gen/{n}" for n in range(7, 15)]


def test_an_adjudicator_decides_alone(overlapping):
    decide(overlapping, 1, ana=None, bob=Reason.SCOPE)
    eva = DecisionWriter(overlapping.store, begin_session(overlapping.store, "eva", version="t", role=Role.ADJUDICATOR))
    eva.adjudicate(1, Kind.REJECT, reason=Reason.PRESENT)
    eva.adjudicate(2, Kind.REJECT, reason=Reason.SCOPE)
    (label,) = labels(overlapping).labels
    assert (label.item.key, label.item.state, label.adjudicated) == ("gen/0", "rejected", True)
    eva.undo()
    eva.undo()
    assert keys(overlapping) == []


def test_hasty_decisions_policies_gold_and_unsure_answers_are_no_votes(overlapping):
    store = overlapping.store
    ana, bob = overlapping.person("ana"), overlapping.person("bob")
    policy = DecisionWriter(store, begin_session(store, "auto", version="test", role=Role.POLICY))
    ana.decide(1, Kind.ACCEPT, shown=PresentationContext(elapsed_ms=200))
    bob.decide(1, Kind.ACCEPT)
    policy.decide(2, Kind.ACCEPT)
    policy.decide(3, Kind.ACCEPT)
    ana.decide(3, Kind.ACCEPT)
    ana.decide(4, Kind.ACCEPT)
    bob.decide(4, Kind.UNSURE)
    assert keys(overlapping) == []
    assert labels(overlapping).too_few_votes == 2, "1 is hasty, and a policy accepted 2; 3 and 4 are undecided"
    with store.write() as connection:
        mark(connection, {5: KnownAnswer(Kind.ACCEPT)}, "test")
    for writer in (ana, bob):
        writer.decide(5, Kind.ACCEPT)
        writer.decide(6, Kind.ACCEPT)
    assert keys(overlapping) == ["gen/5"]


def test_a_withdrawn_vote_does_not_count(overlapping):
    ana, bob = overlapping.person("ana"), overlapping.person("bob")
    ana.decide(1, Kind.ACCEPT)
    bob.decide(1, Kind.ACCEPT)
    bob.undo()
    assert keys(overlapping) == []
    bob.redo()
    bob.decide(1, Kind.REJECT, reason=Reason.SCOPE)
    bob.decide(1, Kind.ACCEPT)
    (label,) = labels(overlapping).labels
    with overlapping.store.read() as connection:
        known = {row.uid: row.kind for row in connection.execute(text("SELECT uid, kind FROM event"))}
    assert [known[uid] for uid in label.events] == ["accept", "accept"]


class TestHeldOutImages:
    """Images 100 to 104 of the source coco have two candidates each: 1 and 2, 3 and 4, ..."""

    def chosen(self, record, *images, states=(State.ACCEPTED,)):
        held_out = frozenset(("coco", image) for image in images)
        with record.store.read() as connection:
            return sorted(choose(connection, ExportFilter(states, held_out=held_out)).ids)

    def test_their_pairs_are_left_out(self, decided):
        assert self.chosen(decided, "100", "102") == [3, 4]
        assert self.chosen(decided, "999") == [1, 2, 3, 4, 5, 6]
        assert self.chosen(decided, "103", "104", states=tuple(State)) == [1, 2, 3, 4, 5, 6]

    def test_another_source_is_not_meant(self, decided):
        selection = ExportFilter(held_out=frozenset({("flickr", "100")}))
        with decided.store.read() as connection:
            assert len(choose(connection, selection).ids) == 6

    def test_their_decisions_make_no_export_stale(self, decided):
        selection = ExportFilter(held_out=frozenset({("coco", "104")}))
        before = decided.last_event()
        decided.person("ana").decide(10, Kind.ACCEPT)
        with decided.store.read() as connection:
            assert drift_since(connection, before, selection) == Drift(0, 0)
            assert drift_since(connection, before, ExportFilter()) == Drift(1, 0)

    def test_the_manifest_lists_them(self, decided):
        selection = ExportFilter(held_out=frozenset({("coco", "102"), ("coco", "100")}))
        manifest = decided.freeze("s", selection=selection)
        assert manifest.selection == {"states": ["accepted"], "held_out": [["coco", "100"], ["coco", "102"]]}
        assert ExportFilter.from_dict(manifest.selection) == selection
        assert manifest.counts.pairs == 2
        assert decided.freeze("t").selection == {"states": ["accepted"]}

    def test_images_of_equal_content(self, record):
        source, other = record.source("a"), record.source("b")
        digest = bytes(range(32))
        record.image(source, "1", "1.jpg", content_sha256=digest)
        record.image(other, "x", "x.jpg", content_sha256=digest)
        record.image(other, "y", "y.jpg", content_sha256=bytes(32))
        record.image(other, "z", "z.jpg")
        with record.store.read() as connection:
            assert sorted(images_of_content(connection, [digest.hex(), "ff" * 32])) == [("a", "1"), ("b", "x")]
