"""Trainings as child processes, started and watched: one as `negwb train` does, several side by side as the demo does.

Plain: no typer, no textual, no torch, so whoever watches a run loads nothing heavy.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from curation_db.processes import command_line
from trainers.errors import ModelRefused, TrainerError
from trainers.runlog import LOCK, LOG, METRICS, RunState, Status, read_run
from workbench import interruption

OUTPUT = "output.txt"
"""What the child prints: warnings of libraries, and the trace of a bug."""
_POLL_S = 0.2
_INTERRUPTED = 130

Tell = Callable[[RunState], None]
"""Told how a run stands, whenever its files have changed."""
Started = Callable[[Path, int], None]
"""Called with the run's folder and the process that trains it, when that was started."""
Child = subprocess.Popen[bytes]
_LOCKS = Path("/proc/locks")


def start_child(run_folder: Path) -> Child:
    """Start the process that trains the run.

    It writes to files only, so it outlives whoever started it. In a session of its own it does not hear the
    terminal's Ctrl-C: one SIGINT from us asks it to save its state and end, a second one ends it at once.
    """
    command = [sys.executable, "-P", "-m", "trainers", str(run_folder)]
    with (run_folder / OUTPUT).open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def stop_command(pid: int) -> str:
    """What a person types to make a training save its state and end."""
    return f"kill -INT {pid}"


def trainer_pid(run_folder: Path) -> int | None:
    """The process of this machine that trains the run; None where there is none, or the system does not tell."""
    return _holder(run_folder / LOCK)


def run_to_end(
    run_folder: Path, tell: Tell = lambda state: None, started: Started = lambda folder, pid: None
) -> RunState:
    """Start the child, watch it until it ends, and say how the run ended well.

    Raises:
        TrainerError: it failed or was killed; the line says why and the hint where the log is.
        KeyboardInterrupt: somebody stopped it or us (also by SIGTERM or SIGHUP); its state is saved.
    """
    return run_all([run_folder], tell, started)[0]


def run_all(
    run_folders: Sequence[Path],
    tell: Tell = lambda state: None,
    started: Started = lambda folder, pid: None,
    *,
    at_once: int = 1,
) -> list[RunState]:
    """`run_to_end` for several runs, so many of them side by side; the first that fails stops the others.

    `tell` is told of every run; a state knows the name of its own.
    """
    waiting, children = list(run_folders), dict[Path, Child]()
    try:
        with interruption.raised():
            _work_through(waiting, children, tell, started, at_once)
    except BaseException as error:
        # Whatever happened here, no child must train on unseen. A hang-up may come as a terminal error first,
        # and as SIGHUP then: that is no impatient second Ctrl-C, which would end a child before it has saved its state.
        with interruption.shielded():
            _stop(children.values())
        whole = not waiting and all(child.returncode == 0 for child in children.values())
        if not whole or not isinstance(error, KeyboardInterrupt):
            raise
    return [read_run(folder) for folder in run_folders]


def _work_through(waiting: list[Path], children: dict[Path, Child], tell: Tell, started: Started, at_once: int) -> None:
    """Take from `waiting` into `children` until none is left and all have ended."""
    seen: dict[Path, tuple[int, ...]] = {}
    running: set[Path] = set()
    while waiting or running:
        while waiting and len(running) < at_once:
            folder = waiting[0]
            children[folder] = start_child(folder)
            running.add(waiting.pop(0))
            started(folder, children[folder].pid)
        for folder in [folder for folder in children if folder in running]:
            ended = children[folder].poll() is not None  # asked first, so that the last lines are told
            now = tuple(_size(folder / name) for name in (METRICS, LOG))
            if now != seen.get(folder):
                seen[folder] = now
                tell(read_run(folder))
            if ended:
                running.discard(folder)
                _check_ended(folder, children[folder].returncode)
        if running:
            time.sleep(_POLL_S)


def _check_ended(folder: Path, code: int) -> None:
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    if code != 0:
        raise _failure(folder, code)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _stop(children: Iterable[Child]) -> None:
    """Ask the children to end, more firmly each time somebody is impatient."""
    left = [child for child in children if child.poll() is None]
    for how in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
        for child in left:
            child.send_signal(how)
        try:
            for child in left:
                child.wait()
        except KeyboardInterrupt:
            continue
        return


def _failure(folder: Path, code: int) -> TrainerError:
    state = read_run(folder)
    if code > 0 and state.status is Status.FAILED:
        if state.result.get("model_refused") is True:
            return ModelRefused(str(state.result.get("message", "")), hint=str(state.result.get("hint", "")))
        hints = (str(state.result.get("hint", "")), f"log: {folder / LOG}")
        return TrainerError(
            str(state.result.get("message", "the training failed")), hint="; ".join(filter(None, hints))
        )
    # killed: the run's own log says how far it came; a trace is in what the child printed
    log = folder / (LOG if code < 0 else OUTPUT)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    at = f" after step {state.step} of {state.steps}" if state.steps else ""
    said = _last_line(log)
    message = f"the training {folder.name} {how}{at}" + (f"; it last said: {said}" if said else "")
    return TrainerError(message, hint=f"go on with: negwb train --resume {folder.name}; log: {log}")


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _holder(lock: Path) -> int | None:
    """The process that holds the lock: of its lines in /proc/locks, the one that waits for nobody."""
    try:
        inode = str(lock.stat().st_ino)
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:  # 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
        parts = line.split()
        held = len(parts) > 5 and parts[1] == "FLOCK" and parts[3] == "WRITE" and parts[5].rpartition(":")[2] == inode
        if held and _trains(int(parts[4])):
            return int(parts[4])
    return None


def _trains(pid: int) -> bool:
    """Inodes of other devices may be equal, and a signal is not to be sent to a stranger."""
    return pid > 1 and "trainers" in command_line(pid)
