"""Only visible cards are decided: type-ahead, held keys and slow connections in a pseudo-terminal."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from support.record import Record
from support.screen import ScreenReader
from support.terminal_app import CurateTerminal, rows

from curation_db.storage.store import open_store
from workbench.annotation.key_guard import GUARD_SECONDS
from workbench.workspace.create import create_workspace

SLOW = 400
"""Bytes per second. The cells that differ from one card to the next take more than 400 bytes."""
REQUEST = b"\x1b[6n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Workspace with twenty cards."""
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        Record(store).add(20)
    return workspace.root


def decided(app: CurateTerminal) -> list[int]:
    return [int(str(number)) for (number,) in rows(app.database, "SELECT candidate_id FROM event ORDER BY seq")]


def cards_shown(output: bytes) -> set[int]:
    """Return the numbers of the cards whose image had its name on the screen at some time."""
    reader, shown = ScreenReader(120, 36), set()
    for start in range(0, len(output), 50):
        reader.feed(output[start : start + 50])
        shown |= {int(number) for number in re.findall(r"(\d+)\.jpg", reader.text)}
    return shown


def test_type_ahead_decides_only_the_visible_card(folder: Path) -> None:
    with CurateTerminal(folder) as app:
        app.type("a")
        app.press("a" * 20)
        app.wait_for(b"key ignored")
        assert len(decided(app)) <= 2
        app.type("u")
        assert app.actions()[-1] == "unsure"
        app.press("q")
        assert app.end() == 0


def test_a_held_key_decides_once_or_twice(folder: Path) -> None:
    with CurateTerminal(folder) as app:
        app.type("u")
        before = len(decided(app))
        app.press("a")
        sent = [time.monotonic()]
        for _ in range(30):
            app.send("a")
            sent.append(time.monotonic())
            time.sleep(0.03)
        app.wait_for(b"key ignored")
        # a busy machine may keep this process waiting, as if the key had been released and pressed again
        released = sum(later - earlier > GUARD_SECONDS / 2 for earlier, later in pairwise(sent))
        assert len(decided(app)) - before <= 2 + released
        app.press("q")
        app.end()


@pytest.mark.long
def test_on_a_slow_connection_only_shown_cards_are_decided(folder: Path) -> None:
    with CurateTerminal(folder) as app:
        app.type("a")
        app.bytes_per_second = SLOW
        for _ in range(15):
            app.send("a")
            time.sleep(0.4)  # slower than the guard: without the terminal's answer each of them decides
        shown = cards_shown(bytes(app.output))
        stored = decided(app)
        assert set(stored) <= shown
        assert len(stored) < 15
        app.wait_for(b"screen is behind")
        app.bytes_per_second = None
        app.type("u")
        assert app.actions()[-1] == "unsure"
        app.press("q")
        assert app.end() == 0


@pytest.mark.long
def test_a_terminal_without_answers_is_not_asked_repeatedly(folder: Path) -> None:
    with CurateTerminal(folder, answers=False) as app:
        app.type("a")
        asked = app.output.count(REQUEST)
        assert asked > 0
        for key in "aua":
            app.type(key)
        assert app.output.count(REQUEST) == asked
        app.press("q")
        assert app.end() == 0
    assert not app.shows(b"Traceback")
