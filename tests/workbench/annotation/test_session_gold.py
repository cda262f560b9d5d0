"""Gold items look like other cards until they are decided; an adjudicator's final decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.curating import current_id, lines, running, until, wait_for_card, wait_for_end
from support.workspaces import WorkspaceFixture, press, settled

from curation_db.enums import Kind, Reason, Role, State
from curation_db.events.annotators import begin_session
from curation_db.queue.gold import KnownAnswer
from curation_db.review.decisions import DecisionWriter
from curation_db.review.gold_marking import mark
from workbench.annotation.models import CardOrigin
from workbench.annotation.session import AnnotationSession
from workbench.annotation.wording import gold_feedback

SessionOpener = Callable[..., AnnotationSession]


def gold(workspace: WorkspaceFixture, answers: dict[int, KnownAnswer]) -> None:
    with workspace.store.write() as connection:
        mark(connection, answers, "test.csv")


def test_the_feedback_after_the_decision() -> None:
    known = KnownAnswer(Kind.REJECT, Reason.PRESENT)
    assert gold_feedback(known, Kind.REJECT)[0]
    right, line = gold_feedback(known, Kind.ACCEPT)
    assert not right
    assert line == "✗ test card: the expected answer was reject: the negated thing is there"


async def test_the_known_answer_is_shown_only_after_the_decision(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    gold(workspace, {1: KnownAnswer(Kind.REJECT, Reason.PRESENT)})
    app = open_app(workspace, gold_share=1.0)
    async with running(app) as pilot:
        await settled(pilot)
        assert app.screen.shown.card.candidate_id == 1
        assert "known" not in lines(app)
        assert "gold" not in lines(app)
        await press(pilot, "a")
        await until(pilot, lambda: "the expected answer was reject" in lines(app))
    assert workspace.states() == {1: "open", 2: "open"}


def test_a_gold_item_does_not_count_as_progress(make_workspace: Any, open_session: SessionOpener) -> None:
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


def test_a_gold_item_that_an_adjudicator_settled_looks_open(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(2)
    dan = DecisionWriter(workspace.store, begin_session(workspace.store, "dan", version="test", role=Role.ADJUDICATOR))
    dan.adjudicate(1, Kind.ACCEPT)
    gold(workspace, {1: KnownAnswer(Kind.ACCEPT)})
    session = open_session(workspace, gold_share=1.0)
    assert wait_for_card(session).card.state is State.OPEN
    assert current_id(session) == 1
    assert session.submit(Kind.REJECT, Reason.SCOPE).known == KnownAnswer(Kind.ACCEPT)
    assert workspace.states()[1] == "accepted"
    session.undo()
    assert (current_id(session), wait_for_card(session).origin) == (1, CardOrigin.QUEUE)
    assert (session.progress.decided, session.progress.total) == (1, 2)


def test_an_adjudicator_settles_a_card_opened_from_a_search(
    make_workspace: Any, open_session: SessionOpener, join: Any
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
