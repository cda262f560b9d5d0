"""Record of what a training ran on: versions, machine, and the state of the git repository of the working folder.

Nothing in the record is read back. No part of it can fail a training: what cannot be read is None.
"""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from trainers.settings import available_cores

_PACKAGES = (
    "negwb",
    "torch",
    "open_clip_torch",
    "numpy",
    "pillow",
    "safetensors",
    "timm",
    "transformers",
    "tokenizers",
    "peft",
    "huggingface_hub",
)
_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "PYTORCH_CUDA_ALLOC_CONF",
    "NVIDIA_TF32_OVERRIDE",
    "PYTHONHASHSEED",
)
"""Environment variables that can change a number or a speed. No others are recorded: they may hold secrets."""
_GIT_S = 10.0
"""Most seconds for a question to git; `git status` reads all files of a repository."""


def describe_environment(device: str, folder: Path) -> dict[str, Any]:
    """Return the record of this process, as JSON types.

    Args:
        device: torch device of the training.
        folder: working folder, whose git repository is described.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": available_cores(),
        "threads": torch.get_num_threads(),
        "device": device,
        "device_name": _device_name(device),
        "packages": {name: number for name in _PACKAGES if (number := _version(name)) is not None},
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "git": _git_state(folder),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device_name(device: str) -> str | None:
    if not device.startswith("cuda"):
        return None
    try:
        return torch.cuda.get_device_name(device)
    except (RuntimeError, ValueError, AssertionError):  # AssertionError: a torch without CUDA
        return None


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Return the commit and the number of changed files; None outside of a repository or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _git(folder, "status", "--porcelain")
    return {
        "folder": _git(folder, "rev-parse", "--show-toplevel"),
        "commit": commit,
        "changed_files": None if changed is None else len(changed.splitlines()),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    # The configuration of a foreign repository could name a program as its file-system monitor.
    command = ["git", "-C", str(folder), "--no-optional-locks", "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_GIT_S, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
