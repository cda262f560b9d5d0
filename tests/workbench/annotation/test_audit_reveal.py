"""Audit cards: blind until decided; a later change of mind is a flip, and the label stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.curating import field_text, lines, running, shown, until, wait_for_card
from support.workspaces import press, settled

from curation_db.enums import Kind, Reason, Stream
from curation_db.stats.flip_rate import FlipRate, flip_rates
from workbench.annotation.session import AnnotationSession

SessionOpener = Callable[..., AnnotationSession]


def test_a_session_of_the_audit_stream_serves_only_audit_cards(
    make_workspace: Any, open_session: SessionOpener
) -> None:
    workspace = make_workspace(3, audit_rate=1.0)
    session = open_session(workspace, only=Stream.REVIEW)
    assert session.current_card() is None
    assert wait_for_card(open_session(workspace, "ben", only=Stream.AUDIT)).stream is Stream.AUDIT


def test_verdicts_are_revealed_after_the_decision_and_a_change_of_mind_is_a_flip(
    make_workspace: Any, open_session: SessionOpener
) -> None:
    workspace = make_workspace(2, audit_rate=1.0)
    session = open_session(workspace, only=Stream.AUDIT, reveal=True)
    assert wait_for_card(session).hidden, "not decided yet"
    session.submit(Kind.ACCEPT)
    assert wait_for_card(session).hidden, "the next one"
    session.look_back()
    assert not wait_for_card(session).hidden
    session.submit(Kind.REJECT, Reason.PRESENT)
    assert workspace.rows("SELECT kind, verdict, reason, blind FROM event ORDER BY seq") == [
        ("accept", None, None, 1),
        ("flip", "reject", "present", 0),
    ]
    with workspace.store.read() as connection:
        rates = flip_rates(connection)
    assert rates == {"ana": FlipRate(labels=1, flips=1, toward=0, away=1, differing=0, agreeing=1)}
    state = "SELECT state FROM candidate_state WHERE candidate_id = (SELECT min(candidate_id) FROM event)"
    assert workspace.rows(state) == [("rejected",)]
    session.look_back()
    past = wait_for_card(session).past
    assert past is not None
    assert past.kind is Kind.REJECT, "looking back shows what it says now"
    session.look_forward()
    session.undo()
    assert workspace.rows(state) == [("accepted",)]


def test_unsure_is_no_label_and_reveals_nothing(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(2, audit_rate=1.0)
    session = open_session(workspace, only=Stream.AUDIT, reveal=True)
    wait_for_card(session)
    session.submit(Kind.UNSURE)
    wait_for_card(session)
    session.look_back()
    assert wait_for_card(session).hidden
    session.submit(Kind.ACCEPT)
    assert [kind for _, kind, *_ in workspace.events()] == ["unsure", "accept"]


async def test_the_screen_shows_the_verdicts_after_the_decision(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2, audit_rate=1.0)
    app = open_app(workspace, only=Stream.AUDIT, reveal=True)
    async with running(app) as pilot:
        await settled(pilot)
        first = shown(app)
        assert field_text(app, "judges").startswith("hidden")
        assert "0.07" not in lines(app)
        await press(pilot, "a")
        await until(pilot, lambda: "0.07 · " in lines(app))
        assert shown(app) == 3 - first, "the other one of both"
