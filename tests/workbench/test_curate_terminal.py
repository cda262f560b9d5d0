"""`negwb curate` in a real pseudo-terminal: real keys, kill -9 in the middle, and the way back."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support.record import Record
from support.terminal import Terminal

from curation_db.store import open_store
from workbench.workspace import create_workspace

KEYS = (
    ("a", "accept"), ("xp", "reject"), ("u", "unsure"), (" ", "skip"), ("a", "accept"), ("f", "flag"),
    ("nlook at the left edge\r", "note"), ("xg", "reject"), ("e{end} today\x13", "edit"), ("a", "accept"),
    ("xs", "reject"), ("u", "unsure"), ("a", "accept"), (" ", "skip"), ("xr", "reject"), ("a", "accept"),
    ("xd", "reject"), ("e{end} now\x13", "edit"), ("xb", "reject"), ("xu", "reject"),
)  # fmt: skip
"""Twenty decisions of all kinds, as keys, and the event each must leave."""
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

    def __init__(self, folder: Path, **size: int) -> None:
        negwb = Path(sys.executable).with_name("negwb")
        super().__init__([negwb, "-w", folder, "curate", "--annotator", "ana", "--images", "halfcell"], **size)
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


def states(database: Path) -> dict[object, object]:
    return dict(rows(database, "SELECT candidate_id, state FROM candidate_state"))


@pytest.mark.parametrize(("columns", "lines"), [(120, 36), (80, 24)])
def test_twenty_decisions_survive_kill_9_and_can_be_walked_back_and_forth(
    tmp_path: Path, columns: int, lines: int
) -> None:
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        Record(store).add(30)
    database = workspace.database

    with Curating(workspace.root, columns=columns, rows=lines) as app:
        for keys, _ in KEYS:
            app.type(keys)
        app.kill()
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]
    kinds = [kind for (kind,) in rows(database, "SELECT kind FROM event WHERE uid = act ORDER BY seq")]
    assert kinds == [kind for _, kind in KEYS]
    reasons = rows(database, "SELECT reason FROM event WHERE kind = 'reject' ORDER BY seq")
    assert [r for (r,) in reasons] == [
        "present", "gratuitous", "scope", "rest_false", "duplicate", "bad_image", "ungrammatical",
    ]  # fmt: skip
    decided = states(database)

    with Curating(workspace.root, columns=columns, rows=lines) as app:
        for done in range(len(KEYS)):
            app.type("z")
            assert app.acts()[-1] == "undo", done
        app.kill()
    assert set(states(database).values()) <= {"open", "superseded"}

    with Curating(workspace.root, columns=columns, rows=lines) as app:
        for _ in KEYS:
            app.type("Z")
        app.press("q")
        assert app.end() == 0
    assert states(database) == decided
    with open_store(database) as store:
        Record(store).assert_state_is_the_fold()


def test_after_a_crash_the_same_card_is_there_again(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        Record(store).add(5)
    with Curating(workspace.root) as app:
        app.type("a")
        app.kill()
    with Curating(workspace.root) as app:
        app.type("a")
        app.press("q")
        app.end()
    assert rows(workspace.database, "SELECT candidate_id, late FROM event") == [(1, 0), (2, 0)]
    assert rows(workspace.database, "SELECT * FROM lease") == []
