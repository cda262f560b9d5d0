"""The help screen lists one action per line."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import running, until
from support.workspaces import settled

from workbench.tui.screens.help import HelpScreen, KeyList
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
        text = str(app.screen.query_one(KeyList).render())
        for action in ActionMap().at(KeyScope.BROWSE, KeyScope.REASON):
            assert action.help in text
        assert ActionMap().at(KeyScope.HISTORY)[0].help in text, "how to go back"
        keys = max((ActionMap().caps(action) for action in ActionMap().at(KeyScope.BROWSE)), key=len)
        assert f" {keys}  " in text, "two blanks behind the longest keys"


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_each_action_is_on_one_line(make_workspace: Any, open_app: Any, size: tuple[int, int]) -> None:
    shown = await help_lines(make_workspace, open_app, size)
    for action in ActionMap().at(KeyScope.CARD, KeyScope.REASON):
        assert any(action.help in line for line in shown), action.help


async def test_a_long_description_is_folded_in_its_column(make_workspace: Any, open_app: Any) -> None:
    shown = await help_lines(make_workspace, open_app, (60, 20))
    column = next(line.index("True of") for line in shown if "True of the image" in line)
    followers = [line for line in shown if line.startswith(" " * 4)]
    assert followers, "some descriptions need a second line"
    assert {len(line) - len(line.lstrip()) for line in followers} == {column}


async def help_lines(make_workspace: Any, open_app: Any, size: tuple[int, int]) -> list[str]:
    """Open the help of the card; return its lines, which fit the dialog."""
    app = open_app(make_workspace(1))
    async with running(app, size) as pilot:
        await settled(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.pause()
        listed = app.screen.query_one(KeyList)
        shown = app.screen.lines(listed.size.width)
        assert listed.size.height == len(shown)
        assert all(line.cell_length <= listed.size.width for line in shown)
        return [line.plain for line in shown]
