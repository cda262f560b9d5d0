"""Takes the README's screenshots of the curate screen: `python -m tools.screenshots FOLDER`.

The demo is the same on every machine, so the screenshots are too; a test takes them again and compares.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from textual.app import App
from textual.pilot import Pilot
from textual.widgets import TextArea

from workbench.annotation.models import SessionSettings
from workbench.annotation.open import open_session
from workbench.annotation.session import AnnotationSession
from workbench.commands.workspace.demo import BANNER
from workbench.demo.build import DemoSize, build_demo
from workbench.tui.app import NegwbApp
from workbench.tui.screens.curate import CurateScreen
from workbench.workspace.layout import Workspace

PICTURES = 40
_PATIENCE = 500
_STEPS, _PAUSE_S, _SAME = 400, 0.05, 4
_BUSY = ("counting …", "searching …", "reading …", "loading …", "checks indexed:")
"""Texts of a screen that is still working."""
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_UNIQUE = re.compile(r"terminal-\d+")


@dataclass(frozen=True, slots=True)
class Shot:
    """A screenshot to take."""

    name: str
    size: tuple[int, int]
    """Columns and rows."""
    theme: str
    keys: Sequence[str]
    """Keys to press before the screenshot."""
    shows: str = ""
    """Text that the screen shows once the last key has had its effect."""


SHOTS = (
    Shot("curate", (120, 36), "negwb-dark", ("a", "a"), "2 of "),
    Shot("reject", (80, 24), "negwb-light", ("x",), "reject because"),
    Shot("zoom", (120, 36), "negwb-dark", ("a", "a", "i", "plus", "plus", "plus"), "33 %"),
    Shot("edit", (120, 36), "negwb-dark", ("a", "e"), "other field"),
)


def take_all(folder: Path) -> list[Path]:
    """Write all screenshots as SVG into `folder`; return the paths."""
    return [_write(shot, folder / f"{shot.name}.svg") for shot in SHOTS]


def _write(shot: Shot, path: Path) -> Path:
    path.write_text(asyncio.run(_take(shot)), encoding="utf-8", newline="\n")
    return path


async def _take(shot: Shot) -> str:
    with _demo_session() as (session, workspace):
        app = NegwbApp(session, theme=shot.theme, banner=BANNER, workspace=workspace)
        async with app.run_test(size=shot.size) as pilot:
            await _settled(pilot, session)
            for key in shot.keys:
                await pilot.press(key)
                await _settled(pilot, session)
            return await _settled(pilot, session, shot.shows)


def portable(svg: str) -> str:
    """Remove remote fonts and the number that differs between exports."""
    return _UNIQUE.sub("terminal", _FONTS.sub("", svg))


async def _settled(pilot: Pilot[int], session: AnnotationSession, shows: str = "") -> str:
    """Wait until the screen shows the current card and the text `shows`, and another paint changes nothing."""
    before = ""
    for _ in range(_PATIENCE):
        await pilot.pause()
        for field in pilot.app.screen.query(TextArea):
            field.cursor_blink = False  # a blinking cursor makes screenshots differ
        now = portable(pilot.app.export_screenshot(title="negwb curate"))
        if now == before and _is_current(pilot.app, session) and shows in now.replace("&#160;", " "):
            return now
        before = now
    raise TimeoutError(f"the screen did not come to rest, or never showed {shows!r}")


def _is_current(app: App[int], session: AnnotationSession) -> bool:
    """Return whether the screen shows the current card and its image."""
    screen = next(each for each in app.screen_stack if isinstance(each, CurateScreen))
    return session.current is not None and screen.shown is session.current


async def settled(pilot: Pilot[int], title: str, shows: str = "") -> str:
    """Wait until the screen shows `shows`, is not busy, and stays the same for a moment; return it as SVG."""
    before, same = "", 0
    for _ in range(_STEPS):
        await pilot.pause(_PAUSE_S)
        now = portable(pilot.app.export_screenshot(title=title))
        shown = now.replace("&#160;", " ")
        ready = shows in shown and not any(busy in shown for busy in _BUSY)
        same = same + 1 if ready and now == before else 0
        if same >= _SAME:
            return now
        before = now
    raise TimeoutError(f"the screen did not settle, or never showed {shows!r}")


@contextmanager
def _demo_session() -> Iterator[tuple[AnnotationSession, Workspace]]:
    with tempfile.TemporaryDirectory() as folder:
        workspace = build_demo(
            Path(folder) / "negwb-demo",
            size=DemoSize(pictures=PICTURES, pool=1, scenes=1, gallery=2),
            progress=lambda *_: None,
        )
        # simulate one second per card: the script presses keys without a delay
        clock = partial(next, count(step=1.0))
        serving = SessionSettings(audit_share=0.0, guard_seconds=0.0)
        with open_session(workspace, "ana", serving=serving, version="screenshots", clock=clock) as session:
            session.start()
            yield session, workspace


if __name__ == "__main__":
    for path in take_all(Path(sys.argv[1])):
        sys.stdout.write(f"{path}\n")
