"""`negwb curate` in a real pseudo-terminal, and its database beside it."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.terminal import Terminal

END = "\x1b[F"
DIALOGS = {"n": b"a note", "e": b"edit the negated caption", "x": b"cancel"}
"""What the screen says when a key has opened a dialog."""


def rows(database: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


MISSED = b"that key did nothing"


class Curating(Terminal):
    """The app on a workspace, and its database beside it."""

    def __init__(self, folder: Path, **how: Any) -> None:
        """`how`: what a `Terminal` takes."""
        negwb = Path(sys.executable).with_name("negwb")
        super().__init__([negwb, "-w", folder, "curate", "--annotator", "ana", "--images", "halfcell"], **how)
        self.database = folder / "curation.db"
        self.wait_for(b"NEGATED")

    def acts(self) -> list[str]:
        """What was done, an act each, undo included."""
        return [str(kind) for (kind,) in rows(self.database, "SELECT kind FROM event WHERE uid = act ORDER BY seq")]

    def type(self, keys: str) -> None:
        """Send keys, and wait until the act they end in is on the disk."""
        before = len(self.acts())
        first, rest = keys[0], keys[1:]
        opened = DIALOGS.get(first)
        while not self._had_effect(first, lambda seen: bool(opened and opened in seen) or len(self.acts()) > before):
            time.sleep(0.6)
        self.press(rest.replace("{end}", END))
        self.wait_for(lambda: len(self.acts()) > before)

    def _had_effect(self, key: str, effect: Callable[[bytes], bool]) -> bool:
        """Press it and wait; False: there was no card yet, or a dialog was still closing, as on a busy machine."""
        start = len(self.output)
        self.press(key)
        with suppress(TimeoutError):
            self.wait_for(lambda: effect(self.output[start:]) or MISSED in self.output[start:], seconds=4)
        assert self.process.poll() is None
        return effect(self.output[start:])
