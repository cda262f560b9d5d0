"""The adaptive window stays at a server's capacity, and the limiter grants slots accordingly."""

from __future__ import annotations

import asyncio
import heapq
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.generation.engines.http.breaker import RefusalBreaker
from workbench.generation.engines.http.limiter import MAX_PAUSES, Limiter
from workbench.generation.engines.http.retry import RetryDecision, RetryPolicy, classify_status
from workbench.generation.engines.http.window import AdaptiveConcurrency, LoadSignal


def share_of_ceiling(
    window: AdaptiveConcurrency, ceiling: int, seconds: float, *, latency: float = 0.2, bad: float = 0.0
) -> float:
    """Answers per second over ceiling / latency, by a server that refuses beyond `ceiling` at once; always work to do.

    `bad`: the share of the answers that are cut off by chance.
    """
    dice = random.Random(1)
    now, serving, answered, ends = 0.0, 0, 0, []
    number = 0
    while now < seconds:
        while window.may_send(now):
            window.sent()
            number += 1
            if serving < ceiling:
                serving += 1
                heapq.heappush(ends, (now + latency * dice.uniform(0.95, 1.05), number, True))
            else:
                heapq.heappush(ends, (now + 0.001, number, False))
        if not ends:
            now = window.paused_until
            continue
        now, _, served = heapq.heappop(ends)
        serving -= served
        cut = served and dice.random() < bad
        answered += served and not cut
        window.ended(
            LoadSignal.TROUBLE if cut else LoadSignal.GOOD if served else LoadSignal.REFUSED,
            now,
            0.0 if served else 1.0,
        )
    return answered / (seconds * ceiling / latency)


@pytest.mark.parametrize(("most", "ceiling"), [(128, 64), (64, 64), (512, 64), (64, 7), (32, 1), (256, 200)])
def test_the_window_uses_the_whole_capacity_of_a_server(most: int, ceiling: int) -> None:
    assert share_of_ceiling(AdaptiveConcurrency(most), ceiling, 25.0) >= 0.95


@pytest.mark.parametrize("bad", [0.05, 0.2])
def test_occasional_cut_connections_do_not_shrink_the_window(bad: float) -> None:
    assert share_of_ceiling(AdaptiveConcurrency(128), 64, 25.0, bad=bad) >= 0.95 * (1 - bad)


def test_many_failures_shrink_the_window() -> None:
    window = AdaptiveConcurrency(128)
    share_of_ceiling(window, 64, 5.0)
    before = window.limit
    window.in_flight = 0
    share_of_ceiling(window, 64, 5.0, bad=0.8)
    assert window.limit < before / 4


def test_the_window_follows_a_rising_capacity() -> None:
    window = AdaptiveConcurrency(128)
    assert share_of_ceiling(window, 16, 10.0) >= 0.9
    window.in_flight = 0
    assert share_of_ceiling(window, 64, 120.0) >= 0.8
    assert window.limit >= 60


def test_one_refusal_shrinks_the_window_by_one() -> None:
    window = AdaptiveConcurrency(64)
    while window.may_send(10.0):
        window.sent()
    before = window.limit
    window.ended(LoadSignal.REFUSED, 10.0, 30.0)
    assert window.limit == window.in_flight == before - 1
    window.ended(LoadSignal.GOOD, 10.0)
    assert window.may_send(10.0)


def test_pauses_double_while_nothing_gets_through() -> None:
    window = AdaptiveConcurrency(64)
    for _ in range(8):
        window.sent()
    for _ in range(8):
        window.ended(LoadSignal.TROUBLE, 0.0)
    assert (window.paused_until, window.limit) == (1.0, 1)
    assert not window.may_send(0.9)
    assert window.may_send(1.0)
    for pause in (2.0, 4.0, 8.0):
        now = window.paused_until
        window.sent()
        window.ended(LoadSignal.TROUBLE, now)
        assert window.paused_until == now + pause
    window.sent()
    window.ended(LoadSignal.REFUSED, now := window.paused_until, 100.0)
    assert window.paused_until == now + 100.0  # the server asked for more
    window.sent()
    window.ended(LoadSignal.GOOD, window.paused_until)
    assert (window.pauses, window.limit) == (0, 2)


@given(st.integers(1, 40), st.lists(st.sampled_from(["send", *LoadSignal]), max_size=300))
def test_the_window_stays_within_its_bounds(most: int, steps: list[str]) -> None:
    window, now = AdaptiveConcurrency(most), 0.0
    for step in steps:
        now += 0.5
        if step == "send":
            if window.may_send(now):
                window.sent()
        elif window.in_flight:
            window.ended(LoadSignal(step), now)
        assert 1 <= window.limit <= most
        assert 0 <= window.in_flight <= most


async def test_slots_are_granted_in_order_and_retries_first() -> None:
    limiter = Limiter(AdaptiveConcurrency(1), RuntimeError)
    await limiter.acquire()
    order: list[str] = []

    async def work(name: str, again: bool) -> None:
        await limiter.acquire(retry=again)
        order.append(name)
        await asyncio.sleep(0)
        limiter.release(LoadSignal.GOOD)

    tasks = [asyncio.create_task(work(name, name == "again")) for name in ("first", "second", "again")]
    await asyncio.sleep(0)
    assert not order
    limiter.release(LoadSignal.GOOD)
    await asyncio.gather(*tasks)
    assert order == ["again", "first", "second"]
    assert limiter.window.in_flight == 0


async def test_the_slot_of_a_cancelled_request_is_not_lost() -> None:
    limiter = Limiter(AdaptiveConcurrency(1), RuntimeError)
    await limiter.acquire()
    left = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    limiter.release(LoadSignal.GOOD)  # the place is theirs now ...
    left.cancel()  # ... and they never come
    with pytest.raises(asyncio.CancelledError):
        await left
    await asyncio.wait_for(limiter.acquire(), 30)


async def test_a_pause_ends_by_itself() -> None:
    limiter = Limiter(AdaptiveConcurrency(4, first_pause=0.02), RuntimeError)
    for _ in range(3):
        await limiter.acquire()
        limiter.release(LoadSignal.TROUBLE)
    assert not limiter.window.may_send(limiter.window.paused_until - 0.001)
    await asyncio.wait_for(limiter.acquire(), 30)


async def test_stop_fails_all_waiting_requests() -> None:
    limiter = Limiter(AdaptiveConcurrency(1), RuntimeError)
    await limiter.acquire()
    waiting, resting = asyncio.create_task(limiter.acquire()), asyncio.create_task(limiter.sleep(60))
    await asyncio.sleep(0)
    limiter.stop(RuntimeError("gone"))
    limiter.stop(RuntimeError("later"))
    for task in (waiting, resting, asyncio.create_task(limiter.acquire())):
        with pytest.raises(RuntimeError, match="gone"):
            await task


async def test_the_engine_stops_after_the_last_pause() -> None:
    limiter = Limiter(AdaptiveConcurrency(4, first_pause=0.001), lambda: RuntimeError("nothing gets through"), pauses=3)
    with pytest.raises(RuntimeError, match="nothing gets through"):
        for _ in range(20):
            await limiter.acquire()
            limiter.release(LoadSignal.TROUBLE)


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (200, RetryDecision.OK),
        (429, RetryDecision.THROTTLED),
        (500, RetryDecision.RETRY),
        (502, RetryDecision.RETRY),
        (503, RetryDecision.RETRY),
        (504, RetryDecision.RETRY),
        (529, RetryDecision.RETRY),
        (408, RetryDecision.RETRY),
        (400, RetryDecision.REJECTED),
        (413, RetryDecision.REJECTED),
        (422, RetryDecision.REJECTED),
        (501, RetryDecision.REJECTED),
        (401, RetryDecision.ABORT),
        (403, RetryDecision.FORBIDDEN),
        (404, RetryDecision.ABORT),
        (302, RetryDecision.ABORT),
    ],
)
def test_classification_of_http_statuses(status: int, means: RetryDecision) -> None:
    assert classify_status(status) is means


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please retry in 2s.", 2.0),
        ("Please try again in 1.5 seconds.", 1.5),
        ("retry after 250ms", 0.25),
        ("Try again in 2 minutes", 120.0),
        ("retry in a while", None),
        ("", None),
    ],
)
def test_a_time_in_the_message_counts_as_retry_after(message: str, seconds: float | None) -> None:
    assert RetryPolicy().retry_after({}, message) == seconds
    assert RetryPolicy().retry_after({"retry-after": "7"}, message) == 7.0


def test_the_breaker_counts_equal_refusals_in_a_row() -> None:
    breaker = RefusalBreaker(3)
    assert [breaker.refuses_all(reason) for reason in (400, 400, 422, 400, 400, 400)] == [False] * 5 + [True]
    breaker.count_answer()
    assert not any(breaker.refuses_all(400) for _ in range(9))
    breaker.count_answer()
    assert [breaker.refuses_all(403, later=2) for _ in range(2)] == [False, True]


def test_the_text_billing_alone_is_waited_for() -> None:
    assert classify_status(429, "check your billing details") is RetryDecision.THROTTLED


def test_the_pauses_of_an_engine_outlast_a_model_that_loads_for_25_s() -> None:
    window, now, ends = AdaptiveConcurrency(4), 0.0, []
    for _ in range(2):  # two failures, and then one before each pause
        window.sent()
        window.ended(LoadSignal.TROUBLE, now)
    while window.pauses < MAX_PAUSES:
        window.sent()
        window.ended(LoadSignal.TROUBLE, now)
        now = window.paused_until
        ends.append(now)
    assert ends == [1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0]


def test_an_exhausted_account_aborts() -> None:
    assert classify_status(429, "insufficient_quota: you exceeded your quota") is RetryDecision.ABORT
    assert classify_status(503, has_retry_after=True) is RetryDecision.THROTTLED


@pytest.mark.parametrize(("header", "seconds"), [(None, None), ("7", 7.0), ("86400", 120.0), ("inf", 120.0)])
def test_retry_after_is_capped(header: str | None, seconds: float | None) -> None:
    assert RetryPolicy().retry_after({} if header is None else {"retry-after": header}) == seconds
