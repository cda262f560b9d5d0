"""The engine reserves what its requests in flight can cost, so that they do not exceed a cap together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Any

import pytest
from support.model_server import Behaviour, Served
from support.server_asks import Answers, picture, text, yes_no

from curation_db.enums import Method
from workbench.generation.budget import Budget, BudgetClosed, BudgetReached
from workbench.generation.engines.openai.engine import OpenAiEngine, make
from workbench.generation.engines.openai.request_body import chat_body, most_answer_tokens
from workbench.generation.engines.openai.request_rules import Constraint, RequestRules
from workbench.generation.engines.openai.token_bounds import TokenBounds
from workbench.generation.engines.protocol import EngineContext
from workbench.generation.engines.requests import ModelRequest
from workbench.workspace.settings.engines import EngineSettings

IN_FLIGHT = 32
RULES = RequestRules()
SETTINGS = EngineSettings(name="llm", kind="openai", price_in=1000.0, price_out=10_000.0, concurrency=IN_FLIGHT)


@pytest.fixture
def server(one_server: Served) -> Served:
    one_server.behave(**asdict(Behaviour(latency_ms=5)))
    return one_server


@contextlib.asynccontextmanager
async def engine(server: Served, budget: Budget, **settings: Any) -> AsyncIterator[OpenAiEngine]:
    opened = await make(replace(SETTINGS, url=server.url, **settings), EngineContext(budget=budget))
    try:
        yield opened
    finally:
        await opened.close()


def requests(count: int) -> list[ModelRequest]:
    return [text(f"Name an object that is not in picture {n}.", max_tokens=20) for n in range(count)]


def most(request: ModelRequest, rules: RequestRules = RULES, **settings: Any) -> tuple[int, float]:
    """Return the most tokens and the largest cost of a request."""
    return TokenBounds(replace(SETTINGS, **settings), Budget(max_tokens=1)).most([request], rules)


async def test_requests_in_flight_do_not_exceed_the_cost_together(server: Served) -> None:
    group = requests(200)
    one = most(group[0])[1]
    budget, received = Budget(max_cost=5 * one), Answers()
    async with engine(server, budget) as opened:
        with pytest.raises(BudgetReached):
            await opened.answer(group, received.store)
    assert 0 < budget.cost <= 5 * one
    assert budget.cost + one * 1.05 > 5 * one  # only a request that did not fit any more was refused
    assert len(received.by_index) == budget.requests > 5
    assert budget.reserved_cost == 0


async def test_requests_in_flight_do_not_exceed_the_tokens_together(server: Served) -> None:
    budget, received = Budget(max_tokens=500), Answers()
    async with engine(server, budget) as opened:
        with pytest.raises(BudgetReached):
            await opened.answer(requests(200), received.store)
    assert 300 < budget.tokens <= 500
    assert len(received.by_index) == budget.requests


async def test_a_budget_too_small_for_one_request_sends_none(server: Served) -> None:
    budget, received = Budget(max_cost=0.001), Answers()
    async with engine(server, budget) as opened:
        with pytest.raises(BudgetReached, match="the next request may take"):
            await opened.answer(requests(3), received.store)
    assert (budget.requests, received.by_index) == (0, {})


async def test_several_samples_reserve_one_after_the_other(server: Served) -> None:
    request = yes_no("hat")
    budget, received = Budget(max_tokens=2 * most(request)[0]), Answers()
    async with engine(server, budget, method="samples", samples=3) as opened:
        await opened.answer([request], received.store)
    assert budget.requests == 3
    assert budget.reserved_tokens == 0


async def test_a_request_without_an_answer_gives_its_reservation_back(server: Served) -> None:
    server.behave(always=500)
    budget, received = Budget(max_tokens=most(requests(1)[0])[0] + 50), Answers()
    async with engine(server, budget, tries=1) as opened:
        await asyncio.wait_for(opened.answer(requests(3), received.store), 60)
    assert [answer.error for answer in received.by_index.values()] == ["server"] * 3
    assert (budget.tokens, budget.reserved_tokens) == (0, 0)


def test_the_bound_covers_prompt_image_and_answer() -> None:
    short, long = text("Hat?", max_tokens=5), text("Hat?" + "x" * 1000, max_tokens=5)
    assert most(long)[0] - most(short)[0] == 1000
    shown = yes_no("hat", picture(None))
    plain = yes_no("hat")
    assert most(shown)[0] - most(plain)[0] == SETTINGS.picture_tokens
    assert most(shown, picture_tokens=9000)[0] > 9000
    assert most(short, RequestRules(thinking_tokens=700))[0] - most(short)[0] == 700


@pytest.mark.parametrize("method", [Method.BARE, Method.SAMPLES, Method.LOGPROBS])
@pytest.mark.parametrize("constraint", [None, *Constraint])
@pytest.mark.parametrize("most", [1, 10, 300])
def test_the_bound_covers_the_token_limit_of_the_request(
    method: Method, constraint: Constraint | None, most: int
) -> None:
    rules = RequestRules(thinking_tokens=50, logprob_tokens=3, constraint=constraint)
    for request in (text("Hat?", max_tokens=most), yes_no("hat", max_tokens=most)):
        body = chat_body(request, model="m", method=method, picture=None, options={}, rules=rules)
        assert body["max_tokens"] <= most_answer_tokens(request, rules) <= max(most, 16) + 50


def test_a_server_that_counts_more_for_an_image_raises_the_bound() -> None:
    shown, budget = yes_no("hat", picture(None)), Budget(max_cost=100.0)
    bounds = TokenBounds(SETTINGS, budget)
    bounds.learn((shown,), 50_000)
    bounds.learn((yes_no("hat"),), 90_000)
    assert 50_000 < bounds.most((shown,), RULES)[0] < 50_100
    assert bounds.most((yes_no("hat"),), RULES)[0] < 50_000


def test_nothing_is_estimated_without_a_cap_on_amounts() -> None:
    budget = Budget(max_requests=3)
    assert TokenBounds(SETTINGS, budget).most(requests(1), RULES) == (0, 0.0)


async def test_queued_and_repeated_requests_end_when_the_run_ends(server: Served) -> None:
    """Those in flight are still answered; the others wait neither for a slot nor for their next try."""
    server.behave(latency_ms=300)
    budget, received = Budget(), Answers()
    async with engine(server, budget, concurrency=2) as opened:
        asked = asyncio.create_task(opened.answer(requests(20), received.store))
        while budget.requests < 2:  # noqa: ASYNC110 -- a budget has no event
            await asyncio.sleep(0.01)
        sent, in_flight = budget.requests, opened.in_flight
        budget.close("the run is ending")
        with pytest.raises(BudgetClosed):
            await asked
    assert in_flight == sent == len(received.by_index)
    assert opened.in_flight == 0
