"""Replays five_minutes.session, a scripted keyboard session, in a pseudo-terminal."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
from support.keyboard_sessions import Replay, actions, read_session
from support.record import Record
from support.screen import ScreenReader
from support.workspaces import Case, WorkspaceFixture, build

from curation_db.enums import Reason

NEGWB = Path(sys.executable).with_name("negwb")
SCRIPT = Path(__file__).with_name("five_minutes.session")
# fmt: off
THINGS = (
    "hat", "umbrella", "dog", "bicycle", "kite", "lamp", "ladder", "basket", "violin", "tent", "boat", "helmet",
    "ribbon", "bench", "candle", "rope", "drum", "clock", "pillow", "teapot", "wagon", "carrot", "balloon",
    "mirror", "saddle", "bucket", "scarf", "ball", "fence", "parrot", "sled", "tractor", "piano", "anchor",
    "feather", "lantern", "vase", "broom", "trumpet", "compass",
)
# fmt: on


AFTERWARDS = {"accepted": 15, "rejected": 11, "unsure": 2, "superseded": 1, "open": 12}
"""Expected counts at the end of the session."""


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspaceFixture:
    """Workspace with one card per thing, in this order."""
    created = build(tmp_path / "ws", [Case(text=f"a woman riding a horse without a {it}", concept=it) for it in THINGS])
    settings = created.root / "negwb.toml"
    settings.write_text(settings.read_text() + '[curate]\norder = "oldest"\naudit_share = 0.0\nviewer = "true"\n')
    return created


@pytest.mark.long
@pytest.mark.parametrize("size", [(120, 36), (80, 24)], ids=["120x36", "80x24"])
def test_five_minutes_at_the_keyboard(workspace: WorkspaceFixture, size: tuple[int, int]) -> None:
    away = dict.fromkeys(("TMUX", "STY", "SSH_CONNECTION", "SSH_TTY"), "")
    command = [NEGWB, "-w", workspace.root, "curate", "-a", "ana", "--images", "halfcell"]
    try:
        with Replay(command, workspace.root / "curation.db", size, **away) as replay:
            data = replay.play(read_session(SCRIPT))
        assert actions(workspace.root / "curation.db") == data
        assert Counter(workspace.states().values()) == AFTERWARDS
        assert workspace.rows("PRAGMA integrity_check") == [("ok",)]
        assert workspace.rows("SELECT * FROM lease") == []
        Record(workspace.store).assert_state_matches_events()
    finally:
        workspace.store.close()


def test_the_session_covers_all_reasons_and_kinds() -> None:
    steps = read_session(SCRIPT)
    decided = [act for step in steps for act in step.actions if act.split()[0] not in {"undo", "note", "flag"}]
    assert 5 * len(decided) + 2.5 * (len(steps) - len(decided)) >= 5 * 60, "so many seconds a decision and a look"
    assert {act.split()[2] for act in decided if act.startswith("reject")} == {str(reason) for reason in Reason}
    kinds = {act.split()[0] for step in steps for act in step.actions}
    assert kinds == {"accept", "reject", "edit", "unsure", "skip", "undo", "note", "flag"}
    assert all(step.texts or step.actions for step in steps if step.keys not in {"q", "@exit"}), "a step without effect"


def test_the_screen_reader_shows_what_a_terminal_shows() -> None:
    screen = ScreenReader(10, 3)
    written = (
        "\x1b[?1049h\x1b[2;3H\x1b[1mné\x1b[0m世x\x1b]0;title\x07\x1b_Gi=1;AAAA\x1b\\\x1b[3;1Hlong enough\rL".encode()
    )
    for at in range(len(written)):  # in the smallest pieces
        screen.feed(written[at : at + 1])
    assert screen.text == "\n  né世x\nLong enoug"
    screen.feed(b"\x1b[3;5H\x1b[K\x1b[1;1H\x1b[B^")
    assert screen.text == "\n^ né世x\nLong"
