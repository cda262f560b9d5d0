"""Known answers at the desk: like any other card until it is decided, then told; and an adjudicator's final word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.curating import here, lines, running, until, wait_for_card, wait_for_end
from support.workspaces import WorkspaceFixture, press, settled

from curation_db.enums import Kind, Reason, Role, State
from curation_db.events.annotators import begin_session
from curation_db.queue.gold import KnownAnswer
from curation_db.review.decisions import DecisionWriter
from curation_db.review.gold_marking import mark
from workbench.annotation.models import CardOrigin
from workbench.annotation.session import AnnotationSession
from workbench.annotation.wording import gold_feedback

OpenSession = Callable[..., AnnotationSession]


def gold(workspace: WorkspaceFixture, answers: dict[int, KnownAnswer]) -> None:
    with workspace.store.write() as connection:
        mark(connection, answers, "test.csv")


def test_what_is_said_afterwards() -> None:
    known = KnownAnswer(Kind.REJECT, Reason.PRESENT)
    assert gold_feedback(known, Kind.REJECT)[0]
    right, line = gold_feedback(known, Kind.ACCEPT)
    assert not right
    assert line == "✗ the answer to that card was known: reject: the negated thing is in the picture"


async def test_the_answer_is_told_after_the_decision_and_not_before(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    gold(workspace, {1: KnownAnswer(Kind.REJECT, Reason.PRESENT)})
    app = open_app(workspace, gold_share=1.0)
    async with running(app) as pilot:
        await settled(pilot)
        assert app.screen.shown.card.candidate_id == 1
        assert "known" not in lines(app)
        assert "gold" not in lines(app)
        await press(pilot, "a")
        await until(pilot, lambda: "the answer to that card was known: reject" in lines(app))
    assert workspace.states() == {1: "open", 2: "open"}


def test_it_does_not_count_as_work_that_is_left_or_done(make_workspace: Any, open_session: OpenSession) -> None:
    workspace = make_workspace(3)
    gold(workspace, {1: KnownAnswer(Kind.ACCEPT)})
    session = open_session(workspace, gold_share=1.0)
    assert (session.progress.decided, session.progress.total) == (0, 2)
    for decided in (0, 1, 2):
        wait_for_card(session)
        session.submit(Kind.ACCEPT)
        assert (session.progress.decided, session.progress.total) == (decided, 2)
    wait_for_end(session)
    assert session.summary().states == {State.ACCEPTED: 2}


def test_what_an_adjudicator_settled_comes_as_an_open_card(make_workspace: Any, open_session: OpenSession) -> None:
    workspace = make_workspace(2)
    dan = DecisionWriter(workspace.store, begin_session(workspace.store, "dan", version="test", role=Role.ADJUDICATOR))
    dan.adjudicate(1, Kind.ACCEPT)
    gold(workspace, {1: KnownAnswer(Kind.ACCEPT)})
    session = open_session(workspace, gold_share=1.0)
    assert wait_for_card(session).card.state is State.OPEN
    assert here(session) == 1
    assert session.submit(Kind.REJECT, Reason.SCOPE).known == KnownAnswer(Kind.ACCEPT)
    assert workspace.states()[1] == "accepted"
    session.undo()
    assert (here(session), wait_for_card(session).way) == (1, CardOrigin.QUEUE)
    assert (session.progress.decided, session.progress.total) == (1, 2)


def test_an_adjudicator_settles_what_is_opened_by_name(
    make_workspace: Any, open_session: OpenSession, join: Any
) -> None:
    workspace = make_workspace(2, overlap="2")
    join(workspace, "ben").decide(1, Kind.ACCEPT)
    join(workspace, "cho").decide(1, Kind.REJECT, reason=Reason.SCOPE)
    assert workspace.states()[1] == "contested"
    begin_session(workspace.store, "dan", version="test", role=Role.ADJUDICATOR)
    session = open_session(workspace, "dan")
    session.open(1)
    assert session.submit(Kind.REJECT, Reason.PRESENT).kind is Kind.ADJUDICATE
    assert workspace.states()[1] == "rejected"
    assert session.undo() is Kind.ADJUDICATE
    assert workspace.states()[1] == "contested"
