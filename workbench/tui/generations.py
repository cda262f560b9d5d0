"""Generations as the screen starts and stops them. They are processes of their own, and outlive every screen.

What we started is remembered only so that it leaves no zombie, and until it has a row in the record; from then on it
is like any other, whoever started it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curation_db.generation_runs import GenerationRunRow
from curation_db.processes import command_line, is_alive
from workbench.errors import NegwbError
from workbench.generation.child import Child, Order, start_child, words_to_go_on
from workbench.paths import Workspace
from workbench.settings import Settings, read_settings
from workbench.tui.watch import tail

_ours: dict[int, tuple[Path, Child]] = {}
"""Process to the workspace it generates in, and itself."""
_TAIL_LINES: Final = 20
_NO_ENGINES: Final = "negwb.toml names no engine that proposes"
_NAME_ONE: Final = "write [engines.NAME], and [generate] proposer; see: negwb generate --help"


@dataclass(frozen=True, slots=True)
class Unborn:
    """A process of ours that has no row in the record: it opens its engines, or has died before it could begin."""

    pid: int
    pipeline: str
    died: bool
    said: str
    """Its last words, where it died."""


def start(workspace: Workspace, order: Order) -> int:
    """Start a generation; the number of its process.

    Raises:
        NegwbError: no engine proposes, or negwb.toml is off; nothing was started.
    """
    told = ready(workspace)
    if not told.generate.proposer:
        raise NegwbError(_NO_ENGINES, hint=_NAME_ONE)
    return _begin(workspace, order.words, order.pipeline)


def ready(workspace: Workspace) -> Settings:
    """The settings as they are now.

    Raises:
        UsageError: they are off.
    """
    return read_settings(workspace.settings)


def go_on(workspace: Workspace, run: GenerationRunRow) -> int:
    """Start a generation that goes on where `run` ended; the number of its process.

    Raises:
        NegwbError: it is at work or at its end, or it cannot be told what it did.
    """
    if run.running:
        raise NegwbError(f"run {run.id} is at work")
    words = words_to_go_on(run, ready(workspace).generate)
    return _begin(workspace, words, str(run.settings["pipeline"]))


def _begin(workspace: Workspace, words: list[str], pipeline: str) -> int:
    child = start_child(workspace, words, pipeline)
    _ours[child.process.pid] = workspace.root, child
    return child.process.pid


def stop(run: GenerationRunRow) -> None:
    """Ask the run's process to store what arrived and to end. Asked twice, it ends at once.

    Raises:
        NegwbError: it is not at work, or not here.
    """
    if not run.here:
        raise NegwbError(f"run {run.id} is at work on {run.host}", hint="stop it there: Ctrl-C")
    ours = _ours.get(run.pid)
    if ours is not None and ours[1].lives:
        ours[1].process.send_signal(signal.SIGINT)
    elif is_alive(run.process) and _generates(run.pid):
        _interrupt(run.pid)
    else:
        raise NegwbError(f"no process of this machine is at work on run {run.id}")


def stop_unborn(pid: int) -> None:
    """End a process of ours that has not begun; of one that is dead, forget what it said."""
    ours = _ours.get(pid)
    if ours is not None and ours[1].lives:
        ours[1].process.send_signal(signal.SIGINT)
    else:
        _ours.pop(pid, None)


def unborn(workspace: Workspace, born: Mapping[int, str]) -> list[Unborn]:
    """Our processes in this workspace that have no row, the newest first.

    Args:
        workspace: Where they generate.
        born: Of the rows of this machine: process to when it began. Numbers come again, so both tell.
    """
    told = []
    for pid, (root, child) in reversed(_ours.copy().items()):
        lives = child.lives  # also takes the dead from the system's list
        if root == workspace.root and born.get(pid, "") < child.started_at:
            told.append(Unborn(pid, child.pipeline, not lives, "" if lives else last_words(child.output)))
        elif not lives:
            _ours.pop(pid, None)
    return told


def last_words(output: Path) -> str:
    """What a process said last: its last line, and the indented ones (its hint) below it."""
    said: list[str] = []
    for line in reversed([line for line in tail(output, _TAIL_LINES) if line.strip()]):
        said.insert(0, line.strip())
        if not line[0].isspace():
            break
    return " — ".join(said) or "it said nothing"


def _interrupt(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGINT)
    except OSError as error:
        raise NegwbError(f"process {pid} cannot be stopped: {error.strerror}") from error


def _generates(pid: int) -> bool:
    """A signal is not to be sent to a stranger who has inherited the number."""
    words = command_line(pid)
    ours = any(word == "workbench" or word.rpartition("/")[2] == "negwb" for word in words)
    return pid > 1 and ours and "generate" in words
