"""Every key that a screen shows has an effect, or the screen shows why it has none."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import running, until
from support.results import fill_results, lines, make_run
from support.workspaces import settled

from workbench.tui.app import NegwbApp
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.widgets.lines.key_hints import KeyHints
from workbench.workspace.layout import Workspace

SIZES = [(120, 36), (80, 24), (60, 20)]
PATHS = {
    "browse": (["2"], "of 4"),
    "progress": (["4"], "as of now"),
    "history": (["5"], "imported"),
    "guidelines": (["6"], "In this order"),
    "settings": (["7"], "order"),
    "generate": (["8"], "No generation yet"),
    "runs": (["9"], "second"),
    "compare": (["9", "space", "down", "c"], "differ"),
    "report": (["0"], "demo-negref"),
    "slices": (["0", "down", "enter"], "all items"),
    "items": (["0", "i"], "of 20"),
    "item": (["0", "i", "enter"], "1 of"),
    "scatter": (["0", "s"], "right %"),
}
"""The keys that lead to each screen from the card, and a text of the screen."""


AGAIN = {"compare": ["9", "down", "c"]}
"""The keys for a later visit: a run stays marked."""


def state(app: Any) -> tuple[str, list[int]]:
    return lines(app), [id(screen) for screen in app.screen_stack]


def shown_keys(app: Any) -> list[str]:
    screen = app.screen
    assert isinstance(screen, ActionScreen)
    ids = screen.pane_ids | screen.query_one(KeyHints).shown_ids
    return [screen.actions.keys(action)[0] for action in screen.actions.at(screen.place) if action.id in ids]


async def go(app: Any, pilot: Any, keys: list[str]) -> None:
    """Go back to the card, and open a screen from there."""
    for _ in range(9):
        if isinstance(app.screen, CurateScreen):
            break
        await pilot.press("escape")
        await pilot.pause(0.05)
    assert isinstance(app.screen, CurateScreen), "escape leads back from everywhere"
    for key in keys:
        before = state(app)
        await pilot.press(key)
        await until(pilot, lambda before=before: state(app) != before)
        await until(pilot, lambda key=key: key != "9" or "second" in lines(app))


@pytest.fixture
def everything(make_workspace: Any) -> Any:
    workspace = make_workspace(4)
    root = Workspace(workspace.root)
    fill_results(root)
    make_run(root, "first")
    make_run(root, "second", 20, guard=True)
    return workspace


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PATHS)
async def test_every_shown_key_has_an_effect_or_a_reason(
    everything: Any, open_app: Any, name: str, size: tuple[int, int]
) -> None:
    path, text = PATHS[name]
    app: NegwbApp = open_app(everything, app={"workspace": Workspace(everything.root)})
    async with running(app, size) as pilot:
        await settled(pilot)
        await go(app, pilot, path)
        await until(pilot, lambda: text in lines(app))
        keys = shown_keys(app)
        assert len(keys) >= 2, "at least back and help"
        assert {"question_mark", "escape"} <= set(keys), "help and back are shown at every size"
        for key in keys:
            await go(app, pilot, AGAIN.get(name, path))
            await until(pilot, lambda: text in lines(app))
            before = state(app)
            await pilot.press(key)
            await until(pilot, lambda before=before: state(app) != before)
    if name != "browse":  # where keys decide about the row
        assert everything.events() == []


async def test_keys_in_a_border_lose_their_grey_once_they_apply(everything: Any, open_app: Any) -> None:
    app: NegwbApp = open_app(everything, app={"workspace": Workspace(everything.root)})
    async with running(app, (120, 36)) as pilot:
        await settled(pilot)
        await go(app, pilot, ["0"])
        table = app.screen.query_one("#table")
        await until(pilot, lambda: "demo-negref" in lines(app))
        await until(pilot, lambda: "i items" in str(table._border_subtitle))
        await until(pilot, lambda: key_style(table, "items") == "bold $text-accent")


def key_style(pane: Any, label: str) -> str:
    """Return the style of the key before a label in the lower border."""
    line = pane._border_subtitle
    key = line.plain.index(f" {label}") - 1
    return next(str(span.style) for span in line.spans if span.start <= key < span.end and str(span.style))
