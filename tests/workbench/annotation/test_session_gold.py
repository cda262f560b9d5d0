"""Known answers at the desk: like any other card until it is decided, then told; and an adjudicator's final word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.curating import emptied, here, lines, running, seated, until
from support.workspaces import House, press, settled

from curation_db.enums import Kind, Reason, Role, State
from curation_db.events.annotators import begin_session
from curation_db.queue.gold import KnownAnswer
from curation_db.review.decisions import DecisionWriter
from curation_db.review.gold_marking import mark
from workbench.annotation.feedback import feedback
from workbench.annotation.models import CardOrigin
from workbench.annotation.session import AnnotationSession

Sit = Callable[..., AnnotationSession]


def gold(house: House, answers: dict[int, KnownAnswer]) -> None:
    with house.store.write() as connection:
        mark(connection, answers, "test.csv")


def test_what_is_said_afterwards() -> None:
    known = KnownAnswer(Kind.REJECT, Reason.PRESENT)
    assert feedback(known, Kind.REJECT)[0]
    right, line = feedback(known, Kind.ACCEPT)
    assert not right
    assert line == "✗ the answer to that card was known: reject: the negated thing is in the picture"


async def test_the_answer_is_told_after_the_decision_and_not_before(make_house: Any, open_app: Any) -> None:
    house = make_house(2)
    gold(house, {1: KnownAnswer(Kind.REJECT, Reason.PRESENT)})
    app = open_app(house, gold_share=1.0)
    async with running(app) as pilot:
        await settled(pilot)
        assert app.screen.shown.card.candidate_id == 1
        assert "known" not in lines(app)
        assert "gold" not in lines(app)
        await press(pilot, "a")
        await until(pilot, lambda: "the answer to that card was known: reject" in lines(app))
    assert house.states() == {1: "open", 2: "open"}


def test_it_does_not_count_as_work_that_is_left_or_done(make_house: Any, sit: Sit) -> None:
    house = make_house(3)
    gold(house, {1: KnownAnswer(Kind.ACCEPT)})
    desk = sit(house, gold_share=1.0)
    assert (desk.progress.decided, desk.progress.total) == (0, 2)
    for decided in (0, 1, 2):
        seated(desk)
        desk.decide(Kind.ACCEPT)
        assert (desk.progress.decided, desk.progress.total) == (decided, 2)
    emptied(desk)
    assert desk.summary().states == {State.ACCEPTED: 2}


def test_what_an_adjudicator_settled_comes_as_an_open_card(make_house: Any, sit: Sit) -> None:
    house = make_house(2)
    dan = DecisionWriter(house.store, begin_session(house.store, "dan", version="test", role=Role.ADJUDICATOR))
    dan.adjudicate(1, Kind.ACCEPT)
    gold(house, {1: KnownAnswer(Kind.ACCEPT)})
    desk = sit(house, gold_share=1.0)
    assert seated(desk).card.state is State.OPEN
    assert here(desk) == 1
    assert desk.decide(Kind.REJECT, Reason.SCOPE).known == KnownAnswer(Kind.ACCEPT)
    assert house.states()[1] == "accepted"
    desk.undo()
    assert (here(desk), seated(desk).way) == (1, CardOrigin.QUEUE)
    assert (desk.progress.decided, desk.progress.total) == (1, 2)


def test_an_adjudicator_settles_what_is_opened_by_name(make_house: Any, sit: Sit, join: Any) -> None:
    house = make_house(2, overlap="2")
    join(house, "ben").decide(1, Kind.ACCEPT)
    join(house, "cho").decide(1, Kind.REJECT, reason=Reason.SCOPE)
    assert house.states()[1] == "contested"
    begin_session(house.store, "dan", version="test", role=Role.ADJUDICATOR)
    desk = sit(house, "dan")
    desk.open(1)
    assert desk.decide(Kind.REJECT, Reason.PRESENT).kind is Kind.ADJUDICATE
    assert house.states()[1] == "rejected"
    assert desk.undo() is Kind.ADJUDICATE
    assert house.states()[1] == "contested"
