"""What the record refuses, and what somebody else did meanwhile, leaves the desk as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from support.curating import here, seated

from curation_db.enums import Kind
from curation_db.errors import RecordBusy, RecordError
from curation_db.queue.claims import Queue
from workbench.annotation.session import AnnotationSession

Sit = Callable[..., AnnotationSession]


def test_a_locked_record_costs_nothing_but_a_message(
    make_house: Any, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation_db.storage.sqlite._PRAGMAS", ("PRAGMA busy_timeout=50", "PRAGMA foreign_keys=ON"))
    house = make_house(5)
    desk = sit(house)
    assert here(desk) == 1
    other = sqlite3.connect(house.root / "curation.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RecordError, match="another process"):
            desk.decide(Kind.ACCEPT)
        with pytest.raises(RecordError):
            desk.undo()
        assert here(desk) == 1
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert house.events() == []
    for number in (1, 2, 3, 4, 5):
        assert here(desk) == number
        desk.decide(Kind.ACCEPT)
    assert desk.trouble is None


def test_a_busy_record_does_not_call_off_what_has_happened(
    make_house: Any, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = sit(make_house(3))
    seated(desk)
    desk.decide(Kind.ACCEPT)
    seated(desk)
    desk.undo()

    def busy(*_: Any) -> None:
        raise RecordBusy("held by another process")

    monkeypatch.setattr(Queue, "release", busy)
    assert desk.redo() is Kind.ACCEPT
    assert here(desk) == 2
    desk.open(3)
    assert desk.look_forward()
    assert here(desk) == 2


def test_a_card_that_somebody_edited_meanwhile_is_left_for_the_next(make_house: Any, sit: Sit, join: Any) -> None:
    house = make_house(3)
    desk = sit(house)
    seated(desk)
    assert not desk.leave_replaced()
    assert here(desk) == 1
    join(house, "ben").edit(1, "a woman in a field, no hat")
    assert desk.leave_replaced()
    assert here(desk) == 2
    assert house.rows("SELECT 1 FROM lease WHERE candidate_id = 1") == []
    assert [kind for _, kind, _ in house.events()] == ["edit"]


def test_a_replaced_caption_cannot_be_decided(make_house: Any, sit: Sit) -> None:
    house = make_house(2)
    desk = sit(house)
    seated(desk)
    desk.edit("a woman without a hat")
    desk.open(1)
    with pytest.raises(RecordError, match="replaced"):
        desk.decide(Kind.ACCEPT)
