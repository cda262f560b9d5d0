"""Identifies processes across restarts: whether the process that a record names still runs, and its command line.

psutil is imported when it is first needed: its import takes 30 ms.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime

_CLOCK_TOLERANCE_S = 5.0
"""The kernel counts process starts from a boot time of whole seconds."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Identity of a process as a record stores it. The ID alone is not enough: IDs are reused, soon in containers."""

    host: str
    pid: int
    seen_at: str
    """A time at which the process ran (ISO 8601, UTC)."""


def is_local(host: str) -> bool:
    return host == socket.gethostname()


def is_alive(process: ProcessIdentity) -> bool | None:
    """Return whether the process still runs; None if it belongs to another host.

    A zombie does not run. A process of another user whose start time the system hides counts as the same process.
    """
    if not is_local(process.host):
        return None
    if not _exists(process.pid):  # spares the import of psutil after a crash
        return False
    started, zombie = _start_time(process.pid)
    if zombie or started is None:
        return not zombie and _exists(process.pid)
    try:
        seen_at = datetime.fromisoformat(process.seen_at).timestamp()
    except (ValueError, OverflowError):
        return True
    # A start in the future means that the boot time is the container's but the start counts from the host's boot.
    return not seen_at + _CLOCK_TOLERANCE_S < started <= time.time() + _CLOCK_TOLERANCE_S


def command_line(pid: int) -> list[str]:
    """Return the arguments of the process's command line; empty without the process, or if the system hides it."""
    import psutil  # noqa: PLC0415

    try:
        return psutil.Process(pid).cmdline()
    except (psutil.Error, OSError, ValueError):
        return []


def _exists(pid: int) -> bool:
    if pid < 1:  # os.kill would address process groups
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # it belongs to another user
    return True


def _start_time(pid: int) -> tuple[float | None, bool]:
    """Return the start in seconds since the epoch (None if unknown), and whether the process is a zombie."""
    import psutil  # noqa: PLC0415

    try:
        process = psutil.Process(pid)
        return process.create_time(), process.status() == psutil.STATUS_ZOMBIE
    except psutil.ZombieProcess:
        return None, True
    except (psutil.Error, OSError, ValueError, IndexError, RuntimeError):  # RuntimeError: /proc/stat has no boot time
        return None, False
