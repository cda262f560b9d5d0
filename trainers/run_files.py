"""Files of a run folder, for the training process and for readers. Standard library only, because screens import it.

    config.json   input (settings.RunConfig)               log.txt      log lines for people
    metrics.jsonl one object per logged step and epoch;    done.json    result; written last
                  step 0 is the validation of the base
    checkpoints/  resume state                             failed.json  reason of a failure
    excluded_images.jsonl  images that are left out        run.lock     locked by the training process, so that
    interpolation.json     guard over alpha, where the                  "running" is exact
                           recipe chooses alpha         export_manifest.json  copy of the export's manifest
    environment.jsonl      versions, machine, git state;
                           one object per attempt
    tracking/     progress of reports to trackers

Readers never raise on damaged content: they skip partial or invalid lines.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Literal

from curation_db.atomic_write import replace_file, sync
from curation_db.foreign_json import JsonError, parse_json
from trainers.errors import TrainerError

MARGINS = "margins.jsonl"
"""Margins of the pairs of a fold, one {"source", "key", "margin"} per line."""
METRICS, LOG, DONE, FAILED, LOCK = "metrics.jsonl", "log.txt", "done.json", "failed.json", "run.lock"

EXCLUDED_IMAGES = "excluded_images.jsonl"
"""One {"image", "reason"} per line; absent where every image can be used."""
ENVIRONMENT = "environment.jsonl"
"""What each attempt ran on, one object per line; see `tracking.environment`."""
EXPORT_MANIFEST = "export_manifest.json"
"""Copy of the manifest of the export, which has the sha256 of its files and how its pairs were selected."""
INTERPOLATION = "interpolation.json"
"""The chosen alpha and the curve that it was chosen from; done.json has the same."""
CHECKPOINTS = "checkpoints"
WARNING = "warning: "
"""Prefix of warnings in log.txt."""
FAILURE = "failed: "
"""Prefix of the line in log.txt with the reason of a failure; failed.json has the same reason."""

Criterion = Literal["loss", "masked_loss", "recall_at_1"]
"""Validation result by which the best weights are chosen."""
VALIDATION_KEYS: Mapping[Criterion, str] = {
    "loss": "val_loss",
    "masked_loss": "val_masked_loss",
    "recall_at_1": "val_recall_at_1",
}
"""Fields of metrics.jsonl with the results of a validation."""
GUARD_TEXT_TO_IMAGE, GUARD_IMAGE_TO_TEXT = "guard_text_to_image", "guard_image_to_text"
"""Fields of metrics.jsonl: R@1 with the affirmative captions of the validation images, from 0 to 1."""

_TRIES, _BETWEEN_S = 20, 0.05
_MAX_HEADER_BYTES = 1 << 26
_STEP = re.compile(r"step-(\d{9})\.safetensors$")


class Work(StrEnum):
    """Work before the first step, as named in log.txt."""

    READING = "reading pictures"
    ENCODING = "encoding pictures"


_WORK = re.compile(rf"({'|'.join(map(re.escape, Work))}) ([\d,]+) of ([\d,]+)")


class TrainingStatus(StrEnum):
    NEW = "new"
    RUNNING = "running"
    STOPPED = "stopped"
    """Interrupted or killed; can be resumed."""
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunState:
    name: str
    status: TrainingStatus
    step: int
    """Steps logged."""
    steps: int | None
    """Total steps; None until the first line is logged."""
    last: Mapping[str, Any] = field(default_factory=dict)
    """The newest line of metrics.jsonl."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """Content of done.json or failed.json."""

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return self.step / self.steps if self.steps else 0.0


def read_run(folder: Path) -> RunState:
    """Read the state of the run in `folder`; never raises on damaged content."""
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
    """Return `value` as a number of steps; 0 where it is not one."""
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
    """Return all complete, valid lines of metrics.jsonl."""
    try:
        data = (folder / METRICS).read_bytes()
    except OSError:
        return []
    return parse_metrics(data[: data.rfind(b"\n") + 1])


def parse_metrics(lines: bytes) -> list[dict[str, Any]]:
    """Return the valid rows among the lines of metrics.jsonl."""
    return [row for line in lines.splitlines() if (row := _parse(line))]


def is_better(criterion: Criterion, value: float, best: float | None) -> bool:
    """Return whether `value` is better than the best so far: a smaller loss or a higher recall."""
    if best is None:
        return True
    return value > best if criterion == "recall_at_1" else value < best


def read_base_validation(folder: Path) -> dict[str, float]:
    """Return the validation of the base model, logged as step 0; empty where the run has none."""
    first = next((row for row in read_metrics(folder) if row.get("step") == 0), {})
    names = {*VALIDATION_KEYS.values(), GUARD_TEXT_TO_IMAGE, GUARD_IMAGE_TO_TEXT}
    return {name: value for name, value in first.items() if name in names}


def _parse(line: bytes) -> dict[str, Any]:
    try:
        parsed = parse_json(line)
    except JsonError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return _parse(path.read_bytes())
    except OSError:
        return {}


def is_locked(folder: Path) -> bool:
    """Return whether a process is training in `folder`."""
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:  # not readable for this user: no process of this user holds it
        return False
    return False


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / CHECKPOINTS / f"step-{step:09}.safetensors"


def checkpoints_of(folder: Path) -> dict[int, Path]:
    """Return the checkpoints of a run by their step, the newest first."""
    try:
        paths = {int(match[1]): path for path in (folder / CHECKPOINTS).iterdir() if (match := _STEP.match(path.name))}
    except OSError:
        return {}
    return dict(sorted(paths.items(), reverse=True))


def read_saved_steps(folder: Path) -> tuple[int, int] | None:
    """Return the step of the newest checkpoint and the total steps; None where no checkpoint is saved.

    Reads the header of the safetensors file (its length in 8 bytes, then JSON) without torch.
    """
    return next((steps for path in checkpoints_of(folder).values() if (steps := _read_position(path))), None)


def _read_position(path: Path) -> tuple[int, int] | None:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = parse_json(file.read(min(length, _MAX_HEADER_BYTES)))
        position = parse_json(header["__metadata__"]["negwb"])["place"]
        return _count(position["step"]), _count(position.get("steps"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def work_line(work: Work, done: int, of: int) -> str:
    """Format the progress of work before the first step, like "encoding pictures 1,200 of 82,783"."""
    return f"{work} {done:,} of {of:,}"


def read_work(line: str) -> tuple[Work, int, int] | None:
    """Parse a line of `work_line`; return None for any other line."""
    if (match := _WORK.fullmatch(line)) is None:
        return None
    work, done, of = match.groups()
    return Work(work), int(done.replace(",", "") or 0), int(of.replace(",", "") or 0)


def create_whole(folder: Path, write: Callable[[Path], None], *, hint: str = "choose another name") -> None:
    """Create `folder` with the files that `write` puts into it; it is whole or absent.

    Args:
        hint: What to do where the folder exists.

    Raises:
        TrainerError: the folder exists, or it cannot be written.
    """
    new = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    try:
        if folder.exists() or folder.is_symlink():
            raise FileExistsError  # a rename would replace an empty folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        write(new)
        for path in (*new.rglob("*"), new):
            sync(path)
        new.rename(folder)
        sync(folder.parent)
    except OSError as error:
        if isinstance(error, FileExistsError) or error.errno == errno.ENOTEMPTY:
            raise TrainerError(f"{folder} exists already", hint=hint) from error
        raise TrainerError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def take_lock(folder: Path) -> IO[bytes] | None:
    """Take the run's lock until the file is closed or the process ends; return None where another process holds it.

    A reader (`is_locked`) holds the lock for a moment, too, so a single failed attempt is not conclusive.
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
    """Writes the files of a run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def metrics(self, row: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl in one write; raises ValueError for NaN and infinities."""
        line = json.dumps(dict(row), allow_nan=False) + "\n"
        with (self.folder / METRICS).open("ab") as file:
            file.write(line.encode())

    def environment(self, record: Mapping[str, Any]) -> None:
        """Append one line to environment.jsonl."""
        with (self.folder / ENVIRONMENT).open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(record)) + "\n")

    def log(self, line: str) -> None:
        """Append one line to log.txt."""
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the metrics after `step`, the checkpoint from which a run resumes."""
        rows = [row for row in read_metrics(self.folder) if _count(row.get("step")) <= step]
        replace_file(self.folder / METRICS, "".join(json.dumps(row) + "\n" for row in rows), only_writer=True)

    def end(self, name: str, result: Mapping[str, Any]) -> None:
        """Write done.json, failed.json or interpolation.json; raises ValueError for NaN and infinities."""
        text = json.dumps(dict(result), indent=2, allow_nan=False) + "\n"
        replace_file(self.folder / name, text, only_writer=True)
