"""Use of the machine while a job runs: cores of the whole machine, memory of the machine and of the job.

A GPU is not measured: that needs a library of its vendor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

_GB = 1e9
_MIN_INTERVAL_S = 1.0
"""Interval between two measurements: the share of the cores is a mean over it."""


@dataclass(frozen=True, slots=True)
class MachineLoad:
    cpu: float
    """Share of the time of all cores that is in use, from 0 to 1."""
    cores: int
    memory: int
    """Bytes in use, of all processes."""
    memory_total: int
    job_memory: int | None
    """Bytes that the job's process uses; None: it has ended."""

    def describe(self) -> str:
        """Return one line, like "cpu 93% of 2 cores, memory 5.1 of 15.6 GB, training 1.2 GB"."""
        cores = f"cpu {self.cpu:.0%} of {self.cores} core{'' if self.cores == 1 else 's'}"
        memory = f"memory {self.memory / _GB:.1f} of {self.memory_total / _GB:.1f} GB"
        job = "" if self.job_memory is None else f", training {self.job_memory / _GB:.1f} GB"
        return f"{cores}, {memory}{job}"


class LoadMeter:
    """Measures the load about once a second, however often it is read."""

    def __init__(self, pid: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`pid`: the process of the job."""
        self.pid = pid
        self._clock = clock
        self._process: psutil.Process | None = None
        self._last: tuple[float, MachineLoad] | None = None

    def read(self) -> MachineLoad | None:
        """Return the load; None before there is an interval to measure, or where the system reports none."""
        import psutil  # noqa: PLC0415  # its import takes 30 ms

        now = self._clock()
        if self._last is not None and now - self._last[0] < _MIN_INTERVAL_S:
            return self._last[1]
        try:
            cpu, memory = psutil.cpu_percent() / 100, psutil.virtual_memory()
            cores = psutil.cpu_count() or 1
        except (psutil.Error, OSError, ValueError):
            return None
        is_first, load = self._last is None, MachineLoad(cpu, cores, memory.used, memory.total, self._job_memory())
        self._last = (now, load)
        return None if is_first else load

    def _job_memory(self) -> int | None:
        import psutil  # noqa: PLC0415

        try:
            self._process = self._process or psutil.Process(self.pid)
            return int(self._process.memory_info().rss)
        except (psutil.Error, OSError, ValueError):
            return None
