"""Trainings as child processes: run to completion for `negwb train` and the demo, or started and stopped by the screen.

A training that another process started is found by the lock on its run folder.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trainers.errors import RunRefused, TrainerError
from trainers.run_files import LOG, METRICS, RunState, TrainingStatus, is_locked, read_run
from workbench.console import interruption
from workbench.errors import NegwbError
from workbench.jobs.process import ChildProcess, Job, JobRegistry, end_all, interrupt, start_detached, tail
from workbench.jobs.training.runs import discard_run, prepare_run, trainer_pid
from workbench.jobs.training.runs import resume as resumable_run
from workbench.workspace.layout import Workspace
from workbench.workspace.models import find_model, require_torch

OUTPUT: Final = "output.txt"
"""File in the run folder with the child's output (library warnings, the traceback of a bug)."""
_POLL_S = 0.2
_LOCK_POLL_S = 0.02
_INTERRUPTED = 130
_EXIT_WAIT_S = 10.0
"""Seconds that `resume` waits for the exit of the previous process."""
_TAIL_LINES = 200

OnState = Callable[[RunState], None]
"""Called with the state of a run whenever its files have changed."""
OnStarted = Callable[[Path, int], None]
"""Called with the run folder and the process ID of its training."""


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    export: str
    model: str
    name: str | None = None
    settings: Mapping[str, Any] | None = None
    recipe: str | None = None
    device: str = "cpu"


@dataclass(slots=True)
class TrainingJob(Job):
    resumed: bool = False
    """Whether the run existed before: a resumed run keeps its folder."""
    has_trained: bool = False
    """Whether the run was RUNNING or DONE under this process: if it is neither now, the process is ending."""


@dataclass(frozen=True, slots=True)
class TrainingRefusal:
    """Why a run did not start."""

    run: str
    message: str
    hint: str


jobs: JobRegistry[Path, TrainingJob] = JobRegistry()
"""By run folder."""


def start_child(run_folder: Path) -> ChildProcess:
    with (run_folder / OUTPUT).open("ab") as output:
        return start_detached("trainers", [str(run_folder)], output)


def start_and_leave(run_folder: Path) -> int:
    """Start the process of a run and return its ID once it holds the run's lock, so that no second one can start.

    The process needs neither this one nor its terminal.

    Raises:
        TrainerError: it ended without training.
    """
    child = start_child(run_folder)
    while not is_locked(run_folder):
        if child.poll() is not None:
            _check_exit(run_folder, child.returncode)
            break  # it has trained already: the run was short
        time.sleep(_LOCK_POLL_S)
    return child.pid


# -- started and stopped by the screen --------------------------------------------------------------------------------


def start(workspace: Workspace, order: TrainingOrder) -> str:
    """Prepare the run and start its process; returns the run's name.

    Raises:
        NegwbError: it cannot be started; no run folder is left.
    """
    require_torch()
    find_model(workspace, order.model)
    folder = prepare_run(
        workspace,
        order.export,
        model=order.model,
        name=order.name,
        recipe=order.recipe,
        settings=order.settings,
        device=order.device,
    )
    jobs[folder] = TrainingJob(start_child(folder))
    return folder.name


def resume(workspace: Workspace, name: str) -> None:
    """Start the process of a run that stopped.

    Raises:
        NegwbError: the run is finished, or a process trains it.
    """
    require_torch()
    folder = resumable_run(workspace, name)
    if (job := jobs.running(folder)) is not None:
        if not job.has_trained:
            raise NegwbError(f"{name} is starting already")
        try:
            job.process.wait(_EXIT_WAIT_S)  # its state is saved; only the process has to exit
        except subprocess.TimeoutExpired as error:
            raise NegwbError(f"{name} is still ending", hint="try again in a moment") from error
    jobs[folder] = TrainingJob(start_child(folder), resumed=True)


def stop(folder: Path) -> None:
    """Ask the run's process to save its state and to end; a second call ends it at once.

    Raises:
        NegwbError: no process of this host is known to train the run.
    """
    if (job := jobs.running(folder)) is not None:
        job.interrupt()
    elif (pid := trainer_pid(folder)) is not None:
        interrupt(pid)
    else:
        raise NegwbError(f"no process of this machine trains {folder.name}")


def discard_refused() -> list[TrainingRefusal]:
    """Remove the folders of runs that this process started and whose training was refused; return the reasons."""
    refusals = []
    for folder, job in list(jobs.items()):
        if job.running or job.resumed:
            continue
        del jobs[folder]
        result = read_run(folder).result
        if result.get("refused") is True:
            discard_run(folder)
            refusals.append(TrainingRefusal(folder.name, str(result.get("message", "")), str(result.get("hint", ""))))
    return refusals


def is_starting(folder: Path, status: TrainingStatus | None) -> bool:
    """Whether a process of this process runs there and has not started to train."""
    job = jobs.running(folder)
    if job is None:
        return False
    if status in (TrainingStatus.RUNNING, TrainingStatus.DONE):
        job.has_trained = True
    return not job.has_trained


# -- run to their end -------------------------------------------------------------------------------------------------


def run_to_end(
    run_folder: Path, on_state: OnState = lambda state: None, on_started: OnStarted = lambda folder, pid: None
) -> RunState:
    """Start the training and wait for its end; return the run's last state.

    Raises:
        TrainerError: the training failed or was killed; the hint names the log.
        KeyboardInterrupt: the training or this process was interrupted (also by SIGTERM or SIGHUP); its state is saved.
    """
    return run_all([run_folder], on_state, on_started)[0]


def run_all(
    run_folders: Sequence[Path],
    on_state: OnState = lambda state: None,
    on_started: OnStarted = lambda folder, pid: None,
    *,
    at_once: int = 1,
) -> list[RunState]:
    """`run_to_end` for several runs, `at_once` of them in parallel; the first that fails stops the others."""
    waiting, children = list(run_folders), dict[Path, ChildProcess]()
    try:
        with interruption.raised():
            _run_waiting(waiting, children, on_state, on_started, at_once)
    except BaseException as error:
        # No child may continue unattended. A closed terminal can cause an I/O error first and SIGHUP later; that SIGHUP
        # must not count as a second Ctrl-C, which would end a child before it has saved its state.
        with interruption.shielded():
            end_all(children.values())
        finished = not waiting and all(child.returncode == 0 for child in children.values())
        if not finished or not isinstance(error, KeyboardInterrupt):
            raise
    return [read_run(folder) for folder in run_folders]


def _run_waiting(
    waiting: list[Path],
    children: dict[Path, ChildProcess],
    on_state: OnState,
    on_started: OnStarted,
    at_once: int,
) -> None:
    """Start the runs in `waiting` one after the other and register them in `children`, until all have ended."""
    seen: dict[Path, tuple[int, ...]] = {}
    running: list[Path] = []
    while waiting or running:
        while waiting and len(running) < at_once:
            folder = waiting[0]
            children[folder] = start_child(folder)
            running.append(waiting.pop(0))
            on_started(folder, children[folder].pid)
        for folder in running.copy():
            ended = children[folder].poll() is not None  # before the files are read, so that no last line is missed
            now = tuple(_size(folder / name) for name in (METRICS, LOG))
            if now != seen.get(folder):
                seen[folder] = now
                on_state(read_run(folder))
            if ended:
                running.remove(folder)
                _check_exit(folder, children[folder].returncode)
        if running:
            time.sleep(_POLL_S)


def _check_exit(folder: Path, code: int) -> None:
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    if code != 0:
        raise _failure(folder, code)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _failure(folder: Path, code: int) -> TrainerError:
    state = read_run(folder)
    if code > 0 and state.status is TrainingStatus.FAILED:
        if state.result.get("refused") is True:
            return RunRefused(str(state.result.get("message", "")), hint=str(state.result.get("hint", "")))
        hints = (str(state.result.get("hint", "")), f"log: {folder / LOG}")
        return TrainerError(
            str(state.result.get("message", "the training failed")), hint="; ".join(filter(None, hints))
        )
    # killed: the run's log shows how far it was; otherwise a traceback is in the child's output
    log = folder / (LOG if code < 0 else OUTPUT)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    step = f" after step {state.step} of {state.steps}" if state.steps else ""
    last = next((line.strip() for line in reversed(tail(log, _TAIL_LINES)) if line.strip()), "")
    message = f"the training {folder.name} {how}{step}" + (f"; its last output: {last}" if last else "")
    return TrainerError(message, hint=f"resume with: negwb train --resume {folder.name}; log: {log}")
