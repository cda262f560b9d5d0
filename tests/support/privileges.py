"""Running something as a person for whom a read-only folder is read-only, even where the tests run as root."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

_PR_CAPBSET_DROP = 24
_PASSES = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


def run_as_a_person(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run `command`; root loses the right to what permissions forbid. Where it cannot, the test is skipped."""
    try:
        return subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
            preexec_fn=_obey_permissions if os.geteuid() == 0 else None,
        )
    except subprocess.SubprocessError as error:
        if isinstance(error, subprocess.TimeoutExpired):
            raise
        pytest.skip("root cannot give up its rights here")


def _obey_permissions() -> None:
    """Give up root's passes to all files: gone with the next exec, when they are in the bounding set no longer."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _PASSES:
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "cannot give up a capability")
