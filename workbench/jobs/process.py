"""Child processes that outlive the screen that starts them. They write to files and to the record only.

A child runs in a session of its own, so the terminal's Ctrl-C does not reach it. One SIGINT asks it to save its work
and to end, a second one ends it at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from workbench.errors import NegwbError

ChildProcess = subprocess.Popen[bytes]

_LOCKS = Path("/proc/locks")
_TAIL_BYTES = 16_384


@dataclass(slots=True)
class Job:
    """A child process of this process."""

    process: ChildProcess

    @property
    def running(self) -> bool:
        """Whether the process runs; one that has ended is reaped, so that no zombie stays."""
        return self.process.poll() is None

    def interrupt(self) -> None:
        """Send SIGINT to the process, unless it has ended."""
        self.process.send_signal(signal.SIGINT)


Key = TypeVar("Key")
AnyJob = TypeVar("AnyJob", bound=Job)


class JobRegistry(dict[Key, AnyJob]):
    """The jobs that this process has started. Jobs of other processes are found in the record or by their lock."""

    def running(self, key: Key) -> AnyJob | None:
        """The job, if it runs."""
        job = self.get(key)
        return job if job is not None and job.running else None


def start_detached(module: str, arguments: Sequence[str], output: BinaryIO) -> ChildProcess:
    """Start `python -m module` in a session of its own; stdout and stderr go to `output`.

    Raises:
        OSError: the process cannot be started.
    """
    command = [sys.executable, "-P", "-m", module, *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )


def interrupt(pid: int) -> None:
    """Send SIGINT to a process that another process started.

    Raises:
        NegwbError: it cannot be signalled.
    """
    try:
        os.kill(pid, signal.SIGINT)
    except OSError as error:
        raise NegwbError(f"process {pid} cannot be stopped: {error.strerror}") from error


def end_all(processes: Iterable[ChildProcess]) -> None:
    """Interrupt the processes and wait for them; each KeyboardInterrupt escalates: SIGINT, SIGINT, SIGKILL."""
    running = [process for process in processes if process.poll() is None]
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
        for process in running:
            process.send_signal(number)
        try:
            for process in running:
                process.wait()
        except KeyboardInterrupt:
            continue
        return


def stop_command(pid: int) -> str:
    """The shell command that asks a job to save its work and to end."""
    return f"kill -INT {pid}"


def lock_holders(lock: Path) -> list[int]:
    """The processes of this host that may hold the exclusive flock on the file; none where the system has no list.

    The list names files by inode only, so a holder can be that of another device's file: check its command line.
    """
    try:
        inode = str(lock.stat().st_ino)
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return []
    pids = []
    for line in lines:  # 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF; a process that waits has -> before FLOCK
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[3] == "WRITE" and fields[5].rpartition(":")[2] == inode:
            pids.append(int(fields[4]))
    return [pid for pid in pids if pid > 1]  # 0: a process of another container


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """The last lines of a text file, read from its last 16 kB; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            content = file.read(_TAIL_BYTES)
    except OSError:
        return ()
    return tuple(content.decode("utf-8", "replace").split("\n")[-lines - 1 :])[-lines:]
