"""Caps hold with any number of requests in flight, and a request is refused only if it cannot fit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.generation.budget import Budget, BudgetClosed, BudgetReached

REQUESTS = st.lists(
    st.tuples(st.integers(1, 100), st.floats(0, 1), st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=40
)
"""Most tokens of a request, the shares of its tokens and cost that it uses, and the steps that it is in flight."""
PRICE = 0.01


@given(requests=REQUESTS, cap=st.integers(1, 400), workers=st.integers(1, 32), money=st.booleans())
def test_no_cap_is_exceeded_and_no_request_is_refused_that_fits(
    requests: Sequence[tuple[int, float, float, int]], cap: int, workers: int, money: bool
) -> None:
    budget = Budget(max_cost=cap * PRICE) if money else Budget(max_tokens=cap)
    waiting, refused, answered = list(requests), list[int](), 0

    async def work() -> None:
        nonlocal answered
        while waiting:
            most, tokens, cost, steps = waiting.pop()
            try:
                reservation = await budget.reserve_in_turn(most, most * PRICE)
            except BudgetReached:
                refused.append(most)
                used = budget.cost + most * PRICE if money else budget.tokens + most
                assert used > (cap * PRICE if money else cap)  # without those in flight
                return
            for _ in range(steps):
                await asyncio.sleep(0)
            reservation.settle(int(most * tokens), most * PRICE * cost)
            answered += 1
            assert budget.tokens <= cap or money
            assert budget.cost <= cap * PRICE * (1 + 1e-9) or not money

    async def work_all() -> None:
        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(workers))), 60)

    asyncio.run(work_all())
    assert (budget.reserved_tokens, budget.reserved_cost) == (0, 0.0)
    assert budget.requests == answered
    assert refused or answered == len(requests)


async def test_a_request_waits_for_those_in_flight_and_is_sent_when_they_cost_less() -> None:
    budget = Budget(max_cost=1.0)
    first = budget.reserve(10, 0.9)
    second = asyncio.create_task(budget.reserve_in_turn(10, 0.9))
    await asyncio.sleep(0)
    assert not second.done()
    assert budget.requests == 1
    first.settle(5, 0.1)
    (await second).settle(5, 0.2)
    assert budget.cost == pytest.approx(0.3)
    assert budget.tokens == 10
    with pytest.raises(BudgetReached, match=r"0\.3 of 1 money; the next request may take 0\.9"):
        await budget.reserve_in_turn(10, 0.9)


async def test_an_answer_dearer_than_its_reservation_ends_the_run_at_the_next_request() -> None:
    budget = Budget(max_tokens=100)
    first = budget.reserve(10)
    second = asyncio.create_task(budget.reserve_in_turn(95, 0.0))
    await asyncio.sleep(0)
    first.settle(120)
    with pytest.raises(BudgetReached, match="120 of 100 tokens"):
        await second


async def test_a_closed_budget_wakes_those_that_wait() -> None:
    budget = Budget(max_tokens=10)
    budget.reserve(10)
    second = asyncio.create_task(budget.reserve_in_turn(10, 0.0))
    await asyncio.sleep(0)
    budget.close("the run is ending")
    with pytest.raises(BudgetClosed):
        await second
    assert budget.requests == 1


async def test_a_cancelled_wait_takes_nothing() -> None:
    budget = Budget(max_tokens=10)
    first = budget.reserve(10)
    second = asyncio.create_task(budget.reserve_in_turn(10, 0.0))
    await asyncio.sleep(0)
    second.cancel()
    first.settle(0)
    budget.reserve(10)


def test_a_reservation_is_settled_once() -> None:
    budget = Budget(max_tokens=100)
    reservation = budget.reserve(50)
    reservation.settle(20)
    reservation.settle()
    reservation.settle(30)
    assert (budget.tokens, budget.reserved_tokens) == (20, 0)


def test_engines_that_reserve_nothing_are_stopped_when_the_cap_is_spent() -> None:
    budget = Budget(max_tokens=100)
    budget.reserve()
    budget.spend(100, None)
    with pytest.raises(BudgetReached, match="100 of 100 tokens"):
        budget.reserve()


def test_closing_calls_back_once() -> None:
    budget, calls = Budget(), list[str]()
    budget.when_closed(lambda: calls.append("closed"))
    budget.close("one")
    budget.close("two")
    assert calls == ["closed"]
