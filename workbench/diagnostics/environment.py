"""What the workbench stands on: versions, disk, terminal, GPU. Each answer is a finding; none imports torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from curation_db.integrity.checks import CheckResult, Level
from curation_db.storage.filesystem import file_system_type, network_file_system_type
from workbench.installation import install_command

_NEEDED = ("textual", "textual-image", "pillow", "sqlalchemy")
_OPTIONAL = ("torch", "open_clip_torch", "transformers")
_OLDEST_SQLITE = (3, 35, 0)
"""The first with RETURNING."""
_LITTLE = 100_000_000
"""Bytes below which decisions themselves are at risk."""
_GPU_S = 10
_ASK = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")


def versions() -> Iterator[CheckResult]:
    """What runs here, and whether it is enough."""
    import sqlite3  # noqa: PLC0415

    from workbench import version  # noqa: PLC0415

    yield CheckResult("negwb", Level.OK, f"{version()} on Python {sys.version.split()[0]} ({sys.platform})")
    enough = sqlite3.sqlite_version_info >= _OLDEST_SQLITE
    hint = "" if enough else "negwb needs 3.35 or newer: take a newer Python"
    yield CheckResult("sqlite", Level.OK if enough else Level.ERROR, sqlite3.sqlite_version, hint)
    yield CheckResult("screens", Level.OK, ", ".join(f"{name} {_version(name) or 'missing'}" for name in _NEEDED))
    found = [f"{name} {installed}" for name in _OPTIONAL if (installed := _version(name)) is not None]
    told = ", ".join(found) or "torch is not installed: negwb can curate and export, not train or bench"
    yield CheckResult("training", Level.OK, told, "" if found else f"to train: {install_command('train')}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def gpu() -> CheckResult:
    """The graphics processor, asked of the driver, not of torch (two seconds)."""
    try:
        done = subprocess.run(_ASK, capture_output=True, text=True, timeout=_GPU_S, check=False)
    except FileNotFoundError:
        return CheckResult("gpu", Level.OK, "no NVIDIA driver here: training and benchmarks run on the CPU")
    except (OSError, subprocess.TimeoutExpired) as error:
        return CheckResult("gpu", Level.WARNING, f"nvidia-smi does not answer ({type(error).__name__})")
    if done.returncode != 0:
        said = (done.stdout or done.stderr).strip().splitlines()
        return CheckResult("gpu", Level.WARNING, f"nvidia-smi fails: {said[0] if said else done.returncode}")
    cards = "; ".join(done.stdout.strip().splitlines())
    if "+cpu" in (_version("torch") or ""):
        hint = "install torch for CUDA: https://pytorch.org/get-started/locally"
        return CheckResult("gpu", Level.WARNING, f"{cards}; but torch {_version('torch')} cannot use it", hint)
    return CheckResult("gpu", Level.OK, cards)


def disk(record: Path) -> CheckResult:
    """Whether decisions and a backup of the record have room."""
    free = shutil.disk_usage(record.parent).free
    size = record.stat().st_size if record.is_file() else 0
    told = f"{free / 1e9:,.1f} GB free; the record takes {size / 1e6:,.1f} MB"
    if free < _LITTLE:
        return CheckResult("disk", Level.ERROR, told, "free some space: without it no decision can be written")
    if free < 2 * size:
        return CheckResult("disk", Level.WARNING, told, "too little for a backup: free some space")
    return CheckResult("disk", Level.OK, told)


def mount(record: Path) -> CheckResult:
    """Whether the record lies where SQLite's locks hold."""
    kind = network_file_system_type(record)
    if kind:
        return CheckResult(
            "file system",
            Level.WARNING,
            f"{kind}, over the network: locks and shared memory do not reach other machines",
            "let only one machine work in it, or move the workspace to a local disk",
        )
    return CheckResult("file system", Level.OK, file_system_type(record) or "not told by this system")


def graphics(setting: str, environ: Mapping[str, str] | None = None) -> CheckResult:
    """How pictures will be drawn in this terminal, and why."""
    from workbench.console.terminal_check import at_a_terminal  # noqa: PLC0415
    from workbench.console.terminal_env import detect_terminal, reason  # noqa: PLC0415
    from workbench.images.terminal_graphics import choose_protocol  # noqa: PLC0415

    told = os.environ if environ is None else environ
    if not at_a_terminal():
        return CheckResult(
            "graphics", Level.OK, "no terminal at both ends: run negwb doctor in one to see how it draws"
        )
    chosen = choose_protocol(setting)
    return CheckResult(
        "graphics", Level.OK, f"pictures are drawn in {_ways(chosen)}: {reason(setting, chosen, detect_terminal(told))}"
    )


def _ways(chosen: str) -> str:
    return {"kitty": "Kitty's graphics", "sixel": "sixels", "halfcell": "half cells", "none": "no way"}[chosen]
