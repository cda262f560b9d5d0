"""The files of a run folder, for whoever writes or watches one. Standard library only: screens read this.

    config.json   what was asked (settings.RunConfig)      log.txt      lines for people
    metrics.jsonl one object per logged step and epoch     done.json    how it ended well; written last
    checkpoints/  resume state                             failed.json  why it ended badly
    run.lock      held by the process that trains, so that "running" is never a guess

A reader never trips: a line that is half written, or is not what it should be, is passed over.
"""

from __future__ import annotations

import fcntl
import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from curation_db.atomic_write import replace_file
from curation_db.foreign_json import JsonError, parse_json

METRICS, LOG, DONE, FAILED, LOCK = "metrics.jsonl", "log.txt", "done.json", "failed.json", "run.lock"

CHECKPOINTS, LATEST = "checkpoints", "latest.safetensors"
WARNING = "warning: "
"""How a line of log.txt begins that a person must not miss."""
FAILURE = "failed: "
"""How the line begins that says why the run failed; failed.json says the same."""

_TRIES, _BETWEEN_S = 20, 0.05
_MOST_HEADER = 1 << 26


class Work(StrEnum):
    """Work before the first step, as log.txt names it."""

    READING = "reading pictures"
    ENCODING = "encoding pictures"


_WORK = re.compile(rf"({'|'.join(map(re.escape, Work))}) ([\d,]+) of ([\d,]+)")


class TrainingStatus(StrEnum):
    """What a run is doing."""

    NEW = "new"
    RUNNING = "running"
    STOPPED = "stopped"
    """Interrupted or killed; it can be resumed."""
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as its files tell it."""

    name: str
    status: TrainingStatus
    step: int
    """Steps logged."""
    steps: int | None
    """In all; none until the first line is logged."""
    last: Mapping[str, Any] = field(default_factory=dict)
    """The newest metrics line."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """done.json or failed.json."""

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return self.step / self.steps if self.steps else 0.0


def read_run(folder: Path) -> RunState:
    """The state of the run in `folder`, whatever its files hold."""
    done, failed = _read_object(folder / DONE), _read_object(folder / FAILED)
    lines = read_metrics(folder)
    last: Mapping[str, Any] = lines[-1] if lines else {}
    return RunState(
        name=folder.name,
        status=_status(folder, done, failed),
        step=_count(last.get("step")),
        steps=_count(last.get("steps")) or None,
        last=last,
        result=done or failed,
    )


def _count(value: object) -> int:
    """A number of steps; 0 for what is none."""
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else 0


def _status(folder: Path, done: Mapping[str, Any], failed: Mapping[str, Any]) -> TrainingStatus:
    if is_locked(folder):
        return TrainingStatus.RUNNING
    if done:
        return TrainingStatus.DONE
    if failed:
        return TrainingStatus.FAILED
    return TrainingStatus.STOPPED if (folder / LOCK).exists() else TrainingStatus.NEW


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of metrics.jsonl."""
    try:
        data = (folder / METRICS).read_bytes()
    except OSError:
        return []
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    return [row for line in lines if (row := _parse(line))]


def _parse(line: bytes) -> dict[str, Any]:
    try:
        told = parse_json(line)
    except JsonError:
        return {}
    return told if isinstance(told, dict) else {}


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return _parse(path.read_bytes())
    except OSError:
        return {}


def is_locked(folder: Path) -> bool:
    """Whether a process is training in `folder`."""
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:  # it may not be read: then nobody here holds it
        return False
    return False


def saved_place(folder: Path) -> tuple[int, int] | None:
    """The step of the resume state and the steps in all; None where no state is saved.

    Read from the checkpoint's header (safetensors: its length in 8 bytes, then JSON), without torch.
    """
    try:
        with (folder / CHECKPOINTS / LATEST).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = parse_json(file.read(min(length, _MOST_HEADER)))
        place = parse_json(header["__metadata__"]["negwb"])["place"]
        return _count(place["step"]), _count(place.get("steps"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def work_line(what: Work, done: int, of: int) -> str:
    """A line of log.txt on work before the first step, like "encoding pictures 1,200 of 82,783"."""
    return f"{what} {done:,} of {of:,}"


def read_work(line: str) -> tuple[Work, int, int] | None:
    """The inverse of `work_line`; None for any other line."""
    if (found := _WORK.fullmatch(line)) is None:
        return None
    what, done, of = found.groups()
    return Work(what), int(done.replace(",", "") or 0), int(of.replace(",", "") or 0)


def take_lock(folder: Path) -> IO[bytes] | None:
    """The run's lock, held until the file is closed or the process ends; None where another process has it.

    Whoever only asks (`is_locked`) holds it for a moment, too, so one refusal is no answer yet.
    """
    file = (folder / LOCK).open("ab")
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_S)
        else:
            return file
    file.close()
    return None


class RunWriter:
    """Writes the run's lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def metrics(self, row: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl, in one write; ValueError for a number that JSON does not have (nan)."""
        line = json.dumps(dict(row), allow_nan=False) + "\n"
        with (self.folder / METRICS).open("ab") as file:
            file.write(line.encode())

    def say(self, line: str) -> None:
        """One line of log.txt."""
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def forget_after(self, step: int) -> None:
        """Drop what was logged past the checkpoint that a resumed run starts from."""
        kept = [row for row in read_metrics(self.folder) if _count(row.get("step")) <= step]
        replace_file(self.folder / METRICS, "".join(json.dumps(row) + "\n" for row in kept), only_writer=True)

    def end(self, name: str, told: Mapping[str, Any]) -> None:
        """done.json or failed.json; ValueError for a number that JSON does not have."""
        text = json.dumps(dict(told), indent=2, allow_nan=False) + "\n"
        replace_file(self.folder / name, text, only_writer=True)
