"""Report the metrics of a run to its trackers, in a process beside the training.

The process reads metrics.jsonl and writes log.txt (warnings only) and tracking/ of the run folder. The training does
not wait for it, and computes the same with and without it. Each tracker has a thread of its own, so that one that
blocks does not hold up the others.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from curation_db.atomic_write import replace_file
from curation_db.foreign_json import parse_json
from curation_db.language.sanitize import first_line
from trainers.run_files import WARNING, RunWriter
from trainers.settings import RunConfig
from trainers.tracking.metrics_tail import MetricsTail
from trainers.tracking.trackers import OPENERS, TrackedRun, Tracker, tracked_values

FOLDER = "tracking"
"""Folder of a run with NAME.json for each tracker: id of the run and newest step that was reported."""
START_S: Final = 60.0
"""Seconds after which a tracker that has not opened is reported; it may still open and gets all rows then."""
END_S: Final = 20.0
"""Seconds that a tracker has after the end of the training."""
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a run was reported to a tracker."""

    run_id: str
    newest: int = -1

    @classmethod
    def read(cls, path: Path) -> _Progress:
        """Return the progress in `path`; that of a new run where there is none, or the file is damaged."""
        try:
            content = parse_json(path.read_bytes())
            return cls(str(content["run_id"]), int(content["newest"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls(uuid.uuid4().hex[:12])

    def write(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        replace_file(path, json.dumps({"run_id": self.run_id, "newest": self.newest}) + "\n", only_writer=True)


class _Reporting(threading.Thread):
    """Reports to one tracker until the training has ended."""

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any], ended: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._folder, self._config, self._ended = folder, config, ended
        self.opening_since: float | None = None
        self.is_open = False

    def run(self) -> None:
        try:
            self._report()
        except ModuleNotFoundError as error:
            if error.name != self.name:
                self._warn(f"cannot be imported: {first_line(error)}")
            else:
                self._warn("is not installed", hint=f"; install it with: pip install {self.name}")
        except BaseException as error:  # a library may even raise SystemExit
            self._warn(f"failed: {first_line(error)}")

    def _warn(self, problem: str, *, hint: str = "") -> None:
        line = f"{self.name} {problem}; the training continues without reporting to it{hint}"
        RunWriter(self._folder).log(f"{WARNING}{line}")

    def _report(self) -> None:
        path = self._folder / FOLDER / f"{self.name}.json"
        progress = _Progress.read(path)
        tail, tracker = MetricsTail(self._folder, after=progress.newest), None
        while True:
            ended = self._ended.is_set()  # before the rows are read, so that the last ones are not missed
            if rows := tail.new_rows():
                if tracker is None:  # a refused run has no rows, and starts no tracker
                    progress.write(path)
                    tracker = self._open(progress)
                for row in rows:
                    tracker.log(row["step"], tracked_values(row))
                tracker.flush()
                progress = _Progress(progress.run_id, rows[-1]["step"])
                progress.write(path)
            elif ended:
                break
            else:
                self._ended.wait(_POLL_S)
        if tracker is not None:
            tracker.close()

    def _open(self, progress: _Progress) -> Tracker:
        self.opening_since = time.monotonic()
        tracker = OPENERS[self.name](TrackedRun(self._folder, progress.run_id, progress.newest + 1, self._config))
        self.is_open = True
        return tracker


def report(
    folder: Path,
    config: RunConfig,
    is_training: Callable[[float], bool],
    *,
    start_s: float = START_S,
    end_s: float = END_S,
) -> None:
    """Report the run in `folder` to the trackers of `config`, until the training has ended and all rows are reported.

    Args:
        is_training: Waits for the end of the training for up to the given number of seconds; returns whether it runs.
        start_s: Seconds to open a tracker.
        end_s: Seconds to report the last rows. Threads that need longer are left behind: end the process.
    """
    ended = threading.Event()
    values = config_of_run(config)
    threads = [_Reporting(folder, name, values, ended) for name in config.report_to]
    writer, blocked = RunWriter(folder), set[str]()
    for thread in threads:
        thread.start()
    while is_training(_POLL_S):
        for thread in threads:
            since = thread.opening_since
            late = since is not None and time.monotonic() - since > start_s
            if late and not thread.is_open and thread.is_alive() and thread.name not in blocked:
                blocked.add(thread.name)
                line = f"{thread.name} has not started after {start_s:.0f} s; the training continues without it"
                writer.log(f"{WARNING}{line}")
    ended.set()
    deadline = time.monotonic() + end_s
    for thread in threads:
        if thread.name in blocked and not thread.is_open:
            continue
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            line = f"{thread.name} did not finish within {end_s:.0f} s; its newest metrics may be missing"
            writer.log(f"{WARNING}{line}")


def config_of_run(config: RunConfig) -> dict[str, Any]:
    """Return what trackers show as the configuration of a run: no folder of this machine except the last parts."""
    model = Path(config.model)
    return {
        "model": "/".join(model.parts[-2:]) if model.is_absolute() else config.model,
        "export": Path(config.export).name,
        "recipe": config.recipe.name if config.recipe is not None else None,
        "device": config.device,
        **config.settings.to_dict(),
        "replay_pool": config.settings.replay_pool and os.path.basename(config.settings.replay_pool),
    }
