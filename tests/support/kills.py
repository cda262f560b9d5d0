"""Annotator process that a test kills while it decides.

Run as `python -m support.kills DATABASE NAME SEED LOG PAUSE`, it decides through Queue and DecisionWriter for ever.
Before each call it writes the operation to LOG, and after the call the written action. The log is a file, because data
that was given to the system survives the process.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from curation_db.enums import Kind, Reason
from curation_db.errors import RecordBusy, RecordError
from curation_db.events.annotators import begin_session
from curation_db.queue.claims import Queue
from curation_db.review.decisions import DecisionResult, DecisionWriter
from curation_db.storage.store import open_store

BEGUN, WRITTEN, REFUSED, NOT_POSSIBLE = ">", "=", "!", "?"
"""First characters of log lines: operation begun, action written, record busy, not possible (for example an edit by
another annotator)."""
_MAX_HELD = 20
_numbers = itertools.count()


class RandomAnnotator:
    """Annotator that performs random actions and logs them."""

    def __init__(self, database: Path, name: str, seed: int, log: Path) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._draw = random.Random(seed)
        self._held_ids: list[int] = []
        self._store = open_store(database)
        with self._logged("begin"):
            actor = begin_session(self._store, name, version="test")
        self._queue, self._reviewer = Queue(self._store, actor), DecisionWriter(self._store, actor)
        self._actions: dict[str, tuple[float, Callable[[], DecisionResult | None]]] = {
            "claim": (0.45, self._claim),
            "decide": (0.2, self._decide),
            "edit": (0.12, self._edit),
            "undo": (0.1, self._undo),
            "redo": (0.04, self._redo),
            "flag": (0.03, self._flag),
            "note": (0.03, self._note),
            "release": (0.03, self._release),
        }

    def run_forever(self, pause: float) -> None:
        while True:
            self.act_at_random()
            time.sleep(pause)

    def act_at_random(self) -> None:
        """Perform one action, drawn at random."""
        names = list(self._actions)
        name = self._draw.choices(names, [self._actions[name][0] for name in names])[0]
        with self._logged(name):
            done = self._actions[name][1]()
            if done is not None:
                self._write_line(WRITTEN, done.action_id)

    @contextlib.contextmanager
    def _logged(self, name: str) -> Iterator[None]:
        self._write_line(BEGUN, name)
        try:
            yield
        except RecordBusy as error:
            self._write_line(REFUSED, error.message)
        except RecordError as error:
            self._write_line(NOT_POSSIBLE, error.message)
        self._write_line(BEGUN, "")

    def _write_line(self, how: str, what: str) -> None:
        os.write(self._log, f"{how}{what}\n".encode())

    def _claim(self) -> None:
        if len(self._held_ids) > _MAX_HELD:
            self._release()
        self._held_ids += [claim.candidate_id for claim in self._queue.claim(self._draw.randint(1, 3), revisit=True)]

    def _decide(self) -> DecisionResult | None:
        if not self._held_ids:
            return None
        kind = self._draw.choice([Kind.ACCEPT, Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP])
        reason = self._draw.choice(list(Reason)) if kind is Kind.REJECT else None
        return self._reviewer.decide(self._take_held(), kind, reason=reason)

    def _edit(self) -> DecisionResult | None:
        if not self._held_ids:
            return None
        words = f"a woman without a hat, said {os.getpid()} for the time {next(_numbers)}"
        return self._reviewer.edit(self._take_held(), words)

    def _undo(self) -> DecisionResult | None:
        done = self._reviewer.undo()
        if done is not None:
            self._held_ids.append(done.candidate_id)
        return done

    def _redo(self) -> DecisionResult | None:
        return self._reviewer.redo()

    def _flag(self) -> DecisionResult | None:
        return self._reviewer.toggle_flag(self._held_ids[0]) if self._held_ids else None

    def _note(self) -> DecisionResult | None:
        return self._reviewer.note(self._held_ids[0], "look again") if self._held_ids else None

    def _release(self) -> None:
        self._queue.release(self._held_ids)
        self._held_ids.clear()

    def _take_held(self) -> int:
        return self._held_ids.pop(self._draw.randrange(len(self._held_ids)))


@dataclass(frozen=True, slots=True)
class LogSummary:
    """Content of a log."""

    written: list[str]
    """Ids of the actions whose calls returned."""
    pending: str | None
    """Operation that had begun and not ended."""
    refused: list[str]
    """Lines of operations that failed because the record was busy."""


class AnnotatorProcess:
    """Handle of an annotator process; the end of the block kills it."""

    def __init__(self, database: Path, name: str, *, seed: int, pause: float = 0.0) -> None:
        self._log = database.with_name(f"{name}-{seed}-{next(_numbers)}.log")
        self._log.touch()
        tests = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.kills", database, name, str(seed), self._log, str(pause)],
            cwd=tests.parent,
            env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
        )

    def __enter__(self) -> AnnotatorProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def wait_until_started(self, seconds: float = 30.0) -> None:
        """Wait until its session has started."""
        deadline = time.monotonic() + seconds
        while self._log.stat().st_size < len(">begin\n>\n"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it does not decide; exit code {self._process.returncode}")
            time.sleep(0.002)

    def kill_after(self, seconds: float) -> None:
        """Kill the process with SIGKILL; fail if it ended by itself."""
        time.sleep(seconds)
        assert self._process.poll() is None, f"it ended by itself with {self._process.returncode}"
        self._kill()

    def summary(self) -> LogSummary:
        """Read the log of the dead process."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        begun = [line.removeprefix(BEGUN) for line in lines if line.startswith(BEGUN)]
        return LogSummary(
            written=[line.removeprefix(WRITTEN) for line in lines if line.startswith(WRITTEN)],
            pending=begun[-1] or None if begun else None,
            refused=[line for line in lines if line.startswith(REFUSED)],
        )

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()


if __name__ == "__main__":
    RandomAnnotator(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])).run_forever(float(sys.argv[5]))
