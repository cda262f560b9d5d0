"""A person's sitting, measured: real keys into the real app, and the moment at which the next card is painted.

A process of its own (`python -m benchmarks.speed.curate_session WORKSPACE PRESSES`), so that its memory is the app's.
Every frame is drawn to the bytes a terminal with true colour would get; the next card is painted when the first frame
is done in which its words stand. Prints one JSON object: milliseconds per press, and the memory.
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
from textual._compositor import CompositorUpdate
from textual.app import App, ComposeResult
from textual.widgets import Static

from benchmarks.speed.big_record import PERSON
from workbench.annotation.open import open_session, session_settings
from workbench.annotation.text_spans import OPENS
from workbench.tui.app import NegwbApp
from workbench.tui.gc_control import manual_gc
from workbench.tui.screens.curate import CurateScreen
from workbench.workspace.layout import Workspace
from workbench.workspace.settings import read_settings

if TYPE_CHECKING:
    from textual.pilot import Pilot
    from textual.screen import Screen

    from workbench.annotation.models import PreparedCard
    from workbench.annotation.session import AnnotationSession

SIZE = (120, 36)
EMPTY = "--empty"
_ROUND = ("a", "a", "xp", "a", "u", "a", "xg", "a", "a", " ", "a", "xs", "a", "a", "xr", "a", "u", "a", "xu", " ")
"""A round of decisions; of two keys the second one decides."""
_WORDS = {" ": "space"}
_HALF_CELLS = 200
"""A frame with so many half blocks holds a picture."""
_PATIENCE = 20.0


class Frames:
    """The frames of an app, drawn as for a terminal and told as soon as they are done."""

    def __init__(self, app: App[int]) -> None:
        self.seen: Callable[[str], None] = lambda _: None
        """Told every frame."""
        self._terminal = Console(
            file=io.StringIO(), force_terminal=True, color_system="truecolor", width=SIZE[0], height=SIZE[1]
        )
        self._display = app._display
        app._display = self._draw  # type: ignore[method-assign]

    def _draw(self, screen: Screen[Any], renderable: Any) -> None:
        # Without a terminal Textual stops one step before this: the frame's segments to bytes.
        frame = renderable.render_segments(self._terminal) if isinstance(renderable, CompositorUpdate) else ""
        self._display(screen, renderable)
        self.seen(frame)


class EmptyApp(App[int]):
    """The least that answers a key: a word that changes."""

    BINDINGS: ClassVar = [("a", "count", "")]
    number = 10_000

    def compose(self) -> ComposeResult:
        """The word."""
        yield Static(str(self.number), markup=False)

    def action_count(self) -> None:
        """Another word."""
        self.number += 1
        self.query_one(Static).update(str(self.number))


class Watch:
    """When the card after this one was painted: its text, and its picture."""

    def __init__(self, screen: CurateScreen) -> None:
        self._screen = screen
        self._before = screen.shown
        self._done = asyncio.Event()
        self._marks = 0
        """How often the card's mark was drawn: once in its caption, once in its negation, perhaps a frame later."""
        self._negated = False
        self.text = self.picture = 0.0
        self.started = time.perf_counter()

    def __call__(self, frame: str) -> None:
        """A frame is drawn."""
        now = time.perf_counter()
        ready = self._screen.shown
        if ready is None or ready is self._before:
            return
        if not self.text and self._told(ready, frame):
            self.text = now
        if not self.picture and self._drawn(ready, frame):
            self.picture = now
        if self.text and self.picture:
            self._done.set()

    def _told(self, ready: PreparedCard, frame: str) -> bool:
        """Whether the card's caption and its negation have been drawn."""
        marks = frame.count(next(word for word in ready.card.text.split() if word.isdigit()))
        self._marks += marks
        self._negated = self._negated or (marks > 0 and OPENS in frame)
        return self._negated and self._marks >= 2

    def _drawn(self, ready: PreparedCard, frame: str) -> bool:
        drawn = self._screen.picture._drawn
        return drawn is not None and drawn[0] is ready.thumbnail and frame.count("▀") > _HALF_CELLS

    async def painted(self) -> tuple[float, float]:
        """Milliseconds from the start to the text and to the picture."""
        await asyncio.wait_for(self._done.wait(), _PATIENCE)
        return (self.text - self.started) * 1000, (self.picture - self.started) * 1000


Press = tuple[float, float]
"""Milliseconds to the text and to the picture."""


class Hand:
    """Presses keys and looks at the screen."""

    def __init__(self, app: NegwbApp, pilot: Pilot[int]) -> None:
        self._app = app
        self._frames = Frames(app)
        self._pilot = pilot
        self._keys = cycle(_ROUND)
        self.audit_cards = 0
        self.files: set[Path | None] = set()
        """The pictures that were shown."""

    @property
    def _screen(self) -> CurateScreen:
        return next(each for each in self._app.screen_stack if isinstance(each, CurateScreen))

    async def first_card(self) -> None:
        """Wait for it."""
        async with asyncio.timeout(_PATIENCE):
            while self._screen.shown is None:
                await self._pilot.pause()
        await self._pilot.pause(0.5)  # what is typed right after a key that found no card decides nothing

    async def decide(self) -> Press:
        """The next decision, as Pilot presses keys: it waits until the app is idle after each."""
        keys = next(self._keys)
        await self._pilot.press(*keys[:-1])
        return await self.press(_WORDS.get(keys[-1], keys[-1]))

    async def press(self, key: str) -> Press:
        """A measured key that brings another card."""
        watch = self._watch()
        await self._pilot.press(key)
        return self._note(await watch.painted())

    async def rush(self) -> Press:
        """The next decision without any pause: the key is there the moment the card is painted."""
        keys = next(self._keys)
        for key in keys[:-1]:
            self._send(key)
        watch = self._watch()
        self._send(keys[-1])
        return self._note(await watch.painted())

    async def edit(self) -> Press:
        """Mend the text; what is measured begins with the key that saves it."""
        await self._pilot.press("e", "end", "space", "t", "o", "d", "a", "y")
        return await self.press("ctrl+s")

    def _watch(self) -> Watch:
        watch = Watch(self._screen)
        self._frames.seen = watch
        return watch

    def _note(self, press: Press) -> Press:
        ready = self._screen.shown
        if ready is not None:
            self.audit_cards += ready.hidden
            self.files.add(ready.path)
        return press

    def _send(self, key: str) -> None:
        assert self._app._driver is not None
        event = events.Key(_WORDS.get(key, key), key)
        event.set_sender(self._app)
        self._app._driver.send_message(event)


def session_of(workspace: Workspace) -> AnnotationSession:
    """A started session as `negwb curate` opens it, except that a key may follow the card at once."""
    settings = read_settings(workspace.settings)
    serving = session_settings(settings, guard_seconds=0.0)
    session = open_session(workspace, PERSON, settings=settings, serving=serving, version="bench")
    session.start()
    return session


async def sit(workspace: Workspace, presses: int) -> dict[str, Any]:
    """So many measured keys at Pilot's pace, then without a pause; then undo and edit."""
    few = max(2, presses // 10)
    with session_of(workspace) as session:
        app = NegwbApp(session, protocol="halfcell", workspace=workspace)
        # collected as `negwb curate` does
        with manual_gc():
            async with app.run_test(size=SIZE, notifications=True) as pilot:
                hand = Hand(app, pilot)
                await hand.first_card()
                paced = [await hand.decide() for _ in range(presses)]
                shown = {"rss_mb": peak_memory_mb(), "audit_cards": hand.audit_cards, "pictures": len(hand.files)}
                await hand.first_card()
                rushed = [await hand.rush() for _ in range(presses)]
                undone = [await hand.press("z") for _ in range(few)]
                edited = [await hand.edit() for _ in range(few)]
                session.on_change = lambda: None  # the prefetcher may report a change while the screen goes away
                await pilot.pause()
    return {"paced": paced, "rushed": rushed, "undone": undone, "edited": edited, **shown}


async def press_on_nothing(presses: int) -> dict[str, Any]:
    """What a key costs in an app that does nothing but show another word."""
    app = EmptyApp()
    frames = Frames(app)
    took: list[float] = []
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(presses):
            started, painted = time.perf_counter(), asyncio.Event()

            def seen(frame: str, started: float = started, painted: asyncio.Event = painted) -> None:
                if not painted.is_set() and str(app.number) in frame:
                    took.append((time.perf_counter() - started) * 1000)
                    painted.set()

            frames.seen = seen
            await pilot.press("a")
            await asyncio.wait_for(painted.wait(), _PATIENCE)
    return {"empty": took}


def peak_memory_mb() -> int:
    """The most memory that this process has had at once; what its parent had does not count."""
    try:
        told = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    line = next(line for line in told.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


def main() -> int:
    """Sit at the workspace that the command line names, or in front of nothing."""
    folder, presses = sys.argv[1], int(sys.argv[2])
    measuring = press_on_nothing(presses) if folder == EMPTY else sit(Workspace(Path(folder)), presses)
    sys.stdout.write(json.dumps(asyncio.run(measuring)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
