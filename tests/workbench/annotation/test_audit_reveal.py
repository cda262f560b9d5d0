"""The audit at the desk: blind until decided; a change of mind afterwards is a flip, and the label stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.curating import lines, running, said, seated, shown, until
from support.workspaces import press, settled

from curation_db.enums import Kind, Reason, Stream
from workbench.annotation.session import AnnotationSession

Sit = Callable[..., AnnotationSession]


def test_an_audit_alone_serves_nothing_else(make_house: Any, sit: Sit) -> None:
    house = make_house(3, audit_rate=1.0)
    desk = sit(house, only=Stream.REVIEW)
    assert desk.next() is None
    assert seated(sit(house, "ben", only=Stream.AUDIT)).stream is Stream.AUDIT


def test_revealed_only_after_the_decision_and_a_change_of_mind_is_a_flip(make_house: Any, sit: Sit) -> None:
    house = make_house(2, audit_rate=1.0)
    desk = sit(house, only=Stream.AUDIT, reveal=True)
    assert seated(desk).hidden, "not decided yet"
    desk.decide(Kind.ACCEPT)
    assert seated(desk).hidden, "the next one"
    desk.look_back()
    assert not seated(desk).hidden
    desk.decide(Kind.REJECT, Reason.PRESENT)
    assert house.rows("SELECT kind, verdict, reason, blind FROM event ORDER BY seq") == [
        ("accept", None, None, 1),
        ("flip", "reject", "present", 0),
    ]
    assert house.rows("SELECT state FROM candidate_state WHERE candidate_id = 1") == [("rejected",)]
    desk.look_back()
    past = seated(desk).past
    assert past is not None
    assert past.kind is Kind.REJECT, "looking back shows what it says now"
    desk.look_forward()
    desk.undo()
    assert house.rows("SELECT state FROM candidate_state WHERE candidate_id = 1") == [("accepted",)]


def test_unsure_is_no_label_and_reveals_nothing(make_house: Any, sit: Sit) -> None:
    house = make_house(2, audit_rate=1.0)
    desk = sit(house, only=Stream.AUDIT, reveal=True)
    seated(desk)
    desk.decide(Kind.UNSURE)
    seated(desk)
    desk.look_back()
    assert seated(desk).hidden
    desk.decide(Kind.ACCEPT)
    assert [kind for _, kind, *_ in house.events()] == ["unsure", "accept"]


async def test_the_judges_word_comes_once_one_has_given_ones_own(make_house: Any, open_app: Any) -> None:
    house = make_house(2, audit_rate=1.0)
    app = open_app(house, only=Stream.AUDIT, reveal=True)
    async with running(app) as pilot:
        await settled(pilot)
        assert shown(app) == 1
        assert said(app, "judges").startswith("hidden")
        assert "0.07" not in lines(app)
        await press(pilot, "a")
        await until(pilot, lambda: "0.07 · " in lines(app))
        assert shown(app) == 2
