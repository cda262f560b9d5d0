"""Tests that side screens open and close and leave the card unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.results import lines, until
from support.screen_sizes import SIZES
from support.workspaces import HOSTILE, press, settled

from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.guidelines import GuidelinesScreen
from workbench.workspace.guidelines import MAX_BYTES, read_guidelines, shipped_guidelines
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
