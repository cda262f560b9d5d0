"""Tests of `negwb backup` and `negwb restore`: text and JSON output."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.record import Record
from typer.testing import CliRunner, Result

from curation_db.enums import Kind
from curation_db.errors import RecordError
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.errors import UsageError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    with open_store(created.database) as store:
        Record(store).add(5)
    return created


def decide(workspace: Workspace, name: str, count: int) -> None:
    """Make `count` decisions in a session of this annotator."""
    with open_store(workspace.database) as store:
        session = Record(store).open_session(name)
        for claim in session.queue.claim(count):
            session.reviewer.decide(claim.candidate_id, Kind.ACCEPT)
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")


def negwb(workspace: Workspace, *words: str) -> Result:
    return CliRunner().invoke(app, ["-w", str(workspace.root), *words])


def run_json(workspace: Workspace, *words: str) -> Any:
    done = negwb(workspace, *words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def events(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM event").fetchone()[0])
    finally:
        connection.close()


def test_the_path_goes_to_stdout_and_messages_to_stderr(workspace: Workspace) -> None:
    decide(workspace, "ana", 2)
    done = negwb(workspace, "backup")
    assert done.exit_code == 0
    (line,) = done.stdout.splitlines()
    assert Path(line).parent == workspace.root / "backups"
    assert events(Path(line)) == 2
    assert "2 events, 5 candidates, 5 images" in done.stderr


def test_a_named_file_is_never_overwritten(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "mine.db"
    assert run_json(workspace, "backup", str(file))["path"] == str(file)
    before = file.read_bytes()
    assert isinstance(negwb(workspace, "backup", str(file)).exception, UsageError)
    assert isinstance(negwb(workspace, "backup", str(tmp_path)).exception, UsageError)
    assert file.read_bytes() == before


def test_list_and_keep(workspace: Workspace) -> None:
    assert run_json(workspace, "backup", "--list") == []
    assert "no backups yet" in negwb(workspace, "backup", "--list").stderr
    mine = run_json(workspace, "backup")["path"]
    for _ in range(3):
        decide(workspace, "ana", 1)
        negwb(workspace, "restore", mine)
    before = run_json(workspace, "backup", "--list")
    assert [each["before"] for each in before].count("restore") == 3
    gone = run_json(workspace, "backup", "--keep", "1")["pruned"]
    assert len(gone) == 2
    after = run_json(workspace, "backup", "--list")
    assert {each["path"] for each in before} - set(gone) < {each["path"] for each in after}
    assert mine in {each["path"] for each in after}
    shown = negwb(workspace, "backup", "--list").stdout
    assert "automatic, before restore" in shown
    assert "negwb backup" in shown
    assert isinstance(negwb(workspace, "backup", "--list", "--keep", "1").exception, UsageError)


def test_restore_prints_the_loss_and_how_to_revert(workspace: Workspace) -> None:
    decide(workspace, "ana", 1)
    name = Path(negwb(workspace, "backup").stdout.strip()).name
    decide(workspace, "ana", 1)
    decide(workspace, "ben", 2)
    done = negwb(workspace, "restore", name)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "3 newer events (2 of ben, 1 of ana)" in done.stderr
    assert events(workspace.database) == 1
    back = run_json(workspace, "backup", "--list")[0]
    assert back["before"] == "restore"
    assert back["path"] in done.stderr
    assert run_json(workspace, "restore", back["path"])["lost"] == {"events": 0, "by_person": {}, "rows": {}}
    assert events(workspace.database) == 4


def test_restore_is_refused_during_a_session(workspace: Workspace) -> None:
    backup_path = run_json(workspace, "backup")["path"]
    with open_store(workspace.database) as store:
        session = Record(store).open_session("ana")
        session.reviewer.decide(1, Kind.ACCEPT)
        done = negwb(workspace, "restore", backup_path)
        assert isinstance(done.exception, RecordError)
        assert "ana" in done.exception.message
        assert isinstance(negwb(workspace, "restore", backup_path, "--force").exception, RecordError)
        session.reviewer.decide(2, Kind.ACCEPT)
    assert events(workspace.database) == 2


def test_a_backup_into_a_missing_folder_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    for target in (tmp_path / "no" / "such" / "x.db", workspace.database / "x.db"):
        done = negwb(workspace, "backup", str(target))
        assert isinstance(done.exception, UsageError)
        assert done.exception.message == f"there is no folder {target.parent}"
        assert "\n" not in done.exception.message + done.exception.hint
    assert not (tmp_path / "no").exists()
