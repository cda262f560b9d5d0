"""Trainings as the runs screen starts and stops them. They are processes of their own, and outlive every screen.

What we started is remembered only so that it leaves no zombie; a run that somebody else started is found by its lock.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.runlog import Status
from workbench.errors import NegwbError
from workbench.paths import Workspace
from workbench.runs import find_model, prepare_run, require_torch, resume
from workbench.training import start_child, trainer_pid

_ours: dict[Path, subprocess.Popen[bytes]] = {}
_trained: dict[Path, int] = {}
"""Which process of ours was seen training there: if it still lives and does no more, it is ending."""
_ENDING_S = 10.0
"""How long going on may wait for the process before it."""


@dataclass(frozen=True, slots=True)
class Order:
    """A training that was asked for."""

    export: str
    model: str
    name: str | None = None
    settings: Mapping[str, Any] | None = None


def start(workspace: Workspace, order: Order) -> str:
    """Prepare the run and start its process; its name.

    Raises:
        NegwbError: it cannot be; nothing was made.
    """
    require_torch()
    find_model(workspace, order.model)
    folder = prepare_run(workspace, order.export, model=order.model, name=order.name, settings=order.settings)
    _ours[folder] = start_child(folder)
    return folder.name


def go_on(workspace: Workspace, name: str) -> None:
    """Start the process of a run that stopped.

    Raises:
        NegwbError: it is done, or trains already.
    """
    require_torch()
    folder = resume(workspace, name)
    if (ours := _ours.get(folder)) is not None and ours.poll() is None:
        if _trained.get(folder) != ours.pid:
            raise NegwbError(f"{name} is starting already")
        try:
            ours.wait(_ENDING_S)  # its state is saved; its last seconds are nobody's concern
        except subprocess.TimeoutExpired as error:
            raise NegwbError(f"{name} is still ending", hint="try again in a moment") from error
    _ours[folder] = start_child(folder)


def stop(folder: Path) -> None:
    """Ask the run's process to save its state and end. Asked twice, it ends at once.

    Raises:
        NegwbError: nobody trains it, or it cannot be told who.
    """
    ours = _ours.get(folder)
    if ours is not None and ours.poll() is None:
        ours.send_signal(signal.SIGINT)
        return
    holder = trainer_pid(folder)
    if holder is None:
        raise NegwbError(f"no process of this machine trains {folder.name}")
    try:
        os.kill(holder, signal.SIGINT)
    except OSError as error:
        raise NegwbError(f"process {holder} cannot be stopped: {error.strerror}") from error


def starting(folder: Path, status: Status | None) -> bool:
    """Whether a process of ours lives there that does not train yet; one that trained and still lives is ending."""
    ours = _ours.get(folder)
    if ours is None or ours.poll() is not None:
        return False
    if status in (Status.RUNNING, Status.DONE):
        _trained[folder] = ours.pid
    return _trained.get(folder) != ours.pid
