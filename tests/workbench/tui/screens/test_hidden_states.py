"""Tests that decisions of others are hidden until the annotator has decided."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import field_text, lines, running, shown, until
from support.workspaces import press, settled
from textual.widgets import OptionList

from curation_db.enums import Kind, Reason, Role, State
from workbench.annotation.models import CardOrigin
from workbench.annotation.plain.text import card_lines, decision_line
from workbench.annotation.wording import STATES
from workbench.tui.screens.modals.find import FindModal


def revealing_words(text: str) -> list[str]:
    return [each.status for each in STATES.values() if each.status in text]


async def test_a_card_of_the_queue_does_not_show_its_state(make_workspace: Any, open_app: Any, join: Any) -> None:
    """The state of a card on which others voted is hidden, also after the annotator opened other screens."""
    workspace = make_workspace(3, overlap="3")
    ben, cid = join(workspace, "ben"), join(workspace, "cid")
    ben.decide(1, Kind.UNSURE)
    ben.decide(2, Kind.ACCEPT)
    cid.decide(2, Kind.REJECT, reason=Reason.PRESENT)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        for _ in range(3):
            assert field_text(app, "state") == "", shown(app)
            await press(pilot, "space")
        assert workspace.states() == {1: "unsure", 2: "needs_more", 3: "open"}


@pytest.mark.parametrize("words", ["number 0", "number 1"])
async def test_a_card_settled_by_others_does_not_show_it_in_a_search(
    make_workspace: Any, open_app: Any, join: Any, words: str
) -> None:
    workspace = make_workspace(3)
    ben = join(workspace, "ben")
    ben.decide(1, Kind.ACCEPT)
    ben.decide(2, Kind.REJECT, reason=Reason.PRESENT)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "slash", *"number")
        assert isinstance(app.screen, FindModal)
        await pilot.press("space", words[-1])
        await until(pilot, lambda: "1 found" in lines(app))
        listed = app.screen.query_one(OptionList).get_option_at_index(0).prompt
        assert revealing_words(str(listed)) == []
        await press(pilot, "enter")
        assert shown(app) == int(words[-1]) + 1
        assert field_text(app, "state") == ""
        await press(pilot, "f", "e", "escape")
        assert field_text(app, "state") == ""


async def test_matches_show_the_state_of_the_annotators_own_cards_only(
    open_session: Any, make_workspace: Any, join: Any
) -> None:
    workspace = make_workspace(4, overlap="2")
    ben = join(workspace, "ben")
    for number in (1, 2, 3):
        ben.decide(number, Kind.ACCEPT)
    session = open_session(workspace)
    session.open(1)
    session.submit(Kind.ACCEPT)
    session.open(2)
    session.submit(Kind.UNSURE)
    child = ben.edit(4, "a woman without hat number 3").child_id
    states = {match.candidate_id: match.state for match in session.find("number")}
    assert states == {1: "accepted", 2: None, 3: None, 4: "superseded", child: None}
    session.undo()
    session.undo()
    assert {match.candidate_id: match.state for match in session.find("number")}[1] is None


def test_plain_mode_does_not_show_the_state_of_a_card(open_session: Any, make_workspace: Any, join: Any) -> None:
    workspace = make_workspace(3)
    ben = join(workspace, "ben")
    ben.decide(1, Kind.UNSURE)
    ben.decide(2, Kind.ACCEPT)
    ben.edit(3, "a woman without hat number 2")
    session = open_session(workspace)
    for number in (1, 2):
        session.open(number)
        assert [line for line in card_lines(session.current, decided=0, total=3) if line.startswith("STATE")] == []
    session.open(3)
    assert "STATE your text has taken its place" not in card_lines(session.current, decided=0, total=3)
    assert "STATE replaced by an edit" in card_lines(session.current, decided=0, total=3)


async def test_an_adjudicator_learns_that_the_decision_is_final_but_not_the_votes(
    make_workspace: Any, open_app: Any, join: Any
) -> None:
    workspace = make_workspace(2)
    join(workspace, "ben").decide(1, Kind.ACCEPT)
    app = open_app(workspace, role=Role.ADJUDICATOR)
    async with running(app) as pilot:
        await settled(pilot)
        await app.screen.action_open_card(1)
        await settled(pilot)
        assert app.session.current.origin is CardOrigin.SEARCH
        assert field_text(app, "state") == "all votes are in: your decision is final"
        await press(pilot, "x", "p")
    assert workspace.states()[1] == "rejected"


def test_plain_mode_does_not_reveal_a_vote_after_an_unsure() -> None:
    assert {decision_line(Kind.UNSURE, state) for state in State} == {"DONE unsure; others decide first"}
    assert decision_line(Kind.ACCEPT, State.NEEDS_MORE) == "DONE accepted; it needs a second opinion"
