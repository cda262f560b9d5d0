"""`negwb curate` under adverse conditions: window sizes, changed image files, hang-ups, lost records.

Decisions must be kept, and the app must not crash.
"""

from __future__ import annotations

import random
import shutil
import signal
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from support.record import Record
from support.terminal import Terminal
from support.workspaces import Case, WorkspaceFixture, build

from workbench.errors import ExitCode

NEGWB = Path(sys.executable).with_name("negwb")
SIZES = ((0, 0), (1, 1), (200, 1), (1, 60), (40, 10), (59, 19), (60, 20), (80, 24), (120, 36), (300, 90))
BOMB_SIDE = 9_000
"""81 megapixels, just below the pixel limit: 243 MB decoded. Larger images are not decoded."""


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    created = build(tmp_path / "workspace", [Case(text=f"no hat number {n}", concept=f"hat {n}") for n in range(40)])
    yield created
    created.store.close()


def curate(workspace: WorkspaceFixture, **size: int) -> Terminal:
    command = [NEGWB, "-w", workspace.root, "curate", "-a", "ana", "--order", "oldest", "--images", "halfcell"]
    return Terminal(command, **size)


def leave(terminal: Terminal) -> None:
    # a closing dialog takes the first key as text
    terminal.press_until("q", lambda: terminal.process.poll() is not None)
    assert terminal.end() == 0
    assert b"Traceback" not in terminal.output


def sound(workspace: WorkspaceFixture) -> None:
    assert workspace.rows("PRAGMA integrity_check") == [("ok",)]
    assert workspace.rows("SELECT * FROM lease") == []
    Record(workspace.store).assert_state_matches_events()


def peak_memory(terminal: Terminal) -> int:
    """Return the peak memory of the app in MB; 0 if unknown."""
    data = Path(f"/proc/{terminal.process.pid}/status")
    lines = data.read_text().splitlines() if data.exists() else []
    return next((int(line.split()[1]) // 1000 for line in lines if line.startswith("VmHWM")), 0)


def png(width: int, height: int, rows: int) -> bytes:
    """Return a small PNG file with this size in its header and `rows` black rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeezed = zlib.compressobj(9)
    row = bytes(1 + width * 3)
    data = b"".join(squeezed.compress(row) for _ in range(rows)) + squeezed.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_terminal_of_size_zero(workspace: WorkspaceFixture) -> None:
    with curate(workspace, columns=0, rows=0) as terminal:
        terminal.wait_for(lambda: len(terminal.output) > 0)
        terminal.resize(120, 36)
        terminal.wait_for(b"NEGATED")
        terminal.press_until("a", lambda: len(workspace.events()) >= 1)
        terminal.resize(0, 0)
        time.sleep(0.3)
        terminal.press("uu")
        time.sleep(0.3)
        terminal.resize(80, 24)
        before = len(workspace.events())
        terminal.press_until("a", lambda: len(workspace.events()) > before)
        leave(terminal)
    sound(workspace)


@pytest.mark.long
def test_rapid_resizing_loses_no_key(workspace: WorkspaceFixture) -> None:
    draw = random.Random(7)
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        for _ in range(300):
            terminal.resize(*draw.choice(SIZES))
            if draw.random() < 0.3:
                time.sleep(0.005)
        terminal.resize(120, 36)
        for number in range(1, 11):
            terminal.press_until("a", lambda number=number: len(workspace.events()) >= number)
            for _ in range(15):
                terminal.resize(*draw.choice(SIZES[6:]))
        leave(terminal)
    kinds = {kind for _, kind, _ in workspace.events()}
    assert kinds == {"accept"}
    decided = [candidate for candidate, _, _ in workspace.events()]
    assert len(decided) == len(set(decided)) >= 10
    sound(workspace)


def test_resizing_in_a_dialog_keeps_the_typed_text(workspace: WorkspaceFixture) -> None:
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.press("n")
        terminal.wait_for(b"a note")
        terminal.press("left of the horse")
        terminal.wait_for(b"horse")
        for size in (*SIZES, (120, 36)):
            terminal.resize(*size)
            time.sleep(0.05)
        time.sleep(0.3)
        terminal.press("\r")
        terminal.wait_for(lambda: workspace.rows("SELECT note FROM event") == [("left of the horse",)])
        leave(terminal)
    sound(workspace)


@pytest.mark.long
def test_images_deleted_while_the_app_runs(workspace: WorkspaceFixture) -> None:
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.press_until("a", lambda: len(workspace.events()) >= 1)
        shutil.rmtree(workspace.root / "pictures")
        terminal.press("i")  # zoom into a deleted image
        time.sleep(0.3)
        terminal.press("\x1b")
        time.sleep(0.3)
        for number in range(2, 16):
            terminal.press_until("a", lambda number=number: len(workspace.events()) >= number)
        terminal.wait_for(b"the image is missing")
        leave(terminal)
    assert {kind for _, kind, _ in workspace.events()} == {"accept"}
    sound(workspace)


@pytest.mark.long
def test_images_replaced_by_decompression_bombs(workspace: WorkspaceFixture) -> None:
    bomb, allowed = png(30_000, 30_000, 1), png(BOMB_SIDE, BOMB_SIDE, BOMB_SIDE)
    for number, path in enumerate(sorted((workspace.root / "pictures").iterdir())[1:10]):
        path.write_bytes(allowed if number == 4 else bomb)
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        for number in range(1, 13):
            terminal.press_until("a", lambda number=number: len(workspace.events()) >= number)
        used = peak_memory(terminal)
        leave(terminal)
        assert b"too large to decode" in terminal.output
    assert len(workspace.events()) >= 12
    assert used < 1_500
    sound(workspace)


@pytest.mark.parametrize(
    ("keys", "seen"),
    [
        pytest.param("e", b"edit the negated caption", id="edit"),
        pytest.param("n", b"a note", id="note", marks=pytest.mark.long),
        pytest.param("x", b"reject", id="reason", marks=pytest.mark.long),
        pytest.param("i", b"", id="zoom", marks=pytest.mark.long),
        pytest.param("?", b"", id="help", marks=pytest.mark.long),
        pytest.param("/", b"", id="find", marks=pytest.mark.long),
    ],
)
def test_a_hang_up_on_any_screen_keeps_the_decisions(workspace: WorkspaceFixture, keys: str, seen: bytes) -> None:
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.press_until("a", lambda: len(workspace.events()) >= 1)
        terminal.press_for(keys, seen)
        time.sleep(0.3)
        terminal.process.send_signal(signal.SIGHUP)
        assert terminal.end() == 128 + signal.SIGHUP
        assert b"Traceback" not in terminal.output
    assert [kind for _, kind, _ in workspace.events()] == ["accept"]
    sound(workspace)


@pytest.mark.long
def test_a_hang_up_during_a_burst_of_keys_leaves_complete_decisions(workspace: WorkspaceFixture) -> None:
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        for number, keys in enumerate(("a", "xp", "u"), 1):
            terminal.press_until(keys, lambda number=number: len(workspace.events()) >= number)
        terminal.press("axpu axgau" * 3)
        terminal.process.send_signal(signal.SIGHUP)
        assert terminal.end() == 128 + signal.SIGHUP
    # a key without a card decides nothing; the decisions are complete, one per card, in order
    events = workspace.events()
    assert {(kind, reason) for _, kind, reason in events} <= {
        ("accept", None),
        ("reject", "present"),
        ("reject", "gratuitous"),
        ("unsure", None),
        ("skip", None),
    }
    assert [candidate for candidate, _, _ in events] == list(range(1, len(events) + 1))
    sound(workspace)


def test_a_deleted_record_accepts_no_decision(workspace: WorkspaceFixture) -> None:
    """Decisions for a deleted file are refused, and the session ends."""
    with curate(workspace) as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.press_until("a", lambda: len(workspace.events()) >= 1)
        away = workspace.root / "away.db"
        (workspace.root / "curation.db").rename(away)
        terminal.press_until("a", lambda: terminal.process.poll() is not None)
        assert terminal.end() == ExitCode.DATABASE
        assert b"was replaced, moved or deleted" in terminal.output
    assert not (workspace.root / "curation.db").exists()
    away.rename(workspace.root / "curation.db")  # beside its log again
    assert workspace.rows("SELECT candidate_id FROM event") == [(1,)]
