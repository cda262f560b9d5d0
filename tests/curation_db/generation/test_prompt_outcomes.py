"""Which decisions count for a prompt version, and what its runs spent."""

from __future__ import annotations

from typing import Any

import pytest
from support.record import Record

from curation_db.enums import Kind, Reason, Role, Stage, Stream
from curation_db.events.annotators import Actor
from curation_db.generation import answer_cache
from curation_db.generation.answer import ModelAnswer
from curation_db.generation.prompt_outcomes import (
    Price,
    audited_candidates,
    candidate_cells,
    spend_by_prompt,
    spend_by_recipe,
)
from curation_db.generation.runs import start_run
from curation_db.queue.gold import KnownAnswer
from curation_db.review import gold_marking
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.stats.prompt_acceptance import Counts

BLIND = PresentationContext(Stream.AUDIT, blind=True, leased=False)
REVEALED = PresentationContext(Stream.AUDIT, blind=False, leased=False)
SHOWN = PresentationContext(Stream.REVIEW, blind=False, leased=False)


def labels(record: Record) -> dict[int, bool]:
    with record.store.read() as connection:
        return {each.candidate_id: each.accepted for each in audited_candidates(connection)}


def total(record: Record) -> Counts:
    with record.store.read() as connection:
        return sum(candidate_cells(connection).values(), start=Counts())


def test_the_first_blind_answer_counts_and_unsure_and_an_edit_are_not_accepted(record: Record) -> None:
    ids = record.add(7, audit_rate=1.0, overlap="3")
    ana = record.open_session("ana").reviewer
    ana.decide(ids[0], Kind.ACCEPT, shown=BLIND)
    ana.decide(ids[1], Kind.REJECT, reason=Reason.PRESENT, shown=BLIND)
    ana.decide(ids[2], Kind.UNSURE, shown=BLIND)
    ana.edit(ids[3], "a woman riding a horse without a hat", shown=BLIND)
    ana.decide(ids[4], Kind.ACCEPT, shown=SHOWN)  # the verdicts were visible
    ana.decide(ids[5], Kind.SKIP, shown=BLIND)
    ana.decide(ids[6], Kind.ACCEPT, shown=REVEALED)
    assert labels(record) == {ids[0]: True, ids[1]: False, ids[2]: False, ids[3]: False}
    assert total(record) == Counts(candidates=7)  # no decision of the audit counts as reviewed


def test_a_later_answer_does_not_replace_the_first_and_an_undone_one_does_not_count(record: Record) -> None:
    first, second = record.add(2, audit_rate=1.0)
    ana = record.open_session("ana").reviewer
    ana.decide(first, Kind.ACCEPT, shown=BLIND)
    ana.decide(first, Kind.REJECT, reason=Reason.SCOPE, shown=BLIND)
    ana.decide(second, Kind.ACCEPT, shown=BLIND)
    ana.undo()
    assert labels(record) == {first: True}


def test_most_people_decide_and_a_tie_is_not_accepted(record: Record) -> None:
    most, tie = record.add(2, audit_rate=1.0, overlap="3")
    for name, kind in (("ana", Kind.ACCEPT), ("bob", Kind.ACCEPT), ("cem", Kind.REJECT)):
        reviewer = record.open_session(name).reviewer
        reason = Reason.PRESENT if kind is Kind.REJECT else None
        reviewer.decide(most, kind, reason=reason, shown=BLIND)
        if name != "bob":
            reviewer.decide(tie, kind, reason=reason, shown=BLIND)
    assert labels(record) == {most: True, tie: False}


def test_reviewed_decisions_stand_apart_and_a_policy_is_nobody(record: Record) -> None:
    ids = record.add(5)
    ana = record.open_session("ana").reviewer
    ana.decide(ids[0], Kind.ACCEPT)
    ana.decide(ids[1], Kind.REJECT, reason=Reason.PRESENT)
    ana.edit(ids[2], "a woman riding a horse without a hat")
    policy = DecisionWriter(record.store, Actor("policy@1", 0, Role.POLICY, "policy"))
    assert policy.decide_many([ids[3]], Kind.ACCEPT).preview.changing == 1
    assert record.state(ids[3]) == "accepted"
    assert total(record) == Counts(
        candidates=5, reviewed=3, reviewed_accepted=1
    )  # the child of the edit is not counted
    assert labels(record) == {}


def test_gold_items_are_left_out(record: Record) -> None:
    ids = record.add(2)
    with record.store.write() as connection:
        gold_marking.mark(connection, {ids[0]: KnownAnswer(Kind.ACCEPT)}, "test")
    assert total(record).candidates == 1


def add_run(record: Record, prompt: str, *answers: ModelAnswer, proposer: str = "llm", recipe: str = "r") -> None:
    models = {"llm": "llama", "vlm": "llava"}
    settings: dict[str, Any] = {"recipe": {"prompts": prompt, "proposer": proposer, "models": models}}
    with record.store.write() as connection:
        run = start_run(connection, recipe=recipe, settings=settings)
        for number, answer in enumerate(answers):
            key = answer_cache.AnswerKey(
                key=f"{prompt}{run}-{number}".encode().ljust(32),
                stage=Stage.PROPOSE,
                engine="llm" if number % 2 == 0 else "vlm",
                model="llama",
                prompt=prompt,
                subject="",
            )
            answer_cache.store_answers(connection, run, [(key, answer)])


def counted(prompt: int, completion: int, cost: float | None = None, **more: Any) -> ModelAnswer:
    return ModelAnswer(text="x", prompt_tokens=prompt, completion_tokens=completion, cost=cost, tries=1, **more)


def test_spent_requests_tokens_and_money(record: Record) -> None:
    add_run(record, "a@1", counted(100, 10, 0.5), counted(200, 20), ModelAnswer(error="timeout", tries=6))
    add_run(record, "a@1", counted(1_000_000, 0), counted(7, 7, 0.0), counted(9, 9, 0.0), recipe="other")
    add_run(record, "b@1", counted(1, 1), proposer="")  # only judged
    with record.store.read() as connection:
        spent, by_recipe = spend_by_prompt(connection), spend_by_recipe(connection)
    assert spent.keys() == {("llama", "a@1")}
    spend = spent["llama", "a@1"]
    assert (spend.requests, spend.tokens, spend.uncounted) == (11, 1_000_362, 0)
    prices = {"llm": Price(2.0, 4.0), "vlm": Price(1.0, 10.0)}
    assert spend.money(prices) == pytest.approx(0.5 + 2.0 + 200 / 1e6 + 20 * 10 / 1e6)
    assert spend.money({"llm": Price(2.0, 4.0)}) is None
    assert by_recipe["other"].requests == 3


def test_no_money_where_a_server_counted_no_tokens(record: Record) -> None:
    add_run(record, "a@1", ModelAnswer(text="x", tries=1))
    add_run(record, "b@1", ModelAnswer(text="x", tries=1, cost=0.25))
    with record.store.read() as connection:
        spent = spend_by_prompt(connection)
    assert (spent["llama", "a@1"].uncounted, spent["llama", "a@1"].money({"llm": Price(1, 1)})) == (1, None)
    assert spent["llama", "b@1"].money({}) == 0.25
