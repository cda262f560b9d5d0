"""Queue orderings: meaning of policies; background computation neither loses nor repeats a card."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from curation_db.enums import Question
from curation_db.queue.ordering import CONFLICT, OLDEST, Policy, Refresher
from curation_db.queue.priority_signals import PrioritySignal, conflict, draw, nearness, rarity
from curation_db.review.candidates import NewVerdict, insert_verdicts


class TestPolicies:
    @pytest.mark.parametrize(
        ("expression", "name"),
        [
            ("oldest", "oldest"),
            ("lint", "lint"),
            (" conflict ", "conflict"),
            ("2*conflict", "conflict"),
            ("0.3*lint+.7*conflict", "0.7*conflict + 0.3*lint"),
            ("conflict + conflict + 2 * rare-cue", "0.5*conflict + 0.5*rare-cue"),
            ("0*lint + random", "random"),
        ],
    )
    def test_equal_policies_have_equal_names(self, expression: str, name: str) -> None:
        assert Policy.parse(expression).name == name
        assert Policy.parse(name) == Policy.parse(expression)

    @pytest.mark.parametrize(
        "expression", ["", "newest", "lint +", "-1*lint", "0*lint", "lint*2", "oldest + lint", "1e999*lint"]
    )
    def test_invalid_policies_are_refused_with_the_valid_names(self, expression: str) -> None:
        with pytest.raises(ValueError, match=r"order '"):
            Policy.parse(expression)

    @given(st.dictionaries(st.sampled_from(list(PrioritySignal)), st.floats(0.01, 100), min_size=1))
    def test_weights_sum_to_one(self, weights: dict[PrioritySignal, float]) -> None:
        policy = Policy.parse(" + ".join(f"{weight:.6f}*{signal}" for signal, weight in weights.items()))
        assert math.fsum(weight for _, weight in policy.weights) == pytest.approx(1)


class TestSignals:
    def test_conflict_is_spread_first_and_doubt_second(self) -> None:
        apart, doubtful, sure, alone = (
            conflict([0.05, 0.9]),
            conflict([0.45, 0.5]),
            conflict([0.02, 0.03]),
            conflict([]),
        )
        assert 1 >= apart > doubtful > sure > alone == 0

    def test_nearness_is_that_of_the_nearest_judge(self) -> None:
        assert nearness([0.5, 0.0]) == 1
        assert nearness([0.0, 1.0]) == 0
        assert nearness([0.4]) == pytest.approx(0.8)

    def test_rarity_is_surprisal(self) -> None:
        assert (rarity(100, 100), rarity(1, 100)) == (0, 1)
        assert rarity(10, 100) == pytest.approx(0.5)

    def test_a_draw_depends_on_the_candidate_alone(self) -> None:
        draws = [draw(1, f"k{n}") for n in range(1_000)]
        assert draws == [draw(1, f"k{n}") for n in range(1_000)]
        assert 0.45 < sum(draws) / 1_000 < 0.55


def finish(record, expression: str) -> Refresher:
    refresher = Refresher(record.store, Policy.parse(expression))
    while refresher.step(3):
        pass
    return refresher


def served(record, name: str, expression: str, count: int = 99) -> list[int]:
    return [
        claim.candidate_id
        for claim in record.open_session(name, ordering=Policy.parse(expression).name).queue.claim(count)
    ]


def test_stored_orderings_need_no_refresh(record) -> None:
    record.add(3)
    for expression in (OLDEST, CONFLICT):
        refresher = Refresher(record.store, Policy.parse(expression))
        assert not refresher.step()
        assert refresher.progress.share == 1


def test_nearest_to_a_threshold_comes_first(record) -> None:
    far, near, nearer = record.add(3)
    record.judge(far, a=0.05)
    record.judge(near, a=0.6)
    record.judge(nearer, a=0.48)
    finish(record, "threshold")
    assert served(record, "ana", "threshold") == [nearer, near, far]


@pytest.mark.parametrize("expression", ["conflict", "0.9*conflict + 0.1*threshold"])
def test_questions_are_scored_separately(record, expression: str) -> None:
    """GIVEN P(present) .05 and P(acceptable) .95 THEN there is no disagreement, and a small one comes first."""
    agreed, torn, torn_on_the_whole = record.add(3)
    weights = ((agreed, ("present", 0.05)), (agreed, ("acceptable", 0.95)), (torn, ("present", 0.45)))
    weights += (
        (torn, ("present", 0.75)),
        (torn_on_the_whole, ("acceptable", 0.1)),
        (torn_on_the_whole, ("acceptable", 0.9)),
    )
    with record.store.write() as connection:
        insert_verdicts(
            connection,
            [
                NewVerdict(
                    candidate_id=number, judge=f"j{n}", model="m", prompt_version="1", question=Question(question), p=p
                )
                for n, (number, (question, p)) in enumerate(weights)
            ],
        )
    finish(record, expression)
    assert served(record, "ana", expression) == [torn_on_the_whole, torn, agreed]


def test_what_the_checks_warn_about_comes_first(record) -> None:
    fine, warned = record.add(2)
    with record.store.write() as connection:
        connection.execute(
            text("INSERT INTO image_object(image_id, category, count) VALUES (:image, 'hat', 2)"), {"image": 2}
        )
    finish(record, "lint")
    assert served(record, "ana", "lint") == [warned, fine]


def test_what_is_rare_comes_first(record) -> None:
    numbers = record.add(5)
    with record.store.write() as connection:
        connection.execute(text("UPDATE candidate SET concept = 'unicycle' WHERE id = :id"), {"id": numbers[3]})
    finish(record, "rare-concept")
    assert served(record, "ana", "rare-concept") == [numbers[3], *numbers[:3], numbers[4]]


def test_a_weighted_sum(record) -> None:
    doubtful, torn = record.add(2)
    record.judge(doubtful, a=0.5)
    record.judge(torn, a=0.05, b=0.9)
    for expression, first in (("0.9*threshold + 0.1*conflict", doubtful), ("0.1*threshold + 0.9*conflict", torn)):
        finish(record, expression)
        assert served(record, expression, expression, 1) == [first]
        record.rows("SELECT 1")


def test_a_partly_computed_policy_serves_each_card_once(record) -> None:
    numbers = record.add(7)
    refresher = Refresher(record.store, Policy.parse("random"))
    assert refresher.step(3)
    assert 0 < refresher.progress.share < 1
    assert sorted(served(record, "ana", "random")) == numbers


def test_every_candidate_has_one_queue_entry_at_any_time(record) -> None:
    from curation_db.enums import Kind

    record.add(4)
    ana = record.open_session("ana")
    refresher = Refresher(record.store, Policy.parse("0.5*conflict + 0.5*random"))
    refresher.step(2)
    ana.reviewer.decide(1, Kind.ACCEPT)
    ana.reviewer.decide(3, Kind.SKIP)
    ana.reviewer.edit(4, "a woman without a helmet riding a horse")
    record.add(2)
    while refresher.step(2):
        pass
    rows = record.rows("SELECT candidate_id, count(*), count(DISTINCT group_id) FROM queue_entry GROUP BY candidate_id")
    assert rows == [(number, 3, 1) for number in range(1, 8)]


def test_a_new_verdict_moves_its_candidate(record) -> None:
    first, second = record.add(2)
    record.judge(first, a=0.45)
    record.judge(second, a=0.05)
    finish(record, "threshold")
    record.judge(second, b=0.5)
    finish(record, "threshold")
    assert served(record, "ana", "threshold") == [second, first]


def test_rarity_is_recounted_after_growth(record) -> None:
    numbers = record.add(3)
    with record.store.write() as connection:
        connection.execute(text("UPDATE candidate SET concept = 'unicycle' WHERE id = :id"), {"id": numbers[0]})
    finish(record, "rare-concept")
    more = record.add(9)
    with record.store.write() as connection:
        connection.execute(text("UPDATE candidate SET concept = 'unicycle' WHERE id > :id"), {"id": numbers[-1]})
    finish(record, "rare-concept")
    assert served(record, "ana", "rare-concept", 2) == numbers[1:3], "hats are rare by now"
    assert more
