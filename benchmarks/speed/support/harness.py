"""Shared parts of the benches: their list, the description of the machine, timing, and progress on stderr.

A bench is a function `(quick) -> dict` in a module of its own, which is imported when the bench runs.
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
from importlib import import_module
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Bench:
    """An entry of the list of benches."""

    target: str
    """module:function"""
    summary: str
    """Description in one line."""


BENCHES: Final[dict[str, Bench]] = {
    "startup": Bench("benchmarks.speed.startup:run", "process start to the help text and to the first painted card"),
    "curate": Bench("benchmarks.speed.curate:run", "a key to the next card, with a million candidates"),
    "browse": Bench("benchmarks.speed.browse:run", "views of a million candidates, their pages and memory"),
    "import": Bench("benchmarks.speed.import_:run", "414,113 captions into the record, against raw sqlite3"),
    "export": Bench("benchmarks.speed.export:run", "229,000 pairs frozen, against a plain loop over the same rows"),
    "audit": Bench("benchmarks.speed.audit:run", "10 million captions, against a plain regular expression and grep"),
    "lint": Bench("benchmarks.speed.lint:run", "all rules over 20,000 candidates, against each rule by itself"),
    "generate": Bench("benchmarks.speed.generate:run", "requests to a server, against its maximum rate"),
    "generate-memory": Bench("benchmarks.speed.generate_memory:run", "memory of a run over 100,000 captions"),
    "report": Bench("benchmarks.speed.report:run", "comparing 200 models, against a report without a cache"),
    "evaluate": Bench("benchmarks.speed.evaluate:run", "evaluation of ViT-B/32, against the published loop"),
    "train": Bench("benchmarks.speed.train:run", "fine-tuning of ViT-B/32 and ViT-L/14, against the published loop"),
    "writers": Bench("benchmarks.speed.writers:run", "eight processes deciding at once on one record"),
}

_PACKAGES: Final = (
    "negwb",
    "httpx",
    "sqlalchemy",
    "sqlmodel",
    "textual",
    "typer",
    "pillow",
    "numpy",
    "torch",
    "open_clip_torch",
)


def run_bench(name: str, *, quick: bool) -> dict[str, Any]:
    """Run a bench; return its figures with the machine and versions."""
    module, _, function = BENCHES[name].target.partition(":")
    bench: Callable[..., dict[str, Any]] = getattr(import_module(module), function)
    started = time.perf_counter()
    figures = bench(quick=quick)
    return {
        "bench": name,
        "quick": quick,
        "seconds": round(time.perf_counter() - started, 2),  # of the whole bench, unless its figures have the key, too
        **figures,
        "machine": machine(),
        "versions": versions(),
        "notes": figures.get("notes", []),
    }


def machine() -> dict[str, Any]:
    """Describe this machine: cores, CPU model, memory, system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gb": round(memory / 2**30, 1),
        "system": platform.platform(),
    }


def _cpu_model() -> str:
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    lines = (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name"))
    return next(lines, platform.processor())


def versions() -> dict[str, str]:
    """Return the versions of Python, SQLite and the relevant installed packages, without importing them."""
    from importlib import metadata  # noqa: PLC0415 -- every process that a bench starts imports this module

    listed = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for package in _PACKAGES:
        try:
            listed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return listed


def report_progress(line: str) -> None:
    """Write a line of progress to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def median(values: Iterable[float]) -> float:
    """Return the median, rounded to 3 digits."""
    return round(statistics.median(values), 3)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
