"""A database that is moved, deleted or replaced ends the session: exit 3, one line, nothing written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.terminal import Terminal
from support.workspaces import Case, WorkspaceFixture, build

from curation_db.enums import Kind, Reason, Role
from curation_db.events.annotators import begin_session
from curation_db.review.decisions import DecisionWriter

NEGWB = Path(sys.executable).with_name("negwb")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[WorkspaceFixture]:
    created = build(tmp_path / "ws", [Case(text=f"no hat number {n}", concept=f"hat {n}") for n in range(12)])
    yield created
    created.store.close()


def move(database: Path) -> None:
    database.rename(database.with_name("moved.db"))


def delete(database: Path) -> None:
    database.unlink()


def replace(database: Path) -> None:
    copy = database.with_name("copy.db")
    shutil.copyfile(database, copy)
    os.replace(copy, database)


LOSSES = [move, delete, replace]


def database_of(workspace: WorkspaceFixture) -> Path:
    return workspace.root / "curation.db"


def checkpointed(workspace: WorkspaceFixture) -> None:
    """Move the log into the database file, so that a copy is complete."""
    connection = sqlite3.connect(database_of(workspace))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def events_in(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM event").fetchone()[0])
    finally:
        connection.close()


def ended(terminal: Terminal) -> str:
    """Wait for the end; return the text below the last screen."""
    assert terminal.end() == 3
    output = bytes(terminal.output).rpartition(b"\x1b[?1049l")[2].decode(errors="replace")
    assert "Traceback" not in bytes(terminal.output).decode(errors="replace")
    return output


def assert_nothing_elsewhere(workspace: WorkspaceFixture, lose: Callable[[Path], None], count: int) -> None:
    database = database_of(workspace)
    if lose is replace:
        assert events_in(database) == count
    else:
        assert not database.exists()
    if lose is move:
        assert events_in(database.with_name("moved.db")) == count


@pytest.mark.parametrize("lose", [LOSSES[0], *(pytest.param(each, marks=pytest.mark.long) for each in LOSSES[1:])])
def test_curate_ends(workspace: WorkspaceFixture, lose: Callable[[Path], None]) -> None:
    command = [NEGWB, "-w", workspace.root, "curate", "-a", "ana", "--order", "oldest", "--images", "halfcell"]
    with Terminal(command) as terminal:
        terminal.wait_for(b"hat number 0")
        terminal.press_until("a", lambda: events_in(database_of(workspace)) == 1)
        terminal.wait_for(b"hat number 1")
        checkpointed(workspace)
        lose(database_of(workspace))
        terminal.press_until("a", lambda: terminal.process.poll() is not None)
        data = ended(terminal)
    assert data.count("replaced, moved or deleted") == 1
    assert "is kept" not in data
    assert_nothing_elsewhere(workspace, lose, 1)


@pytest.mark.parametrize("lose", [*(pytest.param(each, marks=pytest.mark.long) for each in LOSSES[:2]), LOSSES[2]])
def test_plain_mode_ends(workspace: WorkspaceFixture, lose: Callable[[Path], None]) -> None:
    process = subprocess.Popen(
        [NEGWB, "-w", workspace.root, "curate", "-a", "ana", "--order", "oldest", "--plain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("a\n")
    process.stdin.flush()
    while not process.stdout.readline().startswith("DONE"):
        pass
    checkpointed(workspace)
    lose(database_of(workspace))
    _, errors = process.communicate("a\na\na\n", timeout=60)
    assert process.returncode == 3
    assert "replaced, moved or deleted" in errors
    assert len(errors.splitlines()) == 2, "a line and its hint"
    assert_nothing_elsewhere(workspace, lose, 1)


def test_plain_mode_ends_while_it_waits_for_a_card(workspace: WorkspaceFixture) -> None:
    """All other cards are leased by others, and the annotator asks for cards again."""
    process = subprocess.Popen(
        [NEGWB, "-w", workspace.root, "curate", "-a", "ana", "--plain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("s\n" * 12)
    process.stdin.flush()
    while not process.stdout.readline().startswith("END"):
        pass
    delete(database_of(workspace))
    _, errors = process.communicate("r\n", timeout=60)
    assert process.returncode == 3
    assert "replaced, moved or deleted" in errors


def disagreement(workspace: WorkspaceFixture) -> None:
    for name, kind in (("ben", Kind.ACCEPT), ("cho", Kind.REJECT)):
        actor = begin_session(workspace.store, name, version="test")
        DecisionWriter(workspace.store, actor).decide(1, kind, reason=Reason.SCOPE if kind is Kind.REJECT else None)


def test_adjudicate_ends(workspace: WorkspaceFixture) -> None:
    disagreement(workspace)
    begin_session(workspace.store, "dan", version="test", role=Role.ADJUDICATOR)
    with Terminal([NEGWB, "-w", workspace.root, "adjudicate", "-a", "dan", "--images", "halfcell"]) as terminal:
        terminal.wait_for(b"1 of 1")
        terminal.wait_for(b"hat number 0")
        checkpointed(workspace)
        move(database_of(workspace))
        terminal.press_until("a\r", lambda: terminal.process.poll() is not None)
        data = ended(terminal)
    assert data.count("replaced, moved or deleted") == 1
    assert_nothing_elsewhere(workspace, move, 2)


def test_a_bulk_action_in_browse_ends(workspace: WorkspaceFixture) -> None:
    with Terminal([NEGWB, "-w", workspace.root, "browse", "-a", "ana"]) as terminal:
        terminal.wait_for(b"1 of 12")  # an action is refused while the view is counted
        terminal.press_for("A", b"type 12 and enter")
        checkpointed(workspace)
        replace(database_of(workspace))
        terminal.press("12\r")
        data = ended(terminal)
    assert data.count("replaced, moved or deleted") == 1
    assert_nothing_elsewhere(workspace, replace, 0)
