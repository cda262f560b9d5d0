"""The log of the session: each act with its command, to copy."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import lines, running, until
from support.workspaces import press, settled

from workbench.tui.app import NegwbApp
from workbench.tui.screens.modals.log import LogModal


@pytest.mark.parametrize("size", [(120, 36), pytest.param((80, 24), marks=pytest.mark.long)])
async def test_the_log_lists_the_acts_and_copies_their_commands(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    copied: list[str] = []
    monkeypatch.setattr(NegwbApp, "copy_to_clipboard", lambda self, text: copied.append(text))
    workspace = make_workspace(4)
    app = open_app(workspace)
    async with running(app, size) as pilot:
        await settled(pilot)
        await pilot.press("L")
        await until(pilot, lambda: "You have done nothing yet" in lines(app))
        await pilot.press("y", "Y", "j", "escape")
        await press(pilot, "a", "x")
        await press(pilot, "p", "z")
        app.session.acts.without_command("accept, of a selection")
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, LogModal) and "negwb decide 1 accept" in lines(app))
        shown = lines(app)
        assert shown.index("accept, of a selection") < shown.index("undo: reject") < shown.index("reject: present")
        assert "negwb decide 2 reject --reason present -a ana" in shown
        await pilot.press("y")
        await until(pilot, lambda: "no command does this" in lines(app))
        await pilot.press("j", "y", "j", "enter", "Y", "L")
        await until(pilot, lambda: not isinstance(app.screen, LogModal))
    script = [
        "negwb decide 1 accept -a ana",
        "negwb decide 2 reject --reason present -a ana",
        "negwb undo -a ana",
        "# accept, of a selection: no command does this",
    ]
    assert copied == [script[2], script[1], "".join(f"{line}\n" for line in script)]
    assert [kind for _, kind, _ in workspace.events()] == ["accept", "reject", "undo"]
