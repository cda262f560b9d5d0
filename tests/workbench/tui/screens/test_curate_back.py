"""Tests of the back history: every card once, an edited one as its edit; and what cannot be undone."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import field_text, lines, running, shown
from support.workspaces import WorkspaceFixture, press, settled

from curation_db.enums import Kind, Reason
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.queue_end import QueueEndScreen
from workbench.tui.widgets.lines.status import StatusLine


async def edit(pilot: Any, more: str) -> None:
    await press(pilot, "e")
    await pilot.press(*more)
    await press(pilot, "enter")
    await settled(pilot)


def streak(app: Any) -> str:
    return str(app.screen.query_one(StatusLine).render().plain).partition("streak ")[2].partition(" ")[0]


async def test_an_edited_card_is_shown_once(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(4)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a")
        await edit(pilot, " new")
        assert streak(app) == "✓✎"
        await press(pilot, "[")
        assert shown(app) == 5
        assert field_text(app, "past").startswith("✎ edited")
        await press(pilot, "[")
        assert shown(app) == 1
        assert field_text(app, "past").startswith("✓ accepted")
        await press(pilot, "[")
        assert "no earlier decision" in lines(app)
        assert shown(app) == 1
        await press(pilot, "]")
        assert shown(app) == 5
        await press(pilot, "]")
        assert shown(app) == 3
    assert [kind for _, kind, _ in workspace.events()] == ["accept", "edit", "accept"]


async def test_an_edited_card_that_was_decided_again_is_shown_once(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(4)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a")
        await edit(pilot, " new")
        await press(pilot, "[", "x", "d")
        assert shown(app) == 3
        await press(pilot, "[")
        assert shown(app) == 5
        assert field_text(app, "past").startswith("✗ rejected: duplicate")
        await press(pilot, "[")
        assert shown(app) == 1


async def test_a_card_that_was_edited_twice_shows_its_last_text(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(4)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a", "u", "[")  # unsure first, on the same card
        await edit(pilot, " new")
        assert shown(app) == 3
        await press(pilot, "[")
        assert shown(app) == 5
        await edit(pilot, "er")
        assert shown(app) == 3
        await press(pilot, "[")
        assert shown(app) == 6
        assert field_text(app, "negated").endswith("newer»")
        await press(pilot, "[")
        assert shown(app) == 1
    assert workspace.states() == {1: "accepted", 2: "superseded", 3: "open", 4: "open", 5: "superseded", 6: "accepted"}


async def test_a_card_from_a_search_shows_that_it_is_the_annotators_own_edit(
    make_workspace: Any, open_app: Any
) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await edit(pilot, " sombrero")
        await press(pilot, "slash")
        await pilot.press(*"sombrero", "enter")
        for _ in range(200):
            await settled(pilot)
            if shown(app) == 4:
                break
        assert shown(app) == 4
        assert field_text(app, "past").startswith("✎ edited")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_an_edit_that_another_annotator_decided_cannot_be_undone(
    make_workspace: Any, open_app: Any, join: Any, size: tuple[int, int]
) -> None:
    workspace = make_workspace(4)
    ben = join(workspace, "ben")
    app = open_app(workspace)
    async with running(app, size) as pilot:
        await settled(pilot)
        await press(pilot, "a")
        await edit(pilot, " new")
        assert shown(app) == 3
        ben.decide(5, Kind.REJECT, reason=Reason.SCOPE)
        before = (
            workspace.events(),
            workspace.states(),
            workspace.rows("SELECT * FROM queue_entry"),
            held_by_ana(workspace),
        )
        status, card = streak(app), field_text(app, "negated")
        for _ in range(3):
            await press(pilot, "z")
            assert lines(app).count("ben has decided about your edit since") == 1
            assert lines(app).count("only an adjudicator") == 1
        assert before == (
            workspace.events(),
            workspace.states(),
            workspace.rows("SELECT * FROM queue_entry"),
            held_by_ana(workspace),
        )
        assert shown(app) == 3
        assert (streak(app), field_text(app, "negated")) == (status, card)
        await press(pilot, "u", "z")  # the later action can be undone
        assert shown(app) == 3
    assert workspace.states()[3] == "open"


def held_by_ana(workspace: WorkspaceFixture) -> list[Any]:
    return workspace.rows("SELECT candidate_id FROM lease ORDER BY candidate_id")


async def test_the_undo_is_also_refused_at_the_end_of_the_queue(make_workspace: Any, open_app: Any, join: Any) -> None:
    workspace = make_workspace(1)
    ben = join(workspace, "ben")
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await edit(pilot, " new")
        assert isinstance(app.screen, QueueEndScreen)
        ben.decide(2, Kind.ACCEPT)
        events = workspace.events()
        await press(pilot, "z")
        assert "ben has decided about your edit since" in lines(app)
        assert isinstance(app.screen, QueueEndScreen)
        assert sum(isinstance(screen, QueueEndScreen) for screen in app.screen_stack) == 1
        await press(pilot, "[")
        assert isinstance(app.screen, CurateScreen)
        assert shown(app) == 2
    assert workspace.events() == events
