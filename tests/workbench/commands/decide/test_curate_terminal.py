"""`negwb curate` in a pseudo-terminal: keys, kill -9, undo and redo."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
from support.record import Record
from support.terminal_app import CurateTerminal, rows

from curation_db.storage.store import open_store
from workbench.workspace.create import create_workspace

# fmt: off
KEYS = (
    ("a", "accept"), ("xp", "reject"), ("u", "unsure"), (" ", "skip"), ("a", "accept"), ("f", "flag"),
    ("nlook at the left edge\r", "note"), ("xg", "reject"), ("e{end} today\x13", "edit"), ("a", "accept"),
    ("xs", "reject"), ("u", "unsure"), ("a", "accept"), (" ", "skip"), ("xr", "reject"), ("a", "accept"),
    ("xd", "reject"), ("e{end} now\x13", "edit"), ("xb", "reject"), ("xu", "reject"),
)
# fmt: on
"""Keys of twenty decisions of all kinds, and the event of each."""


def states(database: Path) -> dict[object, object]:
    return dict(rows(database, "SELECT candidate_id, state FROM candidate_state"))


@pytest.mark.long
@pytest.mark.parametrize(("columns", "lines"), [(120, 36), (80, 24)])
def test_twenty_decisions_survive_kill_9_and_can_be_undone_and_redone(tmp_path: Path, columns: int, lines: int) -> None:
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        Record(store).add(30)
    database = workspace.database

    with CurateTerminal(workspace.root, columns=columns, rows=lines) as app:
        for keys, _ in KEYS:
            app.type(keys)
        app.kill()
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]
    kinds = [kind for (kind,) in rows(database, "SELECT kind FROM event WHERE uid = act ORDER BY seq")]
    assert kinds == [kind for _, kind in KEYS]
    reasons = rows(database, "SELECT reason FROM event WHERE kind = 'reject' ORDER BY seq")
    # fmt: off
    assert [r for (r,) in reasons] == [
        "present", "gratuitous", "scope", "rest_false", "duplicate", "bad_image", "ungrammatical",
    ]
    # fmt: on
    decided = states(database)

    with CurateTerminal(workspace.root, columns=columns, rows=lines) as app:
        for done in range(len(KEYS)):
            app.type("z")
            assert app.actions()[-1] == "undo", done
        app.kill()
    assert set(states(database).values()) <= {"open", "superseded"}

    with CurateTerminal(workspace.root, columns=columns, rows=lines) as app:
        for _ in KEYS:
            app.type("Z")
        app.press("q")
        assert app.end() == 0
    assert states(database) == decided
    with open_store(database) as store:
        Record(store).assert_state_matches_events()


@pytest.mark.long
def test_after_a_crash_the_same_card_is_served(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        Record(store).add(5)
    with CurateTerminal(workspace.root) as app:
        app.type("a")
        app.kill()
    with CurateTerminal(workspace.root) as app:
        app.type("a")
        app.press("q")
        app.end()
    assert rows(workspace.database, "SELECT candidate_id, late FROM event") == [(1, 0), (2, 0)]
    assert rows(workspace.database, "SELECT * FROM lease") == []


@pytest.mark.long
def test_the_editor_of_the_annotator_edits_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        Record(store).add(2)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'1s/$/ today/\' "$1" && cat "$1" > ' + str(tmp_path / "seen"))
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    before = rows(workspace.database, "SELECT text FROM candidate WHERE id = 1")[0][0]
    with CurateTerminal(workspace.root) as app:
        app.type("E")
        app.type("a")  # the screen takes keys again
        app.press("q")
        assert app.end() == 0
    assert rows(workspace.database, "SELECT text FROM candidate WHERE parent_id = 1") == [(f"{before} today",)]
    assert (tmp_path / "seen").read_text().splitlines()[2].startswith("# original: ")
    assert app.actions() == ["edit", "accept"]


@pytest.mark.long
def test_ctrl_z_returns_to_the_shell_and_fg_continues(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        Record(store).add(3)
    with CurateTerminal(workspace.root) as app:
        app.type("a")
        process = psutil.Process(app.process.pid)
        app.press_until("\x1a", lambda: process.status() == psutil.STATUS_STOPPED)
        assert b"\x1b[?1049l" in app.output, "the shell's screen is shown"
        before = len(app.output)
        app.process.send_signal(signal.SIGCONT)
        app.wait_for(lambda: b"\x1b[?1049h" in app.output[before:] and b"NEGATED" in app.output[before:])
        app.type("u")
        assert app.actions() == ["accept", "unsure"]
        app.press("q")
        assert app.end() == 0
