"""Measures the browse screen with real keys, until the frame that shows the result.

A separate process (`python -m benchmarks.speed.support.browse_session WORKSPACE`, views as JSON on stdin), so that its
memory is that of the app. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.speed.support.curate_session import SIZE, Frames, peak_memory_mb, session_of
from workbench.tui.app import NegwbApp
from workbench.tui.screens.browse import BrowseScreen
from workbench.tui.screens.curate import CurateScreen
from workbench.workspace.layout import Workspace

if TYPE_CHECKING:
    from textual.pilot import Pilot

_PATIENCE = 20.0


class BrowseDriver:
    """Opens the browse screen and enters views."""

    def __init__(self, app: NegwbApp, pilot: Pilot[int]) -> None:
        self._app, self._pilot = app, pilot
        self._frames, self._seen = Frames(app), 0.0

    @property
    def browse_screen(self) -> BrowseScreen:
        """The browse screen, which must be on top."""
        screen = self._app.screen
        assert isinstance(screen, BrowseScreen)
        return screen

    async def press(self, key: str, condition: Callable[[], bool]) -> float:
        """Press `key`; return the milliseconds until a frame fulfils `condition`."""
        watch = self._watch(condition)
        started = time.perf_counter()
        await self._pilot.press(key)
        await watch()
        return (self._seen - started) * 1000

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a frame fulfils `condition`, unless this holds already."""
        watch = self._watch(condition)
        if not condition():
            await watch()

    def _watch(self, condition: Callable[[], bool]) -> Callable[[], Awaitable[object]]:
        done = asyncio.Event()

        def seen(_: str) -> None:
            if not done.is_set() and condition():
                self._seen = time.perf_counter()
                done.set()

        self._frames.seen = seen
        return lambda: asyncio.wait_for(done.wait(), _PATIENCE)

    def shows(self) -> bool:
        """Return whether the row under the cursor is shown in full below the list, or the list is empty."""
        if not isinstance(self._app.screen, BrowseScreen) or not self.browse_screen.is_mounted:
            return False
        table = self.browse_screen.table
        if table.is_stale:  # the dimmed rows of the list before
            return False
        if not table.ids:
            return not self.browse_screen._counting
        # A frame has only the cells that differ, so the number is looked for on the whole screen.
        return table.row is not None and next(filter(str.isdigit, table.row.text.split())) in self._app.drawn.text

    async def open(self) -> float:
        """Open the browse screen; return the milliseconds until the first page."""
        return await self.press("b", self.shows)

    async def wait_complete(self) -> None:
        """Wait until the list is complete."""
        await self.until(lambda: not self.browse_screen._counting)

    async def end(self) -> float:
        """Press `end`; return the milliseconds until the last row is shown."""
        return await self.press("end", lambda: self.browse_screen.table.cursor > 0 and self.shows())

    async def view(self, line: str) -> float:
        """Enter a view; return the milliseconds from the key enter until its rows are shown."""
        await self._pilot.press("slash")
        self.browse_screen.bar.typed.value = line
        question = self.browse_screen._question
        elapsed = await self.press("enter", lambda: self.browse_screen._question > question and self.shows())
        await self.wait_complete()
        return elapsed


async def measure_browsing(workspace: Workspace, lines: Sequence[str]) -> dict[str, Any]:
    """Open the browse screen, go to the end, enter every view; return the times and the memory."""
    with session_of(workspace) as session:
        app = NegwbApp(session, protocol="halfcell", workspace=workspace)
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            driver = BrowseDriver(app, pilot)
            cards = app.screen
            assert isinstance(cards, CurateScreen)
            await driver.until(lambda: cards.shown is not None)
            while not app.takes_input:
                await pilot.pause(0.01)
            empty = peak_memory_mb()
            entered = time.perf_counter()
            first = await driver.open()
            await driver.wait_complete()
            whole = (time.perf_counter() - entered) * 1000
            end = await driver.end()
            screen = [await driver.view(line) for line in lines]
            times = {"first_page_ms": first, "whole_ms": whole, "end_ms": end, "screen_ms": screen}
            session.on_change = lambda: None  # the prefetcher may report a change while the screen closes
            await pilot.pause()
    return {**times, "empty_rss_mb": empty, "rss_mb": peak_memory_mb()}


def main() -> int:
    """Measure the workspace that the command line names."""
    measured = asyncio.run(measure_browsing(Workspace(Path(sys.argv[1])), json.loads(sys.stdin.read())))
    sys.stdout.write(json.dumps(measured) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
