"""Tests of the start of the app: the named screen opens without card, lease or key before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.curating import running, shown, until
from support.workspaces import press, settled
from textual._context import message_hook
from textual.events import Key

from curation_db.enums import Kind, Role
from workbench.tui.app import NegwbApp
from workbench.tui.results.app import ResultsApp
from workbench.tui.screens.adjudicate import AdjudicateScreen
from workbench.tui.screens.base.navigation import MainView
from workbench.workspace.layout import Workspace

MOMENTS = range(1, 80, 8)
"""Number of handled messages; the first frame follows about the sixtieth."""


async def left_after(app: Any, messages: int, action: Callable[[], None]) -> None:
    """Run the app, call `action` after a number of messages, and press q on the first screen."""
    seen = 0

    def hook(_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == messages:
            action()

    async def leave() -> None:
        while app._up_since is None or seen < messages:  # noqa: ASYNC110 -- there is no event for it
            await asyncio.sleep(0.01)
        while True:  # on another screen q returns to the card
            app.post_message(Key("q", "q"))
            await asyncio.sleep(0.2)

    message_hook.set(hook)
    leaving = asyncio.create_task(leave())
    await asyncio.wait_for(app.run_async(headless=True, size=(80, 24)), 60)
    leaving.cancel()


@pytest.mark.parametrize(
    "start",
    [
        None,
        *(pytest.param(v, marks=pytest.mark.long) for v in (MainView.BROWSE, MainView.ADJUDICATE, MainView.PROGRESS)),
    ],
)
def test_the_app_can_be_quit_at_any_moment_of_the_start(
    make_workspace: Any, open_session: Any, start: MainView | None
) -> None:
    workspace = make_workspace(3)
    for messages in MOMENTS:
        session = open_session(workspace, role=Role.ADJUDICATOR, prefetch=start is None)
        app = NegwbApp(session, workspace=Workspace(workspace.root), start=start)
        asyncio.run(left_after(app, messages, lambda app=app: app.post_message(Key("q", "q"))))
        session.close()
        assert (app.failure, app.return_code) == (None, 0), messages
    assert workspace.rows("SELECT * FROM lease") == []


def test_the_results_app_can_be_quit_at_any_moment_of_the_start(make_workspace: Any) -> None:
    workspace = make_workspace(1)
    for messages in MOMENTS:
        app = ResultsApp(Workspace(workspace.root), start="report")
        asyncio.run(left_after(app, messages, lambda app=app: app.post_message(Key("q", "q"))))
        assert (app.failure, app.return_code) == (None, 0), messages


@pytest.mark.parametrize(
    "start", [None, *(pytest.param(view, marks=pytest.mark.long) for view in (MainView.ADJUDICATE, MainView.BROWSE))]
)
def test_a_key_from_before_the_first_screen_has_no_effect(
    make_workspace: Any, open_session: Any, start: MainView | None
) -> None:
    workspace = make_workspace(3)
    for messages in (1, 5, 9):
        session = open_session(workspace, role=Role.ADJUDICATOR, prefetch=start is None)
        app = NegwbApp(session, workspace=Workspace(workspace.root), start=start)

        def type_ahead(app: NegwbApp = app) -> None:
            for key in ("a", "x", "p", "enter", "f"):
                app.post_message(Key(key, key if len(key) == 1 else None))

        asyncio.run(left_after(app, messages, type_ahead))
        session.close()
        assert app.failure is None
    assert workspace.events() == []


async def test_a_named_screen_opens_without_a_card_or_a_lease(
    make_workspace: Any, open_session: Any, join: Any
) -> None:
    workspace = make_workspace(3, overlap="2")
    join(workspace, "ben").decide(1, Kind.ACCEPT)
    app = NegwbApp(
        open_session(workspace, role=Role.ADJUDICATOR, prefetch=False),
        workspace=Workspace(workspace.root),
        start=MainView.ADJUDICATE,
    )
    async with running(app) as pilot:
        assert isinstance(app.screen, AdjudicateScreen)
        await until(pilot, lambda: app.screen._listed is not None)
        await pilot.press("a", "x", "p")
        assert (shown(app), app.session.current) == (None, None)
        assert workspace.rows("SELECT * FROM lease") == []
        await pilot.press("escape")
        await until(pilot, lambda: shown(app) is not None)
        await settled(pilot)
        await press(pilot, "a")
    assert [(kind) for _, kind, _ in workspace.events()] == ["accept", "accept"]


async def test_an_unexpected_error_ends_the_app_and_is_stored(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    error = KeyError("a bug")
    with pytest.raises(KeyError, match="a bug"):
        async with running(app) as pilot:
            await settled(pilot)
            app.call_later(_raise, error)
            await until(pilot, lambda: app.failure is not None)
    assert (app.failure, app.return_code) == (error, 1)
    assert app._exit_renderables == [], "Textual would print the values of all variables"


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(("value", "expected"), [("", False), ("1", True)])
def test_an_empty_no_color_is_none(
    make_workspace: Any, monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    assert ResultsApp(Workspace(make_workspace(1).root)).no_color is expected
