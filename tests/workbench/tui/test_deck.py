"""The deck rests while a card is being painted, and never while somebody waits for one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from support.curating import seated

from curation_db.words import Kind
from workbench.tui import deck as deck_module
from workbench.tui.desk import Desk
from workbench.tui.sitting import DEPTH


def stock(desk: Desk) -> int:
    """So many cards are ready behind the one in the seat."""
    return len(desk._deck._cards)


def wait_for(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen")


def test_the_deck_rests_after_a_card_was_taken(make_house: Any, sit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deck_module, "_REST_SECONDS", 3600.0)
    desk = sit(make_house(10))
    wait_for(lambda: stock(desk) == DEPTH)
    seated(desk)
    time.sleep(0.1)
    assert stock(desk) == DEPTH - 1


def test_it_does_not_rest_when_no_other_card_is_ready(
    make_house: Any, sit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deck_module, "_REST_SECONDS", 3600.0)
    desk = sit(make_house(10))
    for _ in range(10):
        seated(desk)
        desk.decide(Kind.ACCEPT)
    wait_for(lambda: desk.next() is None and desk.finished)


def test_it_goes_on_after_its_rest(make_house: Any, sit: Any) -> None:
    desk = sit(make_house(10))
    wait_for(lambda: stock(desk) == DEPTH)
    seated(desk)
    wait_for(lambda: stock(desk) == DEPTH)


def test_leases_are_renewed_during_a_rest(make_house: Any, sit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deck_module, "_REST_SECONDS", 3600.0)
    house = make_house(10)
    desk = sit(house, lease_seconds=0.6)
    wait_for(lambda: stock(desk) == DEPTH)
    seated(desk)
    time.sleep(1.2)
    desk.decide(Kind.ACCEPT)
    assert house.rows("SELECT late FROM event") == [(0,)]
