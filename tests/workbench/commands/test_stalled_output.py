"""A command with a stalled reader (a pager) holds no read transaction, which would let the log grow."""

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
    """Workspace with more candidates than fit into a pipe's buffer."""
    created = create_workspace(tmp_path / "ws")
    with open_store(created.database) as store:
        Record(store).add(1_500)
    return created


@pytest.mark.parametrize("words", [("browse", "--json"), ("lint", "--rule", "near-duplicate", "--json")])
def test_a_pager_holds_no_read_transaction(workspace: Workspace, words: tuple[str, ...]) -> None:
    writer = sqlite3.connect(workspace.database, isolation_level=None)
    with start(["-w", str(workspace.root), *words]) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("{")  # and no more: the pipe fills up
        writer.execute("UPDATE source SET name = 'other'")
        wait_until(lambda: wait_for_end(writer), process)
        assert process.poll() is None
    writer.close()


def wait_for_end(connection: sqlite3.Connection) -> bool:
    """Return whether a checkpoint could move the whole log: no reader uses an older state."""
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
