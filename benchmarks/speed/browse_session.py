"""The browse room, measured: real keys, and the frame in which what they asked for stands.

A process of its own (`python -m benchmarks.speed.browse_session WORKSPACE`, views as JSON on stdin), so that its
memory is the app's. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.speed.curate_session import SIZE, Frames, peak_memory_mb, session_of
from workbench.tui.app import NegwbApp
from workbench.tui.screens.browse import BrowseScreen
from workbench.tui.screens.curate import CurateScreen
from workbench.workspace.layout import Workspace

if TYPE_CHECKING:
    from textual.pilot import Pilot

_PATIENCE = 20.0


class Looker:
    """Enters the room and types views."""

    def __init__(self, app: NegwbApp, pilot: Pilot[int]) -> None:
        self._app, self._pilot = app, pilot
        self._frames, self._seen = Frames(app), 0.0

    @property
    def room(self) -> BrowseScreen:
        """The room."""
        screen = self._app.screen
        assert isinstance(screen, BrowseScreen)
        return screen

    async def press(self, key: str, true: Callable[[str], bool]) -> float:
        """Milliseconds from the key to the frame of which it is so."""
        watch = self._watch(true)
        started = time.perf_counter()
        await self._pilot.press(key)
        await watch()
        return (self._seen - started) * 1000

    async def until(self, true: Callable[[str], bool]) -> None:
        """Wait for a frame of which it is so, unless it is so already."""
        watch = self._watch(true)
        if not true(""):
            await watch()

    def _watch(self, true: Callable[[str], bool]) -> Callable[[], Awaitable[object]]:
        done = asyncio.Event()

        def seen(frame: str) -> None:
            if not done.is_set() and true(frame):
                self._seen = time.perf_counter()
                done.set()

        self._frames.seen = seen
        return lambda: asyncio.wait_for(done.wait(), _PATIENCE)

    def shows(self, frame: str) -> bool:
        """Whether the row under the cursor is painted in full below the list, or there is none to paint."""
        if not isinstance(self._app.screen, BrowseScreen) or not self.room.is_mounted:
            return False
        table = self.room.table
        if not table.ids:
            return not self.room._counting
        return table.row is not None and next(word for word in table.row.text.split() if word.isdigit()) in frame

    async def enter(self) -> float:
        """From the key to the first page."""
        return await self.press("b", self.shows)

    async def whole(self) -> None:
        """Until the list is whole."""
        await self.until(lambda _: not self.room._counting)

    async def end(self) -> float:
        """From the key `end` to the last row."""
        return await self.press("end", lambda frame: self.room.table.cursor > 0 and self.shows(frame))

    async def view(self, line: str) -> float:
        """From enter to the rows."""
        await self._pilot.press("slash")
        self.room.bar.typed.value = line
        question = self.room._question
        took = await self.press("enter", lambda frame: self.room._question > question and self.shows(frame))
        await self.whole()
        return took


async def look(workspace: Workspace, lines: Sequence[str]) -> dict[str, Any]:
    """Enter, go to the end, type every view."""
    with session_of(workspace) as session:
        app = NegwbApp(session, protocol="halfcell", workspace=workspace)
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            looker = Looker(app, pilot)
            cards = app.screen
            assert isinstance(cards, CurateScreen)
            await looker.until(lambda _: cards.shown is not None)
            while not app.takes_input:
                await pilot.pause(0.01)
            empty = peak_memory_mb()
            entered = time.perf_counter()
            first = await looker.enter()
            await looker.whole()
            whole = (time.perf_counter() - entered) * 1000
            end = await looker.end()
            screen = [await looker.view(line) for line in lines]
            told = {"first_page_ms": first, "whole_ms": whole, "end_ms": end, "screen_ms": screen}
            session.on_change = lambda: None  # the screen is about to go, and the deck may still have something to say
            await pilot.pause()
    return {**told, "empty_rss_mb": empty, "rss_mb": peak_memory_mb()}


def main() -> int:
    """Look around in the workspace that the command line names."""
    told = asyncio.run(look(Workspace(Path(sys.argv[1])), json.loads(sys.stdin.read())))
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
