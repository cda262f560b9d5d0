"""The help screen lists one action per line."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import running, until
from support.workspaces import settled
from textual.widgets import Static

from workbench.tui.screens.help import HelpScreen
from workbench.workspace.keymap import ActionMap, KeyScope
from workbench.workspace.layout import Workspace


async def test_help_lists_the_keys_of_its_screen_and_of_the_questions_there(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with running(app, (120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("2", "question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.pause()
        text = str(app.screen.query_one("#help-scroll Static", Static).content)
        for action in ActionMap().at(KeyScope.BROWSE, KeyScope.REASON):
            assert action.help in text
        assert ActionMap().at(KeyScope.HISTORY)[0].help in text, "how to go back"
        keys = max((ActionMap().caps(action) for action in ActionMap().at(KeyScope.BROWSE)), key=len)
        assert f" {keys}  " in text, "two blanks behind the longest keys"


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_no_line_is_wrapped(make_workspace: Any, open_app: Any, size: tuple[int, int]) -> None:
    app = open_app(make_workspace(1))
    async with running(app, size) as pilot:
        await settled(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.pause()
        text = app.screen.query_one("#help-scroll Static", Static)
        assert text.size.height == len(str(text.content).splitlines())
