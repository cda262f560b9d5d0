"""SIGTERM and SIGHUP end a command as Ctrl-C does: one line, an exit code, and no unfinished files."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.held_locks import Hold, command, start, wait_until
from support.record import Record
from support.terminal import Terminal

from curation_db.enums import Kind, Role
from curation_db.storage.backup import back_up
from curation_db.storage.store import open_store
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

SIGNALS = (signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.long))
CODES = {signal.SIGTERM: 143, signal.SIGHUP: 129}
HELD = {
    "import": "curation_db.importing.writers.batch:insert_captions",
    "export": "curation_db.exporting.freeze:read_pairs",
    "backup": "curation_db.storage.backup:finish_backup",
    "restore": "curation_db.storage.restore:_back_up_present",
    "lint": "curation_db.lint.report:count_corpus",
    "lint --rule in-caption": "curation_db.lint.report:candidate_rows",
    "doctor": "curation_db.integrity.checks:compare",
    "doctor --repair": "curation_db.integrity.rebuild:rebuild",
    "browse --json": "curation_db.search.rows:page_of",
    "browse --limit 5": "curation_db.search.rows:page_of",
    "history 1": "curation_db.storage.store:Store.read",
    "progress": "curation_db.stats.progress:_people",
    "gold": "workbench.reports.status_report:gold_report",
    "gold --from-adjudicated": "curation_db.storage.store:Store._check_schema",
    "status": "curation_db.search.overview:_people",
}
"""The function in which each command is held: in its main work, inside a transaction if it has one."""
CLOSING = {
    "backup": "curation_db.storage.database_file:delete_database",
    "restore": "curation_db.storage.database_file:delete_database",
    "export": "shutil:rmtree",
}
"""A function that the clean-up of a command calls; other commands close the record."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Create 200 candidates, five decisions of an adjudicator whose session has ended, a backup, and an import file."""
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        record = Record(store)
        record.add(200)
        session = record.open_session("ana", role=Role.ADJUDICATOR)
        for number in range(1, 6):
            session.reviewer.decide(number, Kind.ACCEPT)
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
    back_up(workspace.database, tmp_path / "copy.db")
    rows = ({"image": f"{n}.jpg", "caption": f"a dog on the road {n}"} for n in range(50))
    (tmp_path / "captions.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    return workspace


def words_of(workspace: Workspace, name: str) -> list[str]:
    folder = workspace.root.parent
    arguments = {"import": [str(folder / "captions.jsonl")], "restore": [str(folder / "copy.db")]}
    return ["-w", str(workspace.root), *name.split(), *arguments.get(name, [])]


def rows(workspace: Workspace, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{workspace.database}?mode=ro", uri=True)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def assert_clean(workspace: Workspace) -> None:
    """Check that there is no unfinished file, journal or transaction, and that the record is not locked."""
    names = [path.name for path in workspace.root.rglob("*")]
    assert [name for name in names if name.endswith((".part", ".partial", "-wal", "-shm", "-journal"))] == []
    assert not (workspace.root / "exports").exists() or not list((workspace.root / "exports").iterdir())
    assert rows(workspace, "PRAGMA integrity_check") == [("ok",)]
    assert rows(workspace, "SELECT count(*) FROM event") == [(5,)]
    with open_store(workspace.database) as store, store.write():
        Record(store).assert_state_matches_events()


def assert_ended_by(process: subprocess.Popen[str], number: signal.Signals) -> None:
    out, err = process.communicate(timeout=60)
    assert process.returncode == CODES[number], err
    assert out == ""
    *before, last = err.splitlines()
    assert last == f"negwb: ended by {number.name}; what was done is kept"
    assert all(
        any(part in line for part in ("complete batches are imported", "fetching", "licence: ")) for line in before
    ), err


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("name", HELD)
def test_a_signal_ends_a_command_and_leaves_nothing_behind(
    workspace: Workspace, tmp_path: Path, name: str, number: signal.Signals
) -> None:
    captions = rows(workspace, "SELECT count(*) FROM caption")
    if name == "doctor --repair":
        damage_state(workspace)
    hold = Hold(HELD[name], tmp_path)
    with start(words_of(workspace, name), hold) as process:
        wait_until(lambda: hold.reached, process)
        process.send_signal(number)
        assert_ended_by(process, number)
    if name == "doctor --repair":
        assert subprocess.run(command(words_of(workspace, name)), capture_output=True, check=False).returncode in {0, 1}
    assert_clean(workspace)
    assert rows(workspace, "SELECT count(*) FROM caption") == captions


def damage_state(workspace: Workspace) -> None:
    """Change a stored state, for `doctor --repair` to correct."""
    connection = sqlite3.connect(workspace.database)
    connection.execute("UPDATE candidate_state SET state = 'open' WHERE candidate_id = 1")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("second", SIGNALS)
@pytest.mark.parametrize("name", ["import", "export", "backup", "restore", "lint", "browse --json", "status"])
def test_a_second_signal_does_not_interrupt_the_clean_up(
    workspace: Workspace, tmp_path: Path, name: str, second: signal.Signals
) -> None:
    work = Hold(HELD[name], tmp_path)
    closing = Hold(CLOSING.get(name, "curation_db.storage.store:Store.close"), tmp_path)
    with start(words_of(workspace, name), work, closing) as process:
        wait_until(lambda: work.reached, process)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: closing.reached, process)
        for number in (second, signal.SIGTERM):
            process.send_signal(number)
        closing.release()
        assert_ended_by(process, signal.SIGTERM)
    assert_clean(workspace)


def test_a_signal_after_ctrl_c_does_not_interrupt_the_clean_up(workspace: Workspace, tmp_path: Path) -> None:
    work, closing = Hold(HELD["export"], tmp_path), Hold(CLOSING["export"], tmp_path)
    with start(words_of(workspace, "export"), work, closing) as process:
        wait_until(lambda: work.reached, process)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: closing.reached, process)
        process.send_signal(signal.SIGTERM)
        closing.release()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "negwb: interrupted; what was done is kept\n")
    assert_clean(workspace)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_ignored_signal_stays_ignored(workspace: Workspace, tmp_path: Path, number: signal.Signals) -> None:
    """nohup starts a command with SIGHUP ignored."""
    hold = Hold(HELD["export"], tmp_path)
    ignoring = lambda: signal.signal(number, signal.SIG_IGN)  # noqa: E731
    with start(words_of(workspace, "export"), hold, preexec_fn=ignoring) as process:
        wait_until(lambda: hold.reached, process)
        process.send_signal(number)
        hold.release()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_download(workspace: Workspace, number: signal.Signals) -> None:
    """The server accepts the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        words = ["-w", str(workspace.root), "bench", "fetch", "negrefcocog", "--mirror", address]
        with start(words) as process:
            server.settimeout(60)
            connection, _ = server.accept()
            with connection:
                process.send_signal(number)
                assert_ended_by(process, number)
    assert not list(workspace.root.rglob("*.part"))


@pytest.mark.long
def test_a_vanished_terminal_is_no_error(workspace: Workspace, tmp_path: Path) -> None:
    """The exit code is that of the signal although the output is gone."""
    hold = Hold(HELD["status"], tmp_path)
    with Terminal(command(words_of(workspace, "status"), hold)) as terminal:
        terminal.wait_for(lambda: hold.reached)
        terminal.hang_up()
        terminal.process.send_signal(signal.SIGHUP)
        assert terminal.process.wait(60) == CODES[signal.SIGHUP]
    assert_clean(workspace)


class TestCurate:
    """A signal in the app and in plain mode releases the leases and ends the session."""

    @pytest.fixture
    def leaving(self, tmp_path: Path) -> Hold:
        """Hold inside the clean-up, before the leases are released."""
        return Hold("workbench.annotation.session:end_session", tmp_path)

    def words(self, workspace: Workspace, *more: str) -> list[str]:
        return ["-w", str(workspace.root), "curate", "-a", "ben", *more]

    def assert_released(self, workspace: Workspace) -> None:
        assert_clean(workspace)
        assert rows(workspace, "SELECT count(*) FROM lease") == [(0,)]
        assert rows(workspace, "SELECT count(*) FROM work_session WHERE ended_at IS NULL") == [(0,)]

    @pytest.mark.parametrize("number", SIGNALS)
    def test_a_signal_in_the_app(self, workspace: Workspace, leaving: Hold, number: signal.Signals) -> None:
        with Terminal(command(self.words(workspace, "--images", "none"), leaving)) as terminal:
            terminal.wait_for(b"NEGATED")
            terminal.process.send_signal(number)
            terminal.wait_for(lambda: leaving.reached)
            terminal.process.send_signal(signal.SIGTERM)
            terminal.process.send_signal(signal.SIGHUP)
            leaving.release()
            assert terminal.end() == CODES[number]
            assert b"Traceback" not in terminal.output
            assert f"negwb: ended by {number.name}".encode() in terminal.output
        self.assert_released(workspace)

    @pytest.mark.parametrize("number", SIGNALS)
    def test_a_signal_in_plain_mode(self, workspace: Workspace, leaving: Hold, number: signal.Signals) -> None:
        with start(self.words(workspace, "--plain"), leaving, stdin=subprocess.PIPE) as process:
            wait_until(lambda: rows(workspace, "SELECT count(*) FROM lease") != [(0,)], process)
            process.send_signal(number)
            wait_until(lambda: leaving.reached, process)
            process.send_signal(signal.SIGTERM)
            leaving.release()
            _, err = process.communicate(timeout=60)
        assert process.returncode == CODES[number]
        assert err.splitlines()[-1] == f"negwb: ended by {number.name}; what was done is kept"
        self.assert_released(workspace)

    def test_a_signal_while_the_app_quits(self, workspace: Workspace, leaving: Hold) -> None:
        with Terminal(command(self.words(workspace, "--images", "none"), leaving)) as terminal:
            terminal.wait_for(b"NEGATED")
            terminal.press_until("q", lambda: leaving.reached)
            terminal.process.send_signal(signal.SIGTERM)
            leaving.release()
            assert terminal.end() == CODES[signal.SIGTERM]
        self.assert_released(workspace)


def test_children_start_with_the_default_action() -> None:
    """A child process that inherited our handler would not end on SIGTERM."""
    code = """
import signal, subprocess, sys
from workbench.console import interruption
with interruption.raised():
    child = "import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)"
    subprocess.run([sys.executable, "-c", child], check=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
