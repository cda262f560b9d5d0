"""Tests of whether the process in a record still runs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from curation_db.processes import ProcessIdentity, command_line, is_alive
from curation_db.storage.ids import utc_now, utc_text

YEAR_S = 365 * 86_400


def identity(pid: int, seen_at: str | None = None, host: str | None = None) -> ProcessIdentity:
    return ProcessIdentity(host or socket.gethostname(), pid, seen_at or utc_now())


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "a word"]) as process:
        yield process
        process.kill()


def test_a_process_is_alive_until_it_ends(child: subprocess.Popen[bytes]) -> None:
    process = identity(child.pid)
    assert is_alive(process) is True
    child.send_signal(signal.SIGSTOP)
    assert is_alive(process) is True, "a suspended process goes on later"
    child.kill()
    child.wait()
    assert is_alive(process) is False


def test_a_zombie_is_not_alive(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table of processes
    os.kill(child.pid, 0)
    assert is_alive(identity(child.pid)) is False


def test_a_process_that_began_later_has_only_the_same_id() -> None:
    assert is_alive(identity(os.getpid(), "2001-01-01T00:00:00.000Z")) is False, "also where it is our own"
    assert is_alive(identity(os.getpid())) is True


def test_a_process_of_another_host_is_unknown() -> None:
    assert is_alive(identity(os.getpid(), host="elsewhere")) is None


def test_the_first_process_of_the_system_is_another_users_or_our_own() -> None:
    assert is_alive(identity(1)) is True


@pytest.mark.parametrize("pid", [0, -1, 2**31 - 1, 2**70])
def test_an_impossible_id_names_no_process(pid: int) -> None:
    assert is_alive(identity(pid)) is False


@pytest.mark.parametrize("seen_at", ["", "yesterday", "2026", "9999-12-31T23:59:59Z"])
def test_an_unreadable_time_is_ignored(seen_at: str) -> None:
    assert is_alive(identity(os.getpid(), seen_at or " ")) is True


def test_a_hidden_start_time_counts_as_the_same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(*_: object) -> float:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "create_time", hidden)
    assert is_alive(identity(os.getpid(), "2001-01-01T00:00:00.000Z")) is True


def test_a_start_time_in_the_future_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container can have a boot time of its own while process starts are counted from the host's."""
    monkeypatch.setattr(psutil.Process, "create_time", lambda *_: time.time() + YEAR_S)
    assert is_alive(identity(os.getpid(), utc_text(time.time() - 60))) is True


def test_the_command_line(child: subprocess.Popen[bytes]) -> None:
    assert command_line(child.pid)[-1] == "a word"
    child.kill()
    child.wait()
    assert command_line(child.pid) == []
    assert command_line(-1) == []


def test_psutil_is_imported_only_when_needed() -> None:
    code = (
        "import sys; from curation_db.processes import *; is_alive(ProcessIdentity(__import__('socket').gethostname(),"
        " 2**31 - 1, '')); import curation_db.events.annotators, curation_db.storage.work_sessions;"
        " print('psutil' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
