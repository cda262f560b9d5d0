"""The README's screenshots, exported from the app itself: `python -m workbench.demo.screenshots FOLDER`.

The demo world is the same on every machine, so the pictures are too; a test draws them anew and compares.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from curation_db.people import begin_session
from curation_db.store import open_store
from workbench.commands.demo import BANNER
from workbench.demo.build import build_demo
from workbench.pictures import PictureFolders
from workbench.settings import read_settings
from workbench.tui.app import NegwbApp
from workbench.tui.desk import Desk
from workbench.tui.pictures import ThumbnailCache
from workbench.tui.sitting import DeskSettings, Pictures

PICTURES = 40
_PATIENCE = 500
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_UNIQUE = re.compile(r"terminal-\d+")


@dataclass(frozen=True, slots=True)
class Shot:
    """One screenshot."""

    name: str
    size: tuple[int, int]
    """Columns and rows."""
    theme: str
    keys: Sequence[str]
    """Pressed one after the other before it is taken."""


SHOTS = (
    Shot("curate", (120, 36), "negwb-dark", ("a", "a")),
    Shot("reject", (80, 24), "negwb-light", ("x",)),
    Shot("edit", (120, 36), "negwb-dark", ("a", "e")),
)


def take_all(folder: Path) -> list[Path]:
    """Write all screenshots as SVG into `folder`; returns their paths."""
    return [_write(shot, folder / f"{shot.name}.svg") for shot in SHOTS]


def _write(shot: Shot, path: Path) -> Path:
    path.write_text(asyncio.run(_take(shot)), encoding="utf-8", newline="\n")
    return path


async def _take(shot: Shot) -> str:
    with _demo_desk() as desk:
        app = NegwbApp(desk, theme=shot.theme, banner=BANNER)
        async with app.run_test(size=shot.size) as pilot:
            await _settle(app, desk)
            for key in shot.keys:
                await pilot.press(key)
                await _settle(app, desk)
            return _portable(app.export_screenshot(title="negwb curate"))


def _portable(svg: str) -> str:
    """Without fonts from elsewhere, and without the number that makes each export differ."""
    return _UNIQUE.sub("terminal", _FONTS.sub("", svg))


async def _settle(app: NegwbApp, desk: Desk) -> None:
    """Wait until the next card is there, its picture included, and painted."""
    for _ in range(_PATIENCE):
        if desk.next() is not None:
            break
        await asyncio.sleep(0.02)
    for _ in range(3):
        await asyncio.sleep(0.15)
        await app._animator.wait_until_complete()


@contextmanager
def _demo_desk() -> Iterator[Desk]:
    with tempfile.TemporaryDirectory() as folder:
        workspace = build_demo(Path(folder) / "negwb-demo", pictures=PICTURES, progress=lambda *_: None)
        settings = read_settings(workspace.settings)
        folders = PictureFolders(workspace.root, settings.pictures)
        with open_store(workspace.database) as store:
            actor = begin_session(store, "ana", version="screenshots")
            pictures = Pictures(folders.locate, ThumbnailCache((1024, 1024)).get)
            desk = Desk(store, actor, pictures, DeskSettings(audit_share=0.0))
            desk.start()
            try:
                yield desk
            finally:
                desk.close()


if __name__ == "__main__":
    for made in take_all(Path(sys.argv[1])):
        sys.stdout.write(f"{made}\n")
