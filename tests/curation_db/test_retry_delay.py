"""Delays grow with full jitter; Retry-After is parsed as a number or a date."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from curation_db.retry_delay import Backoff, retry_after

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
DATE, DATE_BEFORE = "Thu, 26 Nov 2026 12:00:09 GMT", "Thu, 26 Nov 2026 10:00:09 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0.5 ", 0.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("86400", 86400.0),
        ("inf", float("inf")),
        ("nan", None),
        ("soon", None),
        ("", None),
        (DATE, 9.0),
        (DATE.removesuffix(" GMT"), 9.0),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0.0),
        ("Thu, 99 Nov 2026 12:00:09 GMT", None),
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, NOW) == seconds


def test_a_response_without_retry_after_asks_for_nothing() -> None:
    assert retry_after({"date": DATE}, NOW) is None


@pytest.mark.parametrize(("date", "seconds"), [("Thu, 26 Nov 2026 10:00:05 GMT", 4.0), ("x", 0.0)])
def test_a_date_is_compared_with_that_of_the_response(date: str, seconds: float) -> None:
    assert retry_after({"retry-after": DATE_BEFORE, "date": date}, NOW) == seconds


@pytest.mark.parametrize(("tries", "bound"), [(0, 0.5), (1, 1.0), (3, 4.0), (10_000, 4.0)])
def test_the_wait_is_uniform_up_to_a_growing_capped_bound(tries: int, bound: float) -> None:
    backoff = Backoff(base=0.5, longest=4.0)
    assert backoff.delay(tries, uniform=lambda low, high: low) == 0
    assert backoff.delay(tries, uniform=lambda low, high: high) == bound


def test_a_wait_that_the_server_asked_for_gets_some_jitter() -> None:
    backoff = Backoff(base=0.5, longest=4.0)
    assert backoff.delay(1, 7.0, uniform=lambda low, high: low) == 7.0
    assert backoff.delay(1, 7.0, uniform=lambda low, high: high) == 7.5
    assert 7.0 <= backoff.delay(1, 7.0) <= 7.5
