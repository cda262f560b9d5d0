"""Which decisions may become examples of a prompt, and the draw among them."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from support.record import Record

from curation_db.enums import Kind, Reason, Role, Stream
from curation_db.events.annotators import Actor
from curation_db.generation.tuning_examples import (
    RecordedDecisions,
    TuningExample,
    decisions_hash,
    draw_examples,
    gives_examples,
    recorded_decisions,
    stored_audit_key,
    tuning_decisions,
)
from curation_db.queue.gold import KnownAnswer
from curation_db.review import gold_marking
from curation_db.review.decisions import DecisionWriter, PresentationContext

BLIND = PresentationContext(Stream.AUDIT, blind=True, leased=False)
REVEALED = PresentationContext(Stream.AUDIT, blind=False, leased=False)
SHOWN = PresentationContext(Stream.REVIEW, blind=False, leased=False)
REASONS = frozenset({Reason.PRESENT, Reason.SCOPE, Reason.UNGRAMMATICAL})


def filled(record: Record, count: int = 40, **more: object) -> list[int]:
    """Add candidates with a fixed key; return those whose image gives examples."""
    with record.store.write() as connection:
        connection.execute(
            text("INSERT INTO record_note(name, value) VALUES ('audit_key', :key) ON CONFLICT DO NOTHING"),
            {"key": bytes(range(16)).hex()},
        )
    return [number for number in record.add(count, **more) if gives_examples(bytes(range(16)), number)]  # type: ignore[arg-type]


def found(record: Record) -> dict[int, TuningExample]:
    with record.store.read() as connection:
        return {each.candidate_id: each for each in tuning_decisions(connection, "P1")}


def test_the_images_are_halved_by_the_key() -> None:
    sides = [[gives_examples(key, image) for image in range(4_000)] for key in (bytes(16), b"another key")]
    assert all(1_880 < sum(side) < 2_120 for side in sides)
    assert 1_880 < sum(one is other for one, other in zip(*sides, strict=True)) < 2_120


def test_no_decision_of_the_measuring_half_is_found(record: Record) -> None:
    own = filled(record)
    other = [number for (number,) in record.rows("SELECT id FROM candidate") if number not in own]
    ana = record.open_session("ana").reviewer
    for number in (*own, *other):
        ana.decide(int(str(number)), Kind.ACCEPT, shown=SHOWN)
    assert (10 < len(own) < 30, sorted(found(record))) == (True, own)


def test_no_audit_label_of_the_measuring_half_is_found(record: Record) -> None:
    own = filled(record, audit_rate=1.0)
    ana = record.open_session("ana").reviewer
    for (number,) in record.rows("SELECT id FROM candidate"):
        ana.decide(int(str(number)), Kind.REJECT, reason=Reason.SCOPE, shown=BLIND)
    labels = found(record)
    assert sorted(labels) == own
    assert {(each.accepted, each.reason, each.audited) for each in labels.values()} == {(False, Reason.SCOPE, True)}


def test_decisions_that_are_no_examples(record: Record) -> None:
    ids = filled(record, count=60)
    good, undone, changed, unsure, edited, policy, gold = ids[:7]
    ana = record.open_session("ana").reviewer
    ana.decide(undone, Kind.ACCEPT, shown=SHOWN)
    ana.undo()
    ana.decide(good, Kind.ACCEPT, shown=SHOWN)
    ana.decide(changed, Kind.ACCEPT, shown=SHOWN)
    ana.decide(changed, Kind.REJECT, reason=Reason.PRESENT, shown=SHOWN)
    ana.decide(unsure, Kind.UNSURE, shown=SHOWN)
    ana.edit(edited, "a woman riding a horse without a hat", shown=SHOWN)
    DecisionWriter(record.store, Actor("policy@1", 0, Role.POLICY, "policy")).decide_many([policy], Kind.ACCEPT)
    with record.store.write() as connection:
        gold_marking.mark(connection, {gold: KnownAnswer(Kind.ACCEPT)}, "test")
    ana.decide(gold, Kind.ACCEPT, shown=SHOWN)
    examples = found(record)
    assert {number: each.accepted for number, each in examples.items()} == {good: True, changed: False}
    assert examples[changed].reason is Reason.PRESENT


def test_a_label_after_the_reveal_and_a_change_of_mind_do_not_count(record: Record) -> None:
    first, second, third = filled(record, audit_rate=1.0)[:3]
    ana = record.open_session("ana").reviewer
    ana.decide(first, Kind.ACCEPT, shown=BLIND)
    ana.decide(first, Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
    ana.decide(second, Kind.ACCEPT, shown=SHOWN)
    ana.decide(third, Kind.ACCEPT, shown=REVEALED)
    assert {number: each.accepted for number, each in found(record).items()} == {first: True}


def test_people_who_differ_give_no_example(record: Record) -> None:
    number = filled(record, audit_rate=1.0, overlap="3")[0]
    record.open_session("ana").reviewer.decide(number, Kind.ACCEPT, shown=BLIND)
    assert list(found(record)) == [number]
    record.open_session("bob").reviewer.decide(number, Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
    assert found(record) == {}


def test_an_adjudicated_candidate_gives_the_decision_that_stands(record: Record) -> None:
    number = filled(record, overlap="2+1")[0]
    record.open_session("ana").reviewer.decide(number, Kind.ACCEPT, shown=SHOWN)
    record.open_session("bob").reviewer.decide(number, Kind.REJECT, reason=Reason.SCOPE, shown=SHOWN)
    assert found(record) == {}
    cem = record.open_session("cem", role=Role.ADJUDICATOR).reviewer
    cem.adjudicate(number, Kind.REJECT, reason=Reason.UNGRAMMATICAL)
    assert record.state(number) == "rejected"
    example = found(record)[number]
    assert (example.accepted, example.reason) == (False, Reason.UNGRAMMATICAL)


def test_texts_that_a_prompt_could_mistake_are_left_out(record: Record) -> None:
    ids = filled(record)
    ana = record.open_session("ana").reviewer
    bad = ("a {caption}", "an <image>", "a }", "x" * 301)
    with record.store.write() as connection:
        for number, caption in zip(ids, bad, strict=False):
            connection.execute(
                text("UPDATE caption SET text = :t WHERE id = (SELECT caption_id FROM candidate WHERE id = :id)"),
                {"t": caption, "id": number},
            )
    for number in ids[:6]:
        ana.decide(number, Kind.ACCEPT, shown=SHOWN)
    assert sorted(found(record)) == ids[4:6]


def test_images_of_the_events_of_a_prompt(record: Record) -> None:
    ids = filled(record)
    record.open_session("ana").reviewer.decide(ids[0], Kind.ACCEPT, shown=SHOWN)
    one = found(record)[ids[0]]
    with record.store.read() as connection:
        assert recorded_decisions(connection, [one.uid, "nothing", one.uid]) == RecordedDecisions(
            frozenset({ids[0]}), 1, decisions_hash([one])
        )


def test_a_record_without_candidates_has_no_examples(record: Record) -> None:
    assert found(record) == {}
    with record.store.read() as connection:
        assert stored_audit_key(connection) is None


def example(number: int, *, accepted: bool = True, reason: Reason | None = None, **more: object) -> TuningExample:
    plain = TuningExample(
        uid=f"uid-{number}",
        candidate_id=number,
        image_id=number,
        caption="a dog",
        concept="hat",
        text=f"a dog without hat {number}",
        cue="without",
        negation_type="absence",
        accepted=accepted,
        reason=reason,
        audited=False,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


some_examples = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.sampled_from([None, Reason.PRESENT, Reason.SCOPE, Reason.BAD_IMAGE]),
        st.sampled_from(("no", "not")),
        st.sampled_from(("absence", "action")),
    ),
    max_size=40,
).map(
    lambda rows: [
        example(n, accepted=reason is None, reason=reason, image_id=image, cue=cue, negation_type=kind)
        for n, (image, reason, cue, kind) in enumerate(rows)
    ]
)


@given(some_examples, st.integers(0, 6), st.integers(0, 6), st.integers(0, 3), st.randoms(use_true_random=False))
def test_a_draw_is_reproducible_and_takes_each_image_once(
    decisions: list[TuningExample], accepted: int, rejected: int, seed: int, order: random.Random
) -> None:
    drawn = draw_examples(decisions, accepted=accepted, rejected=rejected, reasons=REASONS, seed=seed)
    mixed = order.sample(decisions, len(decisions))
    assert draw_examples(mixed, accepted=accepted, rejected=rejected, reasons=REASONS, seed=seed) == drawn
    assert len({each.image_id for each in drawn}) == len(drawn)
    assert sum(each.accepted for each in drawn) <= accepted
    assert sum(not each.accepted for each in drawn) <= rejected
    assert all(each.accepted or each.reason in REASONS for each in drawn)
    possible = {each.image_id for each in decisions if not each.accepted and each.reason in REASONS}
    assert sum(not each.accepted for each in drawn) == min(rejected, len(possible))


def test_rare_groups_come_as_often_as_frequent_ones() -> None:
    common = [example(n, cue="no") for n in range(100)]
    rare = [example(100 + n, cue="never") for n in range(3)] + [example(110, cue="not", negation_type="action")]
    wrong = [example(200 + n, accepted=False, reason=Reason.PRESENT) for n in range(50)]
    wrong += [example(300 + n, accepted=False, reason=Reason.SCOPE) for n in range(2)]
    drawn = draw_examples(common + rare + wrong, accepted=6, rejected=4, reasons=REASONS, seed=1)
    good = Counter((each.negation_type, each.cue) for each in drawn if each.accepted)
    assert good[("action", "not")] == 1
    assert sorted((good[("absence", "no")], good[("absence", "never")])) == [2, 3]
    assert Counter(each.reason for each in drawn if not each.accepted) == {Reason.PRESENT: 2, Reason.SCOPE: 2}


def test_another_seed_draws_others_and_equal_texts_count_once() -> None:
    many = [example(n) for n in range(60)]
    draws = {
        tuple(each.uid for each in draw_examples(many, accepted=5, rejected=0, reasons=REASONS, seed=seed))
        for seed in range(10)
    }
    assert len(draws) == 10
    same = [example(n, text="A dog" if n % 2 else "a dog") for n in range(10)]
    assert len(draw_examples(same, accepted=5, rejected=0, reasons=REASONS, seed=0)) == 1


def test_the_hash_of_the_decisions() -> None:
    one, other = example(1), example(2)
    assert decisions_hash([one, other]) == decisions_hash([other, one])
    assert decisions_hash([one, replace(other, accepted=False)]) != decisions_hash([one, other])
    assert decisions_hash([one, replace(other, text="x")]) != decisions_hash([one, other])
