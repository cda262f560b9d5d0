"""Tests that only the keys of the reason menu have an effect while it is open."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.curating import lines, running, shown, until
from support.workspaces import press, settled
from textual.events import Key

from workbench.tui.screens.curate import CurateScreen
from workbench.tui.widgets.lines.key_hints import KeyHints
from workbench.workspace.keymap import ActionMap, KeyScope

REASONS = {key for action in ActionMap().at(KeyScope.REASON) for key in ActionMap().keys(action)}
SUSPEND = {"ctrl+z"}  # suspends from everywhere
OTHERS = sorted(
    {key for action in ActionMap().at(KeyScope.CARD) for key in ActionMap().keys(action)} - REASONS - SUSPEND
)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_other_keys_only_show_that_they_are_no_answer_in_the_reason_menu(
    make_workspace: Any, open_app: Any, size: tuple[int, int]
) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app, size) as pilot:
        await settled(pilot)
        await press(pilot, "x")
        before = lines(app)
        assert {"q", "question_mark", "f1", "f2", "f4", "ctrl+p", "a", "z", "j"} <= set(OTHERS)
        for key in [*OTHERS, "enter", "tab", "1", "Q", "y"]:
            await press(pilot, key)
            assert app.is_running
            assert isinstance(app.screen, CurateScreen), key
            assert (
                re.sub(r"\S+ is not an answer · esc cancels", lambda found: " " * len(found[0]), lines(app)) == before
            )
        assert "y is not an answer" in lines(app)
        assert workspace.events() == []
        await press(pilot, "p")
    assert workspace.events() == [(1, "reject", "present")]
    assert app.theme == "negwb-dark"


async def test_keys_typed_before_the_reason_menu_opens_do_not_quit(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        for key in ("x", "q", "question_mark", "s"):  # in one read, as over a slow connection
            app.post_message(Key(key, None))
        await until(pilot, lambda: len(workspace.events()) == 1)
        assert app.is_running
        assert isinstance(app.screen, CurateScreen)
    assert workspace.events() == [(1, "reject", "scope")]


async def test_user_defined_keys_do_nothing_in_the_reason_menu(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace, app={"actions": ActionMap({"quit": "f10,k", "scroll-up": "up"})})
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "x", "k", "f10")
        assert app.is_running
        await press(pilot, "escape")
        await pilot.press("k")
        await until(pilot, lambda: not app.is_running)
    assert app.return_code == 0


async def test_the_key_hints_show_and_run_only_actions_that_apply(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        whole = app.screen.query_one(KeyHints).render().plain
        await press(pilot, "x")
        assert app.screen.query_one(KeyHints).render().plain.strip() == "esc cancel"
        await pilot.click("#keys", offset=(2, 0))
        await settled(pilot)
        assert "reject because" not in lines(app)
        assert app.screen.query_one(KeyHints).render().plain == whole
        assert shown(app) == 1
    assert workspace.events() == []


async def test_ctrl_q_quits_and_ctrl_c_shows_how(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "x", "ctrl+c")
        assert "to quit the app" in lines(app)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: not app.is_running)
    assert workspace.events() == []


async def test_escape_or_another_card_closes_the_reason_menu(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "x", "escape", "question_mark")
        assert not isinstance(app.screen, CurateScreen)
        await press(pilot, "escape", "x", "b", "a")
    assert workspace.events() == [(1, "reject", "bad_image"), (2, "accept", None)]
