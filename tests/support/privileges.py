"""Run a command for which read-only folders are read-only, even if the tests run as root."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

_PR_CAPBSET_DROP = 24
_CAPABILITIES = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


def run_without_root_privileges(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run `command` without root's right to bypass permissions; skip the test where that is not possible."""
    try:
        return subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
            preexec_fn=without_root_privileges(),
        )
    except subprocess.SubprocessError as error:
        if isinstance(error, subprocess.TimeoutExpired):
            raise
        pytest.skip("root cannot give up its rights here")


def without_root_privileges() -> Callable[[], None] | None:
    """Return the function that a child process calls before the exec, to lose root's right; None: it has none."""
    return _drop_privileges if os.geteuid() == 0 else None


def _drop_privileges() -> None:
    """Drop root's capabilities for all files from the bounding set; the next exec loses them."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _CAPABILITIES:
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "cannot give up a capability")
