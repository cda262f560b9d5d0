"""Checks of the machine: versions, disk, file system, terminal, GPU. None imports torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from curation_db.integrity.checks import CheckResult, Level
from curation_db.storage.filesystem import file_system_type, network_file_system_type
from workbench.installation import install_command

_NEEDED = ("textual", "pillow", "sqlalchemy")
_OPTIONAL = ("torch", "open_clip_torch", "transformers")
_OLDEST_SQLITE = (3, 35, 0)
"""The first version with RETURNING."""
_MIN_FREE = 100_000_000
"""Bytes; with less, decisions may fail to be written."""
_GPU_S = 10
_ASK = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")


def versions() -> Iterator[CheckResult]:
    """Check the versions of negwb, SQLite and the libraries."""
    import sqlite3  # noqa: PLC0415

    from workbench import version  # noqa: PLC0415

    yield CheckResult("negwb", Level.OK, f"{version()} on Python {sys.version.split()[0]} ({sys.platform})")
    enough = sqlite3.sqlite_version_info >= _OLDEST_SQLITE
    hint = "" if enough else "negwb needs SQLite 3.35 or newer: use a newer Python"
    yield CheckResult("sqlite", Level.OK if enough else Level.ERROR, sqlite3.sqlite_version, hint)
    yield CheckResult("screens", Level.OK, ", ".join(f"{name} {_version(name) or 'missing'}" for name in _NEEDED))
    present = [f"{name} {installed}" for name in _OPTIONAL if (installed := _version(name)) is not None]
    message = ", ".join(present) or "torch is not installed: negwb can curate and export, not train or bench"
    yield CheckResult("training", Level.OK, message, "" if present else f"to train: {install_command('train')}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def gpu() -> CheckResult:
    """Check the GPU with nvidia-smi, since importing torch takes two seconds."""
    try:
        done = subprocess.run(_ASK, capture_output=True, text=True, timeout=_GPU_S, check=False)
    except FileNotFoundError:
        return CheckResult("gpu", Level.OK, "no NVIDIA driver: training and benchmarks run on the CPU")
    except (OSError, subprocess.TimeoutExpired) as error:
        return CheckResult("gpu", Level.WARNING, f"nvidia-smi does not answer ({type(error).__name__})")
    if done.returncode != 0:
        output = (done.stdout or done.stderr).strip().splitlines()
        return CheckResult("gpu", Level.WARNING, f"nvidia-smi fails: {output[0] if output else done.returncode}")
    cards = "; ".join(done.stdout.strip().splitlines())
    if "+cpu" in (_version("torch") or ""):
        hint = "install torch for CUDA: https://pytorch.org/get-started/locally"
        return CheckResult("gpu", Level.WARNING, f"{cards}; but torch {_version('torch')} cannot use it", hint)
    return CheckResult("gpu", Level.OK, cards)


def disk(record: Path) -> CheckResult:
    """Check the free space for decisions and a backup."""
    free = shutil.disk_usage(record.parent).free
    size = record.stat().st_size if record.is_file() else 0
    message = f"{free / 1e9:,.1f} GB free; the record has {size / 1e6:,.1f} MB"
    if free < _MIN_FREE:
        return CheckResult("disk", Level.ERROR, message, "free some space: decisions cannot be written without it")
    if free < 2 * size:
        return CheckResult("disk", Level.WARNING, message, "free some space: there is too little for a backup")
    return CheckResult("disk", Level.OK, message)


def mount(record: Path) -> CheckResult:
    """Check that SQLite's locks work on the file system of the record."""
    kind = network_file_system_type(record)
    if kind:
        return CheckResult(
            "file system",
            Level.WARNING,
            f"{kind}, a network file system: locks and shared memory do not reach other machines",
            "use the workspace from one machine only, or move it to a local disk",
        )
    return CheckResult("file system", Level.OK, file_system_type(record) or "unknown")


def graphics(setting: str) -> CheckResult:
    """Report how images are drawn in this terminal, and why."""
    from workbench.console.terminal_check import at_a_terminal  # noqa: PLC0415
    from workbench.console.terminal_env import detect_terminal, reason  # noqa: PLC0415
    from workbench.images.terminal_graphics import choose_protocol  # noqa: PLC0415

    if not at_a_terminal():
        return CheckResult("graphics", Level.OK, "stdin or stdout is no terminal: run negwb doctor in a terminal")
    chosen = choose_protocol(setting)
    return CheckResult(
        "graphics",
        Level.OK,
        f"images are drawn with {_protocol_name(chosen)}: {reason(setting, chosen, detect_terminal(os.environ))}",
    )


def _protocol_name(chosen: str) -> str:
    return {"kitty": "Kitty's graphics", "sixel": "sixels", "halfcell": "half cells", "none": "nothing"}[chosen]
