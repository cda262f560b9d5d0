"""Tests that keys without a card decide nothing, nor do keys right after them."""

from __future__ import annotations

from typing import Any

from support.curating import lines, running, shown, until
from support.workspaces import press, settled

from workbench.tui.screens import curate


async def test_the_reason_key_of_a_rejection_does_not_reach_the_next_card(
    make_workspace: Any, open_app: Any, monkeypatch: Any
) -> None:
    """Keys x and u without a card: x is dropped, and u must not become "unsure" on the next card."""
    monkeypatch.setattr(curate, "_PAUSE_SECONDS", 60)
    workspace = make_workspace(3)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        session, screen = app.session, app.screen
        current_card = session.current_card
        monkeypatch.setattr(session, "current_card", lambda: None)
        screen.session_changed()
        assert shown(app) is None
        await pilot.press("x")
        monkeypatch.setattr(session, "current_card", current_card)
        screen.session_changed()
        await until(pilot, lambda: shown(app) == 1)
        await pilot.press("u", "a")
        await settled(pilot)
        assert workspace.events() == []
        assert screen.question is None
        assert "key ignored" in lines(app)
        monkeypatch.setattr(curate, "_PAUSE_SECONDS", 0)
        await press(pilot, "a")
        await until(pilot, lambda: len(workspace.events()) == 1)


async def test_a_key_burst_corrects_only_the_denied_concept(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "e")
        await pilot.press("tab", "ctrl+u", *"straw hat")
        await press(pilot, "enter")
        await until(pilot, lambda: shown(app) == 2)
    (parent, child) = workspace.rows(
        "SELECT text, concept, concept_confidence FROM candidate WHERE id IN (1, 3) ORDER BY id"
    )
    assert child[0] == parent[0]
    assert (child[1], child[2]) == ("straw hat", 1.0)
    assert [kind for _, kind, *_ in workspace.events()] == ["edit", "accept"]
