"""The Browse screen in tests: opening it, waiting for its list, typing a query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.curating import until
from support.workspaces import Case, WorkspaceFixture, settled

from workbench.tui.screens.browse import BrowseScreen
from workbench.workspace.layout import Workspace

Open = Callable[..., Any]


def mixed(count: int = 9) -> list[Case]:
    """Create hats, on which judges disagree, and dogs, on which they agree."""
    return [
        Case(text=f"a man with no hat {n}", concept="hat", judges=(0.1, 0.9))
        if n % 3
        else Case(text=f"a park without a dog {n}", concept="dog", judges=(0.1, 0.2), siblings=("a dog in a park",))
        for n in range(1, count + 1)
    ]


def browse(app: Any) -> BrowseScreen:
    """Return the Browse screen from the stack."""
    return next(screen for screen in app.screen_stack if isinstance(screen, BrowseScreen))


def listed(app: Any) -> list[int]:
    """Return the ids in the list."""
    return list(browse(app).table.ids)


async def whole(pilot: Any) -> None:
    """Wait until the list is complete and its rows are loaded."""

    def is_whole() -> bool:
        if not isinstance(pilot.app.screen, BrowseScreen) or pilot.app.screen._counting:
            return False
        return not pilot.app.screen.table.ids or pilot.app.screen.table.row is not None

    await until(pilot, is_whole)


async def type_view(pilot: Any, line: str) -> None:
    """Replace the query by `line`: `/`, the text, enter."""
    await pilot.press("slash", "ctrl+u", "home", "ctrl+k")
    pilot.app.screen.bar.typed.value = line
    await pilot.press("enter")


async def entered(pilot: Any) -> None:
    """Open Browse from the card."""
    await settled(pilot)
    await pilot.press("b")
    await whole(pilot)


def opened(open_app: Open, workspace: WorkspaceFixture, **content: Any) -> Any:
    """Build an app with a workspace."""
    return open_app(workspace, app={"workspace": Workspace(workspace.root), **content.pop("app", {})}, **content)
