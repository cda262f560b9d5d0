"""Commands of [commands] on a card: the key runs the line beside the screen; help and palette list it."""

from __future__ import annotations

from typing import Any

from support.curating import lines, running, until
from support.workspaces import Case, press, settled

from workbench.commands.decide.curate import CurateOptions, _actions
from workbench.commands.decide.serve import _command
from workbench.tui.screens.help import HelpScreen, KeyList
from workbench.workspace.keymap import ActionMap
from workbench.workspace.layout import Workspace
from workbench.workspace.own_commands import OwnCommand
from workbench.workspace.settings.settings import Settings

COMMANDS = (
    OwnCommand(name="log", key="f6", run="printf '%s %s' {id} {negated} > log; basename {image}", help="To the log"),
    OwnCommand(name="fail", key="f7", run="echo no such thing; exit 4"),
    OwnCommand(name="slow", key="f8", run="until [ -e go ]; do sleep 0.02; done; echo went"),
)


async def test_a_key_runs_its_line_without_blocking_other_keys(make_workspace: Any, open_app: Any) -> None:
    text = "a woman without a $(touch owned) hat"
    workspace = make_workspace(cases=[Case(text=text), Case(picture=False)])
    app = open_app(workspace, app={"actions": ActionMap(commands=COMMANDS)})
    async with running(app) as pilot:
        await settled(pilot)
        await pilot.press("f8")
        await until(pilot, lambda: "slow is running" in lines(app))
        await pilot.press("f6")
        await until(pilot, lambda: "log: 001.png" in lines(app))
        assert (workspace.root / "log").read_text() == f"1 {text}"
        assert not (workspace.root / "owned").exists()
        await pilot.press("f7")
        await until(pilot, lambda: "fail failed (4): no such thing" in lines(app))
        await press(pilot, "a")
        assert workspace.events() == [(1, "accept", None)]
        await pilot.press("f6")
        await until(pilot, lambda: "log needs the image, which is missing" in lines(app))
        (workspace.root / "go").touch()
        await until(pilot, lambda: "slow: went" in lines(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        shown = str(app.screen.query_one(KeyList).render())
        assert "YOUR COMMANDS" in shown
        assert "To the log" in shown
        await pilot.press("escape")
        listed = {command.title: command.help for command in app.get_system_commands(app.screen)}
        assert listed["log  (f6)"] == "To the log"


def test_a_page_of_serve_has_no_commands_unless_it_is_allowed(monkeypatch: Any, tmp_path: Any) -> None:
    settings = Settings(commands=COMMANDS)
    assert _actions(settings, CurateOptions()).commands.keys() == {"log", "fail", "slow"}
    monkeypatch.setenv("TEXTUAL_DRIVER", "textual.drivers.web_driver:WebDriver")
    assert _actions(settings, CurateOptions()).commands == {}
    assert _actions(settings, CurateOptions(allow_commands=True)).commands.keys() == {"log", "fail", "slow"}
    page = _command(Workspace(tmp_path), None, blind=False)
    assert "--allow-commands" not in page
    assert _command(Workspace(tmp_path), None, blind=False, allow_commands=True) == f"{page} --allow-commands"
