"""`negwb curate` in a pseudo-terminal, with access to its database."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.terminal import BURST_SECONDS, IGNORED_KEY_TEXT, Terminal

END = "\x1b[F"
DIALOGS = {"n": b"a note", "e": b"edit the negated caption", "x": b"cancel"}
"""Text on the screen after a key has opened a dialog."""


def rows(database: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


class CurateTerminal(Terminal):
    """Runs the app on a workspace."""

    def __init__(self, folder: Path, **options: Any) -> None:
        """Start the app; `options` are those of `Terminal`."""
        negwb = Path(sys.executable).with_name("negwb")
        super().__init__([negwb, "-w", folder, "curate", "--annotator", "ana", "--images", "halfcell"], **options)
        self.database = folder / "curation.db"
        self.wait_for(b"NEGATED")

    def actions(self) -> list[str]:
        """Return the kinds of all actions, including undo."""
        return [str(kind) for (kind,) in rows(self.database, "SELECT kind FROM event WHERE uid = act ORDER BY seq")]

    def type(self, keys: str) -> None:
        """Send keys and wait until their action is stored."""
        before = len(self.actions())
        first, rest = keys[0], keys[1:]
        opened = DIALOGS.get(first)

        def is_done(output: bytes) -> bool:
            return bool(opened and opened in output) or len(self.actions()) > before

        while not self._had_effect(first, is_done):
            time.sleep(BURST_SECONDS)
        self.press(rest.replace("{end}", END))
        self.wait_for(lambda: len(self.actions()) > before)

    def _had_effect(self, key: str, effect: Callable[[bytes], bool]) -> bool:
        """Press a key and wait for its effect; return False if the app ignored it.

        On a busy machine there may be no card yet, or a dialog may still be closing.
        """
        start = len(self.output)
        self.press(key)
        with suppress(TimeoutError):
            self.wait_for(lambda: effect(self.output[start:]) or IGNORED_KEY_TEXT in self.output[start:], seconds=4)
        assert self.process.poll() is None
        return effect(self.output[start:])
