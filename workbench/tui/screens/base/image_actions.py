"""Actions of screens with one image: its name, and opening it in a program outside the terminal."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation_db.language.sanitize import display_text
from workbench.images.external_viewer import NoViewer, launch
from workbench.tui.threads import run_in_daemon_thread

if TYPE_CHECKING:
    from textual.screen import Screen

    from workbench.annotation.models import PreparedCard


def picture_name(ready: PreparedCard) -> str:
    return ready.card.picture.file_name or ready.card.picture.key


def open_outside(screen: Screen[Any], viewer: str, path: Path | None, name: str) -> None:
    """Open the image outside the terminal, in a worker: neither start nor end of the program delays a key."""
    screen.run_worker(_outside(screen, viewer, path, name), group="outside", exit_on_error=False)


async def _outside(screen: Screen[Any], viewer: str, path: Path | None, name: str) -> None:
    shown = path or name
    try:
        program, started = await run_in_daemon_thread(partial(launch, viewer, os.environ, path))
    except NoViewer as none:
        _notify(screen, f"{none.message}: {shown}", problem=True)
        return
    _notify(screen, f"{program} shows {name}")
    if code := await run_in_daemon_thread(started.wait):
        _notify(screen, f"{program} failed ({code}): {shown}", problem=True)


def _notify(screen: Screen[Any], line: str, *, problem: bool = False) -> None:
    severity, seconds = ("warning", 12) if problem else ("information", 3)
    screen.app.notify(display_text(line, limit=400), severity=severity, timeout=seconds, markup=False)  # type: ignore[arg-type]
