"""A command whose reader has stopped reading (a pager) holds no view of the record, which would let the log grow."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from support.held_locks import start, wait_until
from support.record import Record

from curation_db.storage.store import open_store
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """So many candidates that a list of them is larger than a pipe."""
    made = create_workspace(tmp_path / "ws")
    with open_store(made.database) as store:
        Record(store).add(1_500)
    return made


@pytest.mark.parametrize("words", [("browse", "--json"), ("lint", "--rule", "near-duplicate", "--json")])
def test_a_pager_holds_no_view_of_the_record(workspace: Workspace, words: tuple[str, ...]) -> None:
    writer = sqlite3.connect(workspace.database, isolation_level=None)
    with start(["-w", str(workspace.root), *words]) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("{")  # and no more: the pipe fills up
        writer.execute("UPDATE source SET name = 'other'")
        wait_until(lambda: wait_for_end(writer), process)
        assert process.poll() is None
    writer.close()


def wait_for_end(connection: sqlite3.Connection) -> bool:
    """Whether all of the log could be brought into the record: nobody reads what was there before."""
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
