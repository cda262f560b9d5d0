"""Policies on a record: declaration, acceptance, and withdrawal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from support.audited import BLIND, fill, verdict
from support.record import Record

from curation_db.enums import Claim, Kind, Reason
from curation_db.review.candidates import insert_verdicts
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import create_store, open_store
from curation_db.trust import policy as policies
from curation_db.trust.acceptance import Standing
from curation_db.trust.evidence import audit_items, split_by_image
from curation_db.trust.policy import NotEnoughLabels, Policy

Audited = tuple[Record, dict[int, bool]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, bool]]:
    """A labelled record and its truth; tests copy it."""
    path = tmp_path_factory.mktemp("filled") / "curation.db"
    with create_store(path) as store:
        return path, fill(Record(store))


@pytest.fixture
def audited(filled: tuple[Path, dict[int, bool]], tmp_path: Path) -> Iterator[Audited]:
    with open_store(Path(shutil.copy(filled[0], tmp_path / "curation.db"))) as store:
        yield Record(store), filled[1]


def declared(record: Record, **settings: object) -> Policy:
    with record.store.read() as connection:
        return policies.declare(connection, Claim.ACCEPTABLE, 0.95, confidence=0.95, **settings)  # type: ignore[arg-type]


def planned(record: Record, policy: Policy) -> policies.AcceptancePlan:
    with record.store.read() as connection:
        return policies.plan(connection, policy)


def reviewed(record: Record, policy: Policy) -> policies.PolicyReview:
    with record.store.read() as connection:
        return policies.review(connection, policy)


def test_it_accepts_what_the_labels_certify_and_withdraws_what_they_refute(audited: Audited) -> None:
    record, truth = audited
    policy = declared(record)
    plan = planned(record, policy)
    audit = {number for (number,) in record.rows("SELECT id FROM candidate WHERE audit")}
    assert plan.accepted
    assert not audit & set(plan.accepted)
    right = sum(truth[number] for number in plan.accepted)
    assert right / len(plan.accepted) > 0.9
    right_outside = [number for number, right in truth.items() if right and number not in audit]
    assert right > 0.8 * len(right_outside), "the judge separates the classes"

    # a person is faster than the policy
    person = record.open_session("bob").reviewer
    first, second = plan.accepted[:2]
    person.decide(first, Kind.REJECT, reason=Reason.GRATUITOUS)
    assert policies.accept(record.store, plan) == len(plan.accepted) - 1
    assert (record.state(first), record.state(second)) == ("rejected", "accepted")
    actors = record.rows("SELECT DISTINCT actor, role FROM event WHERE role = 'policy'")
    assert actors == [(policy.actor, "policy")]
    record.assert_state_matches_events()

    with record.store.read() as connection:
        assert policies.stored_policies(connection) == [policy]
    assert planned(record, policy).accepted == [], "nothing is left to accept"
    assert policies.accept(record.store, planned(record, policy)) == 0

    # a person may decide about an accepted candidate, and their vote counts
    person.decide(second, Kind.REJECT, reason=Reason.PRESENT)
    assert record.state(second) == "rejected"
    now = reviewed(record, policy)
    assert second not in now.accepted
    assert set(now.standings.values()) == {Standing.HOLDS}
    assert now.withdrawn == ()

    # the same candidates, labelled otherwise: the precision is refuted
    flip_labels(record)
    now = reviewed(record, policy)
    assert set(now.standings.values()) == {Standing.REFUTED}
    assert now.withdrawn == now.accepted
    assert policies.withdraw(record.store, now) == len(now.accepted)
    assert record.state(now.accepted[0]) == "open"
    assert record.state(second) == "rejected"
    record.assert_state_matches_events()
    assert reviewed(record, policy).accepted == ()
    assert policies.withdraw(record.store, now) == 0


def flip_labels(record: Record) -> None:
    """Undo all labels and give the opposite ones."""
    writer = record.open_session("ana").reviewer
    labels = record.rows("SELECT candidate_id, act, kind FROM event WHERE stream = 'audit' ORDER BY seq")
    for number, act, kind in labels:
        writer.take_back(str(act))
        if kind == "accept":
            writer.decide(int(str(number)), Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
        else:
            writer.decide(int(str(number)), Kind.ACCEPT, shown=BLIND)


def test_a_new_prompt_ends_the_acceptances_that_it_judges_again(audited: Audited) -> None:
    record, _ = audited
    policy = declared(record)
    plan = planned(record, policy)
    policies.accept(record.store, plan)
    again = plan.accepted[:3]
    with record.store.write() as connection:
        insert_verdicts(connection, [verdict(number, 0.1, prompt="2") for number in again])
    now = reviewed(record, policy)
    assert list(now.withdrawn) == again
    assert policies.withdraw(record.store, now) == 3
    after = planned(record, policy)
    assert after.accepted == [], "the policy does not know the new judge"
    assert after.other >= 3


def test_later_candidates_are_another_population(audited: Audited) -> None:
    record, _ = audited
    policy = declared(record)
    later = fill(record, labelled=False, seed=1)
    plan = planned(record, policy)
    assert not set(later) & set(plan.accepted)
    outside = record.rows("SELECT count(*) FROM candidate WHERE NOT audit AND id >= :id", id=min(later))
    assert plan.later == outside[0][0]
    assert declared(record).version != policy.version
    policies.accept(record.store, plan)
    ana = record.open_session("ana").reviewer
    for (number,) in record.rows("SELECT id FROM candidate WHERE audit AND id >= :id", id=min(later)):
        ana.decide(int(str(number)), Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
    with record.store.read() as connection:
        reviewed = policies.review(connection, policy)
    assert reviewed.withdrawn == ()
    assert reviewed.evidence.keys() == reviewed.standings.keys() == {each.rule.name for each in plan.strata}
    assert [each.standing for each in planned(record, policy).strata] == [each.standing for each in plan.strata]


def test_it_needs_labels_of_both_kinds_and_says_how_many(record: Record) -> None:
    fill(record, labelled=False)
    with pytest.raises(NotEnoughLabels, match=r"needs 30 audit labels .* there are 0"):
        declared(record)


def test_declared_looks_lie_ahead_and_count_when_they_are_reached(audited: Audited) -> None:
    record, _ = audited
    with record.store.read() as connection:
        _, testing = split_by_image(audit_items(connection))
    given = sum(item.right is not None for item in testing)
    with pytest.raises(policies.RecordError, match=f"{given} are given already"):
        declared(record, looks=(given,))
    policy = declared(record, looks=(given + 1, given + 200))
    assert planned(record, policy).accepted == []
    assert all(each.rule.next and each.rule.next.labels == 0 for each in planned(record, policy).strata)


def test_a_policy_survives_the_record(audited: Audited) -> None:
    record, _ = audited
    policy = declared(record)
    assert Policy.from_json(policy.to_json()) == policy
    with record.store.write() as connection:
        connection.execute(text("INSERT INTO record_note(name, value) VALUES ('policy/accept@x', '{\"claim\": 1}')"))
    with record.store.read() as connection, pytest.raises(policies.RecordError, match=r"accept@x .* damaged"):
        policies.stored_policies(connection)
    with pytest.raises(ValueError, match="only a policy"):
        record.open_session("ana").reviewer.withdraw_many([1])
    assert DecisionWriter(record.store, policies.actor_of(policy)).withdraw_many([1, 2]) == 0
