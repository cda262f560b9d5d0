"""Commands on a read-only workspace: reading works and writes nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.privileges import run_without_root_privileges, without_root_privileges
from support.record import Record
from support.terminal import Terminal

from curation_db.errors import RecordUnwritable
from curation_db.storage.migrations import REVISIONS
from curation_db.storage.sqlite import initialise_file
from curation_db.storage.store import open_store, open_without_writing
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.writer import add_picture_folder

NEGWB = Path(sys.executable).with_name("negwb")
Guard = Callable[[], None]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    with open_store(created.database) as store:
        Record(store).add(3)
    return created


@pytest.fixture
def guard(workspace: Workspace) -> Iterator[Guard]:
    """Make the folder and its files read-only until the end of the test."""

    def protect() -> None:
        for path in workspace.root.iterdir():
            path.chmod(0o444)
        workspace.root.chmod(0o555)

    yield protect
    workspace.root.chmod(0o755)


def negwb(workspace: Workspace, *words: str) -> subprocess.CompletedProcess[str]:
    return run_without_root_privileges([NEGWB, "-w", workspace.root, *words])


def candidates(workspace: Workspace) -> int:
    done = negwb(workspace, "status", "--json")
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["candidates"]["total"])


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Check exit code 3, one line and a hint; return the line."""
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2
    return done.stderr


def leave_log(workspace: Workspace) -> None:
    """Add a fourth candidate only to the write-ahead log, as after kill -9: no log index, no checkpoint."""
    remaining = workspace.root.with_name("kept")
    with open_store(workspace.database) as store:
        Record(store).add(1)
        remaining.mkdir()
        for path in workspace.root.glob("curation.db*"):
            shutil.copy(path, remaining / path.name)
    for path in remaining.iterdir():
        shutil.copy(path, workspace.root / path.name)


def test_a_read_only_folder_can_be_read(workspace: Workspace, guard: Guard) -> None:
    guard()
    before = {path.name: path.read_bytes() for path in workspace.root.iterdir()}
    assert candidates(workspace) == 3
    assert {path.name: path.read_bytes() for path in workspace.root.iterdir()} == before


def test_writing_commands_are_refused_in_one_line(workspace: Workspace, guard: Guard) -> None:
    guard()
    assert "cannot write" in refused(negwb(workspace, "export"))


def test_decisions_of_a_live_session_are_visible(workspace: Workspace, guard: Guard) -> None:
    with open_store(workspace.database) as store:
        Record(store).add(1)
        guard()
        assert candidates(workspace) == 4


def test_a_log_left_by_a_crash_is_read_with_its_index(workspace: Workspace, guard: Guard) -> None:
    leave_log(workspace)
    guard()
    assert candidates(workspace) == 4


def test_a_log_without_its_index_is_refused(workspace: Workspace, guard: Guard) -> None:
    leave_log(workspace)
    (workspace.root / "curation.db-shm").unlink()
    guard()
    assert "curation.db-wal holds decisions" in refused(negwb(workspace, "status"))


def test_an_empty_log_is_ignored(workspace: Workspace, guard: Guard) -> None:
    (workspace.root / "curation.db-wal").touch()
    guard()
    assert candidates(workspace) == 3


def test_an_older_record_that_cannot_be_migrated_is_refused(workspace: Workspace, guard: Guard) -> None:
    workspace.database.unlink()
    initialise_file(workspace.database)
    connection = sqlite3.connect(workspace.database)
    connection.execute("CREATE TABLE alembic_version(version_num)")
    connection.close()
    guard()
    assert "written by an older negwb" in refused(negwb(workspace, "status"))
    workspace.root.chmod(0o755)  # now only the file is protected
    assert "written by an older negwb" in refused(negwb(workspace, "status"))


def test_an_older_record_opened_only_for_reading_names_the_command_that_migrates_it(workspace: Workspace) -> None:
    with sqlite3.connect(workspace.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (REVISIONS[0],))
    with pytest.raises(RecordUnwritable) as caught:
        open_without_writing(workspace.database)
    assert caught.value.hint == "migrate it once, with a backup: negwb status"


def test_a_foreign_database_is_reported(workspace: Workspace, guard: Guard) -> None:
    workspace.database.unlink()
    connection = sqlite3.connect(workspace.database)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE theirs(id)")
    connection.close()
    guard()
    assert "not a negwb database" in refused(negwb(workspace, "status"))


def test_an_unreadable_image_folder_counts_as_missing(workspace: Workspace, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    (hidden / "pictures").mkdir(parents=True)
    add_picture_folder(workspace.settings, "coco", str(hidden / "pictures"))
    add_picture_folder(workspace.settings, "coco", "x" * 5000)
    hidden.chmod(0o000)
    done = negwb(workspace, "status", "--json")
    hidden.chmod(0o700)
    assert done.returncode == 0, done.stderr
    (source,) = json.loads(done.stdout)["sources"]
    assert [folder["exists"] for folder in source["picture_folders"]] == [False, False]


@pytest.mark.long
def test_curate_looks_at_a_read_only_folder(workspace: Workspace, guard: Guard) -> None:
    guard()
    before = {path.name: path.read_bytes() for path in workspace.root.iterdir()}
    command = [NEGWB, "-w", workspace.root, "curate", "--readonly", "--images", "none", "-a", "zoe"]
    with Terminal(command, before_exec=without_root_privileges()) as app:
        app.wait_for(b"NEGATED")
        app.press_until("a", lambda: app.shows(b"accept: nothing is written"))
        app.press_until("]", lambda: app.shows(b"Your queue is empty"))
        app.press("q")
        assert app.end() == 0
        assert app.shows(b"nothing was written")
    assert {path.name: path.read_bytes() for path in workspace.root.iterdir()} == before
    refused = negwb(workspace, "curate", "--readonly", "--plain")
    assert refused.returncode == 2
