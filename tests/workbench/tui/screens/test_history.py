"""Tests of History with real keys: all events of a card, hidden parts before the decision, hostile text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.results import lines, until
from support.screen_sizes import SIZES
from support.workspaces import HOSTILE, Case, press, settled
from typer.testing import CliRunner

from curation_db.enums import Kind, Reason, Stream
from curation_db.review.decisions import PresentationContext
from workbench.cli import app as negwb
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.history import HistoryScreen
from workbench.workspace.layout import Workspace

BLIND = PresentationContext(Stream.AUDIT, blind=True)


async def enter(app: Any, pilot: Any) -> None:
    await settled(pilot)
    await pilot.press("h")
    await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and "imported" in lines(app))


@pytest.mark.parametrize("size", SIZES)
async def test_the_history_of_a_card(make_workspace: Any, open_app: Any, join: Any, size: tuple[int, int]) -> None:
    workspace = make_workspace(2, overlap="2")
    ben = join(workspace, "ben")
    ben.note(workspace.ids[0], "look at the left edge")
    ben.decide(workspace.ids[0], Kind.REJECT, reason=Reason.SCOPE)
    ben.undo()
    ben.decide(workspace.ids[0], Kind.ACCEPT)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await press(pilot, "a", "[")
        await enter(app, pilot)
        for expected in ("#1", "judge-0", "look at the left edge", "reject: scope   undone", "undid: reject"):
            await until(pilot, lambda expected=expected: expected in lines(app))
        await pilot.press("j", "k", "space", "pageup", "escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        await press(pilot, "a")
        assert workspace.events()[-1] == (1, "accept", None)


async def test_decisions_of_others_are_shown_after_ones_own(make_workspace: Any, open_app: Any, join: Any) -> None:
    """The history of a card that waits for a second vote shows notes and verdicts, but not the first vote."""
    workspace = make_workspace(2, overlap="2")
    ben = join(workspace, "ben")
    ben.note(workspace.ids[0], "look at the left edge")
    ben.decide(workspace.ids[0], Kind.REJECT, reason=Reason.SCOPE)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with app.run_test(size=(80, 24)) as pilot:
        await enter(app, pilot)
        content = lines(app)
        assert "decisions of others are hidden until you have decided" in content
        assert "look at the left edge" in content
        assert "judge-0" in content
        assert not [word for word in ("reject", "scope", "waits") if word in content]
        await pilot.press("escape")
        await press(pilot, "a", "[")
        await enter(app, pilot)
        await until(pilot, lambda: "reject: scope" in lines(app))
        assert "hidden" not in lines(app)


async def test_an_edit_marks_the_difference(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("e")
        await until(pilot, lambda: "edit the negated caption" in lines(app))
        await pilot.press(*" again", "enter")
        await settled(pilot)
        await press(pilot, "[")
        await enter(app, pilot)
        content = lines(app)
        assert "was        a woman not wearing hat number 0   #1" in content
        assert "this card  a woman not wearing hat number 0 «again»   #2" in content
        assert "edited it into #2" in content


async def test_an_undecided_audit_card_hides_its_history(make_workspace: Any, open_app: Any, join: Any) -> None:
    workspace = make_workspace(2, audit_rate=1.0, overlap="2")
    ben = join(workspace, "ben")
    for number in workspace.ids:  # either is the first card
        ben.decide(number, Kind.REJECT, reason=Reason.GRATUITOUS, shown=BLIND)
    app = open_app(workspace, audit_share=1.0, app={"workspace": Workspace(workspace.root)})
    async with app.run_test(size=(120, 36)) as pilot:
        await enter(app, pilot)
        content = lines(app)
        assert "hidden until you have decided" in content
        assert not [word for word in ("ben", "judge-", "gratuitous", "waits", "absent") if word in content]
        await pilot.press("escape")
        await press(pilot, "a", "[")
        await enter(app, pilot)
        await until(pilot, lambda: "gratuitous" in lines(app) and "judge-0" in lines(app))
        await pilot.press("escape")
        await press(pilot, "z")
        await enter(app, pilot)
        assert "gratuitous" not in lines(app), "the label was taken back"


async def test_a_blind_session_hides_the_history(make_workspace: Any, open_app: Any, join: Any) -> None:
    workspace = make_workspace(1, overlap="2")
    join(workspace, "ben").decide(workspace.ids[0], Kind.ACCEPT)
    app = open_app(workspace, blind=True, app={"workspace": Workspace(workspace.root)})
    async with app.run_test(size=(80, 24)) as pilot:
        await enter(app, pilot)
        assert not [word for word in ("ben", "judge-") if word in lines(app)]


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
async def test_hostile_text_is_plain_text(make_workspace: Any, open_app: Any, join: Any, size: tuple[int, int]) -> None:
    hostile = HOSTILE["link"] + HOSTILE["closing"] + HOSTILE["escape"] + HOSTILE["bidi"]
    workspace = make_workspace(
        cases=[Case(caption=text, text=text, concept=text[:200], raw=text[:500]) for text in HOSTILE.values()],
        overlap="2",
    )
    ben = join(workspace, "ben [@click=app.quit]x[/]")
    for number in workspace.ids:
        ben.note(number, hostile)
        ben.decide(number, Kind.ACCEPT)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with app.run_test(size=size) as pilot:
        for number in workspace.ids:
            await enter(app, pilot)
            assert f"#{number}" in lines(app)
            await pilot.press("pagedown", "pagedown")
            await until(pilot, lambda: "ben [@click" in lines(app))
            await pilot.press("escape")
            await press(pilot, "u")


async def test_from_browse_it_shows_the_candidate_under_the_cursor(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("b")
        await until(pilot, lambda: "hat number 2" in lines(app))
        await pilot.press("j", "5")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and "imported" in lines(app))
        number = app.screen.navigation.candidate
        assert number is not None
        assert number != 1
        assert f"hat number {number - 1}" in lines(app)


async def test_without_a_card_it_shows_a_message(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "a")
        await until(pilot, lambda: "Your queue is empty" in lines(app))
        await pilot.press("h")
        await until(pilot, lambda: "No card is open" in lines(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Your queue is empty" in lines(app))


def test_the_command_lists_the_whole_history(make_workspace: Any, join: Any) -> None:
    workspace = make_workspace(cases=[Case(text=HOSTILE["escape"])])
    join(workspace, "ben").decide(workspace.ids[0], Kind.REJECT, reason=Reason.SCOPE)
    done = CliRunner().invoke(negwb, ["-w", str(workspace.root), "history", "k1"])
    assert done.exit_code == 0
    assert "reject: scope" in done.stdout
    assert "\x1b" not in done.stdout
    content = json.loads(CliRunner().invoke(negwb, ["-w", str(workspace.root), "history", "1", "--json"]).stdout)
    assert [moment["what"] for moment in content["moments"]] == ["origin", "verdict", "verdict", "action"]
    assert content["moments"][-1]["actor"] == "ben"
    assert content["members"][0]["state"] == "rejected"
