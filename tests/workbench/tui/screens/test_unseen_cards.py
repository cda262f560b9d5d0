"""Tests of keys pressed before a card was drawn. The guard is an hour here."""

from __future__ import annotations

from typing import Any

from support.curating import lines, running, shown, until, wait_for_card
from support.workspaces import Case, press, settled

from curation_db.enums import Kind, Reason, Role
from curation_db.events.annotators import begin_session
from curation_db.search.candidate_history import timeline
from curation_db.storage.store import open_store
from workbench.tui.rendering.history import plain_lines
from workbench.tui.screens.adjudicate import AdjudicateScreen, AdjudicationStage
from workbench.tui.screens.curate import CurateScreen
from workbench.workspace.layout import Workspace

HOUR = 3600.0
DROPPED = "card just appeared: key ignored"


async def test_a_key_that_decides_about_a_new_card_is_dropped_with_a_message(
    make_workspace: Any, open_app: Any
) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace, guard_seconds=HOUR)
    async with running(app) as pilot:
        await settled(pilot)
        for key in ("a", "u", "space", "x"):
            await pilot.press(key)
            await until(pilot, lambda: DROPPED in lines(app))
            assert app.screen.question is None
            await pilot.press("question_mark", "escape")
        assert workspace.events() == []
        assert shown(app) == 1


async def test_other_keys_work_at_once_and_clear_the_message(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace, guard_seconds=HOUR)
    async with running(app) as pilot:
        await settled(pilot)
        await pilot.press("a")
        await until(pilot, lambda: DROPPED in lines(app))
        await pilot.press("f")
        await until(pilot, lambda: workspace.events() == [(1, "flag", None)] and DROPPED not in lines(app))


async def test_the_reason_after_a_dropped_rejection_opens_nothing(make_workspace: Any, open_app: Any) -> None:
    """Without the guard, p opens Progress, g the guidelines, b Browse and d the disagreements."""
    workspace = make_workspace(3)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)}, guard_seconds=HOUR)
    async with running(app) as pilot:
        await settled(pilot)
        for reason in "prgusdb":
            await pilot.press("x", reason)
            await pilot.pause()
            assert isinstance(app.screen, CurateScreen)
            assert app.screen.question is None
        assert workspace.events() == []
        await pilot.press("p")
        await until(pilot, lambda: not isinstance(app.screen, CurateScreen))


async def test_a_card_that_was_decided_before_takes_a_key_at_once(
    make_workspace: Any, open_app: Any, join: Any
) -> None:
    workspace = make_workspace(3)
    join(workspace, "ana").decide(1, Kind.ACCEPT)
    app = open_app(workspace, guard_seconds=HOUR)
    async with running(app) as pilot:
        await settled(pilot)
        assert shown(app) == 2
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: shown(app) == 1)
        await pilot.press("u")
        await until(pilot, lambda: workspace.events()[-1] == (1, "unsure", None))
        await pilot.press("z")
        await until(pilot, lambda: shown(app) == 1 and workspace.events()[-1][1] == "undo")
        await pilot.press("a")
        await until(pilot, lambda: workspace.events()[-1] == (1, "accept", None))


async def test_a_covered_card_does_not_count_as_seen(make_workspace: Any, open_app: Any) -> None:
    """The dwell time of a card starts with the frame that shows it."""
    workspace = make_workspace(3)
    app = open_app(workspace, guard_seconds=0.001, prefetch=False)
    async with running(app) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: not isinstance(app.screen, CurateScreen))
        app.session.start_prefetch()
        await until(pilot, lambda: app.session.prepared or app.session.current is not None)
        assert not app.session.card_visibility.is_seen
        await pilot.press("escape")
        await until(pilot, lambda: app.session.card_visibility.is_seen)
        assert shown(app) == 1


async def test_an_adjudicator_must_have_seen_the_card_too(make_workspace: Any, open_app: Any, join: Any) -> None:
    workspace = make_workspace(2, overlap="2")
    join(workspace, "ben").decide(1, Kind.ACCEPT)
    join(workspace, "cleo").decide(1, Kind.REJECT, reason=Reason.SCOPE)
    with open_store(workspace.root / "curation.db") as store:
        begin_session(store, "dan", version="test", role=Role.ADJUDICATOR)
    app = open_app(workspace, "dan", app={"workspace": Workspace(workspace.root)}, guard_seconds=HOUR)
    async with running(app) as pilot:
        await settled(pilot)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, AdjudicateScreen) and app.screen.shown is not None)
        for key in ("a", "x"):
            await pilot.press(key)
            await until(pilot, lambda: DROPPED in lines(app))
            assert app.screen.stage is AdjudicationStage.CARD
            await pilot.press("question_mark", "escape")


async def test_events_store_how_the_image_was_shown(make_workspace: Any, open_app: Any) -> None:
    cases = [Case(text="a dog without a hat"), Case(text="a cat without a hat"), Case(text="no hat", picture=False)]
    workspace = make_workspace(cases=cases)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a")
        await pilot.press("i")
        await until(pilot, lambda: app.screen.is_zoomed)
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.is_zoomed)
        await press(pilot, "u", "a")
        await until(pilot, lambda: len(workspace.events()) == 3)
    assert workspace.rows("SELECT candidate_id, picture, zoomed FROM event ORDER BY seq") == [
        (1, "cells", 0),
        (2, "cells", 1),
        (3, "none", 0),
    ]
    with workspace.store.read() as connection:
        lines = "\n".join(plain_lines(timeline(connection, 2), 120))
    assert "image in half cells · zoomed" in lines


def test_plain_mode_shows_no_image(make_workspace: Any, open_session: Any) -> None:
    workspace = make_workspace(1)
    session = open_session(workspace)
    wait_for_card(session)
    session.submit(Kind.ACCEPT)
    assert workspace.rows("SELECT picture, zoomed FROM event") == [("none", 0)]


async def test_going_back_starts_with_the_newest_decision(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(5)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a", "a", "a", "a")
        for number in (4, 3, 2, 1):
            await pilot.press("left_square_bracket")
            await until(pilot, lambda number=number: shown(app) == number)
        for number in (2, 3, 4):
            await pilot.press("right_square_bracket")
            await until(pilot, lambda number=number: shown(app) == number)
