"""What is on the curate screen, and waiting for it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from workbench.annotation.models import PreparedCard
from workbench.annotation.session import AnnotationSession
from workbench.tui.app import NegwbApp
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.widgets.card.card import CardView

SIZE = (120, 36)
LONGEST_WAIT_S = 45.0
"""Far more than a slow machine needs, and less than the time limit of a test."""


@asynccontextmanager
async def running(app: NegwbApp, size: tuple[int, int] = SIZE) -> AsyncIterator[Any]:
    """The app in a terminal of this size, once keys have an effect."""
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.takes_input or not app.is_running)
        yield pilot


def shown(app: NegwbApp) -> int | None:
    """The candidate on the screen."""
    screen = next(each for each in app.screen_stack if isinstance(each, CurateScreen))
    return screen.shown.card.candidate_id if screen.shown else None


def field_text(app: NegwbApp, field: str) -> str:
    """Return the text of a field of the card; "" for none."""
    return app.screen.query_one(CardView).text_of(field)


def lines(app: NegwbApp) -> str:
    """Everything on the screen, as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip if not segment.control) for strip in strips)


async def until(pilot: Any, condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < deadline:
        await pilot.pause()
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the condition did not hold in time")


@contextmanager
def locked_record(root: Path) -> Iterator[None]:
    """Another process holds the record at `root` for so long."""
    other = sqlite3.connect(root / "curation.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("the condition did not hold in time")


def wait_for_card(session: AnnotationSession) -> PreparedCard:
    """Wait for the current card and return it."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < deadline:
        if (ready := session.current_card()) is not None:
            return ready
        time.sleep(0.005)
    raise AssertionError("no card was shown in time")


def wait_for_end(session: AnnotationSession) -> None:
    """Wait for the end of the queue."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < deadline:
        if session.current_card() is None and session.finished:
            return
        time.sleep(0.005)
    raise AssertionError("the queue did not end")


def current_id(session: AnnotationSession) -> int:
    return wait_for_card(session).card.candidate_id
