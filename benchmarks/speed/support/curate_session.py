"""Measures an annotation session: real keys into the real app, until the next card is painted.

A separate process (`python -m benchmarks.speed.support.curate_session WORKSPACE PRESSES`), so that its memory is that
of the app. Every frame is rendered to the bytes for a true-colour terminal; a card is painted with the first frame that
contains its text. Prints one JSON object: milliseconds per press, and the memory. With
`--bytes`, it accepts cards and prints the bytes that each sends to the terminal, and the least that it needs.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Console
from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import CompositorUpdate
from textual.app import App, ComposeResult
from textual.widgets import Static

from benchmarks.speed.support.big_record import PERSON
from benchmarks.speed.support.least_bytes import Grid, grid, least_bytes
from curation_db.queue.ordering import OLDEST
from workbench.annotation.open import open_session, session_settings
from workbench.annotation.text_spans import OPENS
from workbench.tui.app import NegwbApp
from workbench.tui.base_app import BaseApp
from workbench.tui.frame_diff import Update
from workbench.tui.gc_control import manual_gc
from workbench.tui.screens.curate import CurateScreen
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.settings import read_settings

if TYPE_CHECKING:
    from textual.pilot import Pilot
    from textual.screen import Screen

    from workbench.annotation.models import PreparedCard
    from workbench.annotation.session import AnnotationSession

SIZE = (120, 36)
EMPTY = "--empty"
BYTES = "--bytes"
_DECISION_KEYS = (
    "a",
    "a",
    "xp",
    "a",
    "u",
    "a",
    "xg",
    "a",
    "a",
    " ",
    "a",
    "xs",
    "a",
    "a",
    "xr",
    "a",
    "u",
    "a",
    "xu",
    " ",
)
"""A cycle of decisions; of two keys, the second one decides."""
_KEY_NAMES = {" ": "space"}
_MIN_HALF_CELLS = 200
"""A frame with more half blocks than this contains an image."""
_TIMEOUT_S = 20.0
_SETTLED_S = 0.25
"""Until the panel and the status of a card are drawn, too; less than the action line is shown."""


class Frames:
    """Renders every frame of an app as for a terminal and passes it to a callback."""

    def __init__(self, app: App[int]) -> None:
        self.seen: Callable[[str], None] = lambda _: None
        """Callback for every frame."""
        self._terminal = Console(
            file=io.StringIO(), force_terminal=True, color_system="truecolor", width=SIZE[0], height=SIZE[1]
        )
        self._app = app
        self._display = app._display
        app._display = self._draw  # type: ignore[method-assign]

    def _draw(self, screen: Screen[Any], renderable: Any) -> None:
        # Without a terminal Textual omits this step, from the frame's segments to bytes.
        frame = self._update(screen, renderable)
        self._display(screen, renderable)
        self.seen(frame)

    def _update(self, screen: Screen[Any], renderable: Any) -> str:
        if isinstance(self._app, BaseApp) and isinstance(renderable, Update):
            renderable = self._app.changed_cells(screen, renderable)
        if not isinstance(renderable, CompositorUpdate):
            return ""
        cursor = self._app.cursor_position
        return f"{SYNC_START}{renderable.render_segments(self._terminal)}\x1b[{cursor.y + 1};{cursor.x + 1}H{SYNC_END}"


class EmptyApp(App[int]):
    """The smallest app that reacts to a key: it changes a number."""

    BINDINGS: ClassVar = [("a", "count", "")]
    number = 10_000

    def compose(self) -> ComposeResult:
        """Compose the number."""
        yield Static(str(self.number), markup=False)

    def action_count(self) -> None:
        """Increase the number."""
        self.number += 1
        self.query_one(Static).update(str(self.number))


class CardWatch:
    """Records when the next card is painted: its text and its image."""

    def __init__(self, app: NegwbApp, screen: CurateScreen) -> None:
        self._app, self._screen = app, screen
        self._before = screen.shown
        self._done = asyncio.Event()
        self.text = self.image = 0.0
        self.started = time.perf_counter()

    def __call__(self, frame: str) -> None:
        """Handle a frame."""
        now = time.perf_counter()
        ready = self._screen.shown
        if ready is None or ready is self._before:
            return
        if not self.text and self._text_drawn(ready):
            self.text = now
        if not self.image and self._image_drawn(ready):
            self.image = now
        if self.text and self.image:
            self._done.set()

    def _text_drawn(self, ready: PreparedCard) -> bool:
        """Return whether the card's caption and its negation are on the screen."""
        text = self._app.drawn.text
        marker = next(part for part in ready.card.text.split() if part.isdigit())
        return self._screen.is_card_drawn and text.count(marker) >= 2 and OPENS in text

    def _image_drawn(self, ready: PreparedCard) -> bool:
        picture = self._screen.picture
        is_drawn = picture.thumbnail is ready.thumbnail and not picture.is_stale
        return is_drawn and self._app.drawn.text.count("▀") > _MIN_HALF_CELLS

    async def painted(self) -> tuple[float, float]:
        """Return the milliseconds from the start to the text and to the image."""
        await asyncio.wait_for(self._done.wait(), _TIMEOUT_S)
        return (self.text - self.started) * 1000, (self.image - self.started) * 1000


Press = tuple[float, float]
"""Milliseconds to the text and to the image."""


class KeyDriver:
    """Presses keys and waits for the frames."""

    def __init__(self, app: NegwbApp, pilot: Pilot[int]) -> None:
        self._app = app
        self.frames = Frames(app)
        self._pilot = pilot
        self._keys = cycle(_DECISION_KEYS)
        self.audit_cards = 0
        self.files: set[Path | None] = set()
        """Image files that were shown."""

    @property
    def _screen(self) -> CurateScreen:
        return next(each for each in self._app.screen_stack if isinstance(each, CurateScreen))

    async def first_card(self) -> None:
        """Wait for the first card."""
        async with asyncio.timeout(_TIMEOUT_S):
            while self._screen.shown is None:
                await self._pilot.pause()
        await self._pilot.pause(0.5)  # the app ignores keys right after a key that had no card

    async def decide(self) -> Press:
        """Make the next decision with Pilot, which waits until the app is idle after each key."""
        keys = next(self._keys)
        await self._pilot.press(*keys[:-1])
        return await self.press(_KEY_NAMES.get(keys[-1], keys[-1]))

    async def press(self, key: str) -> Press:
        """Press a key that shows another card, and measure it."""
        watch = self._watch()
        await self._pilot.press(key)
        return self._note(await watch.painted())

    async def rush(self) -> Press:
        """Make the next decision without a pause: the key arrives as soon as the card is painted."""
        keys = next(self._keys)
        for key in keys[:-1]:
            self._send(key)
        watch = self._watch()
        self._send(keys[-1])
        return self._note(await watch.painted())

    async def edit(self) -> Press:
        """Edit the text; the measurement starts with the key that saves it."""
        await self._pilot.press("e", "end", "space", "t", "o", "d", "a", "y")
        return await self.press("ctrl+s")

    def _watch(self) -> CardWatch:
        watch = CardWatch(self._app, self._screen)
        self.frames.seen = watch
        return watch

    def _note(self, press: Press) -> Press:
        ready = self._screen.shown
        if ready is not None:
            self.audit_cards += ready.hidden
            self.files.add(ready.path)
        return press

    def _send(self, key: str) -> None:
        assert self._app._driver is not None
        event = events.Key(_KEY_NAMES.get(key, key), key)
        event.set_sender(self._app)
        self._app._driver.send_message(event)


def session_of(workspace: Workspace, *, order: str | None = None) -> AnnotationSession:
    """Return a started session like that of `negwb curate`, except that a key may follow a card at once."""
    settings = read_settings(workspace.settings)
    serving = session_settings(settings, order=order, guard_seconds=0.0)
    session = open_session(workspace, PERSON, settings=settings, serving=serving, version="bench")
    session.start()
    return session


async def measure_session(workspace: Workspace, presses: int) -> dict[str, Any]:
    """Measure keys at Pilot's pace, then without a pause, then undo and edit."""
    few = max(2, presses // 10)
    with session_of(workspace) as session:
        app = NegwbApp(session, protocol="halfcell", workspace=workspace)
        # garbage collection as in `negwb curate`
        with manual_gc():
            async with app.run_test(size=SIZE, notifications=True) as pilot:
                driver = KeyDriver(app, pilot)
                await driver.first_card()
                paced = [await driver.decide() for _ in range(presses)]
                shown = {"rss_mb": peak_memory_mb(), "audit_cards": driver.audit_cards, "pictures": len(driver.files)}
                await driver.first_card()
                rushed = [await driver.rush() for _ in range(presses)]
                undone = [await driver.press("z") for _ in range(few)]
                edited = [await driver.edit() for _ in range(few)]
                session.on_change = lambda: None  # the prefetcher may report a change while the screen goes away
                await pilot.pause()
    return {"paced": paced, "rushed": rushed, "undone": undone, "edited": edited, **shown}


class ByteCount:
    """Counts the bytes of frames, and the least that the changes of the screen need."""

    def __init__(self, app: NegwbApp, frames: Frames) -> None:
        self._app = app
        self.sent = 0
        self._before = self._cells()
        frames.seen = self._count

    def _count(self, frame: str) -> None:
        self.sent += len(frame.encode())

    def _cells(self) -> Grid:
        return grid(self._app.screen._compositor.render_strips())

    def take(self) -> tuple[int, int]:
        """Return the bytes sent since the last call, and the least that the changed cells need."""
        after = self._cells()
        counted = self.sent, least_bytes(self._before, after)
        self.sent, self._before = 0, after
        return counted


async def measure_bytes(workspace: Workspace, presses: int) -> dict[str, Any]:
    """Accept the cards of a record in order; return the bytes of each, and the least, by whether the image changed."""
    counted: dict[str, list[tuple[int, int]]] = {"same": [], "new": []}
    with session_of(workspace, order=OLDEST) as session:
        app = NegwbApp(session, protocol="halfcell", workspace=workspace)
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            driver = KeyDriver(app, pilot)
            await driver.first_card()
            count = ByteCount(app, driver.frames)
            for _ in range(presses):
                before = app.session.current
                await pilot.press("a")
                await pilot.pause(_SETTLED_S)
                after = app.session.current
                if before is None or after is None:
                    break
                same = before.card.picture.file_name == after.card.picture.file_name
                counted["same" if same else "new"].append(count.take())
            session.on_change = lambda: None
            await pilot.pause()
    return counted


async def measure_empty_app(presses: int) -> dict[str, Any]:
    """Measure a key in an app that only shows another number."""
    app = EmptyApp()
    frames = Frames(app)
    times: list[float] = []
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(presses):
            started, painted = time.perf_counter(), asyncio.Event()

            def seen(frame: str, started: float = started, painted: asyncio.Event = painted) -> None:
                if not painted.is_set() and str(app.number) in frame:
                    times.append((time.perf_counter() - started) * 1000)
                    painted.set()

            frames.seen = seen
            await pilot.press("a")
            await asyncio.wait_for(painted.wait(), _TIMEOUT_S)
    return {"empty": times}


def peak_memory_mb() -> int:
    """Return the peak memory of this process, without that of its parent before the fork."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


def main() -> int:
    """Measure the workspace that the command line names, or the empty app; with --bytes, the bytes of accepts."""
    folder, presses, wants_bytes = sys.argv[1], int(sys.argv[2]), BYTES in sys.argv[3:]
    measure = measure_bytes if wants_bytes else measure_session
    measuring = measure_empty_app(presses) if folder == EMPTY else measure(Workspace(Path(folder)), presses)
    sys.stdout.write(json.dumps(asyncio.run(measuring)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
