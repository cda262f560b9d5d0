"""What every bench shares: the list of them, the machine they ran on, timing and the talk on stderr.

A bench is a function `(quick) -> dict` in a module of its own, imported when it is asked for.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Bench:
    """A bench of the list."""

    where: str
    """module:function"""
    about: str
    """One line."""


BENCHES: Final[dict[str, Bench]] = {
    "startup": Bench("benchmarks.speed.startup:run", "process start to the help text and to the first painted card"),
    "curate": Bench("benchmarks.speed.curate:run", "a key to the next card, with a million candidates"),
    "browse": Bench("benchmarks.speed.browse:run", "a view of a million candidates, its pages, its memory"),
    "import": Bench("benchmarks.speed.import_:run", "414,113 captions into the record, against raw sqlite3"),
    "lint": Bench("benchmarks.speed.lint:run", "all rules over 20,000 candidates, against each rule by itself"),
    "generate": Bench("benchmarks.speed.generate:run", "questions to a server, against what it can take"),
    "writers": Bench("benchmarks.speed.writers:run", "eight processes deciding at once on one record"),
}

_PACKAGES: Final = ("negwb", "httpx", "sqlalchemy", "sqlmodel", "textual", "typer", "pillow", "numpy", "torch")


def run_bench(name: str, *, quick: bool) -> dict[str, Any]:
    """Run a bench; its figures, and what they were measured on."""
    module, _, function = BENCHES[name].where.partition(":")
    bench: Callable[..., dict[str, Any]] = getattr(import_module(module), function)
    started = time.perf_counter()
    figures = bench(quick=quick)
    return {
        "bench": name,
        "quick": quick,
        "seconds": round(time.perf_counter() - started, 2),  # of the whole bench, unless it counts its own
        **figures,
        "machine": machine(),
        "versions": versions(),
        "notes": figures.get("notes", []),
    }


def machine() -> dict[str, Any]:
    """Cores, CPU model and memory of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gb": round(memory / 2**30, 1),
        "system": platform.platform(),
    }


def _cpu_model() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    lines = (line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name"))
    return next(lines, platform.processor())


def versions() -> dict[str, str]:
    """Python, SQLite and the packages that matter, where they are installed; none is imported."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def say(line: str) -> None:
    """Progress, on stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def median(values: Iterable[float]) -> float:
    """The median, to the millisecond."""
    return round(statistics.median(values), 3)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
