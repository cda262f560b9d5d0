"""Commands with closed or broken standard streams, and in a deleted folder."""

from __future__ import annotations

import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.record import Record

from curation_db.storage.store import open_store
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

NEGWB = Path(sys.executable).with_name("negwb")
CLOSED = (">&-", "2>&-", ">&- 2>&- <&-")
CODES = {"--help": 0, "status --json": 0, "lint": 0, "curate --plain --annotator ana": 0, "nonsense": 2}
"""Exit codes of commands with intact streams; lint draws a table with rich."""
Process = subprocess.CompletedProcess[bytes]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Workspace with three open candidates, one with a non-ASCII text."""
    created = create_workspace(tmp_path_factory.mktemp("streams") / "ws")
    with open_store(created.database) as store:
        Record(store).add(3)
    return created


def shell(line: str, **more: object) -> Process:
    data = {"capture_output": True, "stdin": subprocess.DEVNULL, "timeout": 120, **more}
    return subprocess.run(["/bin/bash", "-c", line], check=False, **data)  # type: ignore[call-overload, no-any-return]


def command(workspace: Workspace, words: str) -> str:
    return f"{shlex.quote(str(NEGWB))} -w {shlex.quote(str(workspace.root))} {words}"


def clean(done: Process) -> None:
    for words in (b"Traceback", b"Exception ignored", b"Errno"):
        assert words not in done.stderr + done.stdout, (done.stderr + done.stdout).decode()


@pytest.mark.parametrize(
    ("words", "closed"),
    [
        pytest.param(words, closed, marks=() if at_word % len(CLOSED) == at else pytest.mark.long)
        for at_word, words in enumerate(CODES)
        for at, closed in enumerate(CLOSED)
    ],
)
def test_a_closed_stream_changes_no_exit_code(workspace: Workspace, words: str, closed: str) -> None:
    done = shell(f"{command(workspace, words)} {closed}")
    clean(done)
    assert done.returncode == CODES[words]


def test_output_to_a_closed_stream_does_not_reach_the_record(workspace: Workspace) -> None:
    """The database must not get the file descriptor of a standard stream: output would overwrite it."""
    code = (
        "import os, sys\n"
        "from workbench.console import standard_streams\n"
        "standard_streams.prepare()\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    sys.exit(0 if file.fileno() > 2 else 9)"
    )
    line = shlex.join([sys.executable, "-c", code, str(workspace.database)])
    for closed in CLOSED:
        assert shell(f"{line} {closed}").returncode == 0, closed
    shell(f"{command(workspace, 'curate --plain --annotator ben')} >&- 2>&- <&-")
    connection = sqlite3.connect(workspace.database)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize(
    "words", [pytest.param("nonsense", marks=pytest.mark.long), "lint", "curate --plain --annotator ana"]
)
def test_a_command_continues_when_stderr_is_not_read(workspace: Workspace, words: str) -> None:
    """stderr is a pipe without a reader: exit code and stdout do not change."""
    usual = shell(command(workspace, words))
    reader, writer = os.pipe()
    os.close(reader)
    done = shell(command(workspace, words), capture_output=False, stdout=subprocess.PIPE, stderr=writer)
    os.close(writer)
    assert (done.returncode, done.stdout) == (usual.returncode, usual.stdout)


@pytest.mark.parametrize(
    "words", [words if at % 2 else pytest.param(words, marks=pytest.mark.long) for at, words in enumerate(CODES)]
)
def test_a_reader_of_both_streams_that_closes_early(workspace: Workspace, words: str) -> None:
    """`2>&1 | head -0`: the process ends with 0 or its own code, without a traceback or code 120."""
    done = shell(f"{command(workspace, words)} 2>&1 | head -n 0; exit ${{PIPESTATUS[0]}}")
    clean(done)
    assert done.returncode == CODES[words]


class TestADeletedFolder:
    @pytest.fixture
    def gone(self, tmp_path: Path) -> str:
        folder = tmp_path / "gone"
        folder.mkdir()
        return f"cd {shlex.quote(str(folder))} && rmdir {shlex.quote(str(folder))} && "

    @pytest.mark.parametrize(
        "words",
        [
            *("status", "-w {ws} backup x.db"),
            *(pytest.param(words, marks=pytest.mark.long) for words in ("init x", "demo --auto", "serve")),
        ],
    )
    def test_is_reported(self, workspace: Workspace, gone: str, words: str) -> None:
        done = shell(gone + f"{shlex.quote(str(NEGWB))} {words.format(ws=shlex.quote(str(workspace.root)))}")
        assert done.stderr.decode().splitlines() == [
            "negwb: the current folder was deleted",
            "       go to a folder that exists, as in: cd ~",
        ]
        assert (done.returncode, done.stdout) == (2, b"")

    @pytest.mark.parametrize("words", ["--help", "--version"])
    def test_does_not_affect_the_help(self, gone: str, words: str) -> None:
        done = shell(f"{gone}{shlex.quote(str(NEGWB))} {words}")
        assert done.returncode == 0, done.stderr
        assert done.stdout
