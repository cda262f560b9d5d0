"""The token of `negwb serve`, the limit on its pages, and the click that only focuses the page."""

from __future__ import annotations

import asyncio

import pytest

from workbench.page_access import FirstClick, Gate, Pages


def test_a_token_is_used_once_and_replaced() -> None:
    gate = Gate()
    token = gate.token
    key = gate.exchange(token)
    assert key is not None
    assert gate.knows(key)
    assert gate.exchange(token) is None
    assert gate.token != token
    other = gate.exchange(gate.token)
    assert other not in {None, key}
    assert gate.knows(key), "the first browser keeps its access"


@pytest.mark.parametrize("given", ["", "x", "\ud800", "é", "x" * 100_000])
def test_an_invalid_token_or_key_is_refused(given: str) -> None:
    gate = Gate()
    before = gate.token
    assert gate.exchange(given) is None
    assert not gate.knows(given)
    assert not gate.knows(gate.token), "the token itself is no key"
    assert gate.token == before


def test_two_servers_have_different_cookies() -> None:
    assert Gate().cookie != Gate().cookie


async def test_a_slot_is_released_after_an_error() -> None:
    pages = Pages(2, patience_s=0)
    with pytest.raises(ZeroDivisionError):
        async with pages.slot() as free:
            assert free
            raise ZeroDivisionError
    async with pages.slot() as first, pages.slot() as second, pages.slot() as third:
        assert (first, second, third) == (True, True, False)
    async with pages.slot() as first, pages.slot() as second:
        assert (first, second) == (True, True), "a refusal takes no slot"


async def test_a_page_waits_for_a_free_slot() -> None:
    pages, leave = Pages(1, patience_s=60), asyncio.Event()

    async def stay() -> bool:
        async with pages.slot() as free:
            await leave.wait()
            return free

    one = asyncio.create_task(stay())
    await asyncio.sleep(0)
    other = asyncio.create_task(stay())
    leave.set()
    assert await asyncio.gather(one, other) == [True, True]


PRESS, RELEASE, DRAG, MOVE = "\x1b[<0;3;30M", "\x1b[<0;3;30m", "\x1b[<32;4;30M", "\x1b[<35;4;30M"
RIGHT, WHEEL, REPLY, ARROW = "\x1b[<2;3;30M", "\x1b[<65;3;30M", "\x1b[?2026;2$y", "\x1b[A"


def passed(*data: str) -> list[str]:
    click = FirstClick()
    return [one for one in data if click.passes(one)]


def test_the_first_click_is_dropped_and_the_second_passes() -> None:
    assert passed(PRESS, DRAG, RELEASE, MOVE, PRESS, DRAG, RELEASE) == [MOVE, PRESS, DRAG, RELEASE]


def test_a_key_press_shows_that_the_page_has_the_focus() -> None:
    assert passed("a", PRESS, RELEASE) == ["a", PRESS, RELEASE]
    assert passed(REPLY, MOVE, WHEEL, PRESS, RELEASE) == [REPLY, MOVE, WHEEL], "these do not show the focus"


def test_other_buttons_and_keys_pass_during_the_first_click() -> None:
    assert passed(PRESS, RIGHT, "a", ARROW, RELEASE) == [RIGHT, "a", ARROW]


def test_after_the_page_loses_the_focus_the_next_click_is_dropped() -> None:
    click = FirstClick()
    assert not click.passes(PRESS)
    click.blurred()
    assert not click.passes(RELEASE)
    assert not click.passes(PRESS)
    assert not click.passes(RELEASE)
    assert click.passes(PRESS)
