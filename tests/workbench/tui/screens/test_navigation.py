"""Tests that side screens open and close and leave the card unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.curating import running
from support.results import build_workspace, fill_results, lines, make_run, until
from support.screen_sizes import SIZES
from support.workspaces import HOSTILE, press, settled

from workbench.tui.results.app import ResultsApp
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.guidelines import GuidelinesScreen
from workbench.workspace.guidelines import MAX_BYTES, read_guidelines, shipped_guidelines
from workbench.workspace.keymap import ActionMap, KeyScope, Tab
from workbench.workspace.layout import Workspace


@pytest.mark.parametrize("size", SIZES)
async def test_one_key_opens_the_guidelines_and_the_card_stays(make_workspace: Any, open_app: Any, size: Any) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, GuidelinesScreen) and "In this order" in lines(app))
        assert "negwb's default" in lines(app)
        await pilot.press("pagedown", "question_mark")
        await until(pilot, lambda: "Close the screen" in lines(app))
        assert "It is true, and someone could say it" not in lines(app), "the card's keys do nothing here"
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        await press(pilot, "a")
        assert workspace.events() == [(1, "accept", None)]


async def test_the_guidelines_of_the_workspace_are_read_again_as_plain_text(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    own = workspace.root / "guidelines.md"
    own.write_text("# Ours\n\n" + "\n\n".join(text[:500] for text in HOSTILE.values()) + "\n\n[home](http://x.y)\n")
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("g")
        await until(pilot, lambda: "Ours" in lines(app) and "[@click=app.quit]x[/] no cat" in lines(app))
        own.write_text("# Corrected\n")
        await pilot.press("q", "g")
        await until(pilot, lambda: "Corrected" in lines(app))


def test_unreadable_guidelines_are_reported_and_the_default_is_shown(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert read_guidelines(workspace).own is False
    workspace.guidelines.write_bytes(b"x" * (MAX_BYTES + 1))
    content = read_guidelines(workspace)
    assert (content.text, "larger" in content.problem) == (shipped_guidelines(), True)
    workspace.guidelines.unlink()
    workspace.guidelines.mkdir()
    assert "directory" in read_guidelines(workspace).problem.lower()


def test_the_default_guidelines_have_every_reason_with_its_key() -> None:
    from curation_db.enums import REASON_KEYS

    text = shipped_guidelines()
    assert all(f"| `{key}` |" in text for key in REASON_KEYS)


DIGITS = {tab: str(number % 10) for number, tab in enumerate(Tab, 1)}


def shows(app: Any, tab: Tab) -> bool:
    return app.tab is tab and getattr(app.screen, "TAB", None) is tab


async def test_digits_open_tabs_and_escape_returns_to_the_card(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with running(app) as pilot:
        await settled(pilot)
        for tab in (Tab.SETTINGS, Tab.RUNS, Tab.GUIDELINES):
            await pilot.press(DIGITS[tab])
            await until(pilot, lambda tab=tab: shows(app, tab))
            assert len(app.screen_stack) == 2, "a tab replaces the previous one"
        await pilot.press(DIGITS[Tab.GUIDELINES])
        await until(pilot, lambda: "guidelines is open already" in lines(app))
        await pilot.press(DIGITS[Tab.ADJUDICATE])
        await until(pilot, lambda: "only adjudicators" in lines(app))
        await pilot.press("escape", "x", DIGITS[Tab.BROWSE], "p", "a")
        await until(pilot, lambda: len(workspace.events()) == 2)
    assert workspace.events() == [(1, "reject", "present"), (2, "accept", None)], "no tab opens during a question"


@pytest.mark.long
async def test_every_tab_opens_from_every_screen(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(3)
    root = Workspace(workspace.root)
    fill_results(root)
    make_run(root, "first")
    app = open_app(workspace, app={"workspace": root})
    async with running(app) as pilot:
        await settled(pilot)
        for tab in (each for each in Tab if each not in (Tab.ADJUDICATE, Tab.CURATE)):
            for key, wanted in ((DIGITS[tab], tab), ("escape", Tab.CURATE), (DIGITS[tab], tab), ("1", Tab.CURATE)):
                await pilot.press(key)
                await until(pilot, lambda wanted=wanted: shows(app, wanted))
        for tab in (Tab.REPORT, Tab.BROWSE):
            await pilot.press(DIGITS[Tab.REPORT])
            await until(pilot, lambda: "demo-negref" in lines(app))
            await pilot.press("enter", "i", DIGITS[tab])  # two screens above the report
            await until(pilot, lambda tab=tab: shows(app, tab) and len(app.screen_stack) == 2)
            await pilot.press("escape")
            await until(pilot, lambda: shows(app, Tab.CURATE))


async def test_the_results_app_says_which_command_opens_the_other_tabs(tmp_path: Path) -> None:
    app = ResultsApp(build_workspace(tmp_path / "ws"))
    async with running(app) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "negwb progress" in lines(app))
        await pilot.press("0")
        await until(pilot, lambda: app.tab is Tab.REPORT)
        await pilot.press("escape")
    assert not app.is_running


def test_a_digit_of_the_user_is_free_of_its_tab() -> None:
    actions = ActionMap({"accept": "a,1", "screen-browse": "f7"})
    keys = {action.tab: actions.keys(action) for action in actions.tabs(KeyScope.CARD)}
    assert (keys[Tab.CURATE], keys[Tab.BROWSE], keys[Tab.PROGRESS]) == ([], ["f7"], ["4"])
    assert actions.cap_of("screen-curate") == ""
