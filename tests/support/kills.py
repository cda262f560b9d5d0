"""A person whose process is killed while it decides.

Run as `python -m support.kills DATABASE NAME SEED LOG`, it decides through the product's own Queue and Reviewer for
ever. Before each call it writes to LOG what it is about to do, and when the call has returned, what was written; a
log is a file because what was given to the system stays when the process is gone.
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

BEGUN, WRITTEN, REFUSED, NO = ">", "=", "!", "?"
"""How the lines of a log begin: about to do, done, the record is busy, not possible (somebody else's edit, say)."""
_MOST_HELD = 20
_numbers = itertools.count()


class Person:
    """Does one thing after another, with a log."""

    def __init__(self, database: Path, name: str, seed: int, log: Path) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._draw = random.Random(seed)
        self._held: list[int] = []
        self._store = open_store(database)
        with self._doing("begin"):
            actor = begin_session(self._store, name, version="test")
        self._queue, self._reviewer = Queue(self._store, actor), DecisionWriter(self._store, actor)
        self._works: dict[str, tuple[float, Callable[[], DecisionResult | None]]] = {
            "claim": (0.45, self._claim),
            "decide": (0.2, self._decide),
            "edit": (0.12, self._edit),
            "undo": (0.1, self._undo),
            "redo": (0.04, self._redo),
            "flag": (0.03, self._flag),
            "note": (0.03, self._note),
            "release": (0.03, self._release),
        }

    def work_for_ever(self, pause: float) -> None:
        """Until somebody ends it."""
        while True:
            self.do_something()
            time.sleep(pause)

    def do_something(self) -> None:
        """One thing, drawn at random."""
        names = list(self._works)
        name = self._draw.choices(names, [self._works[name][0] for name in names])[0]
        with self._doing(name):
            done = self._works[name][1]()
            if done is not None:
                self._tell(WRITTEN, done.action_id)

    @contextlib.contextmanager
    def _doing(self, name: str) -> Iterator[None]:
        self._tell(BEGUN, name)
        try:
            yield
        except RecordBusy as error:
            self._tell(REFUSED, error.message)
        except RecordError as error:
            self._tell(NO, error.message)
        self._tell(BEGUN, "")

    def _tell(self, how: str, what: str) -> None:
        os.write(self._log, f"{how}{what}\n".encode())

    def _claim(self) -> None:
        if len(self._held) > _MOST_HELD:
            self._release()
        self._held += [claim.candidate_id for claim in self._queue.claim(self._draw.randint(1, 3), revisit=True)]

    def _decide(self) -> DecisionResult | None:
        if not self._held:
            return None
        kind = self._draw.choice([Kind.ACCEPT, Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP])
        reason = self._draw.choice(list(Reason)) if kind is Kind.REJECT else None
        return self._reviewer.decide(self._taken(), kind, reason=reason)

    def _edit(self) -> DecisionResult | None:
        if not self._held:
            return None
        words = f"a woman without a hat, said {os.getpid()} for the time {next(_numbers)}"
        return self._reviewer.edit(self._taken(), words)

    def _undo(self) -> DecisionResult | None:
        done = self._reviewer.undo()
        if done is not None:
            self._held.append(done.candidate_id)
        return done

    def _redo(self) -> DecisionResult | None:
        return self._reviewer.redo()

    def _flag(self) -> DecisionResult | None:
        return self._reviewer.toggle_flag(self._held[0]) if self._held else None

    def _note(self) -> DecisionResult | None:
        return self._reviewer.note(self._held[0], "look again") if self._held else None

    def _release(self) -> None:
        self._queue.release(self._held)
        self._held.clear()

    def _taken(self) -> int:
        return self._held.pop(self._draw.randrange(len(self._held)))


@dataclass(frozen=True, slots=True)
class Told:
    """What a log says."""

    written: list[str]
    """The acts whose calls returned."""
    under_way: str | None
    """What had begun and not ended."""
    refused: list[str]
    """What was not done because the record was busy."""


class Deciding:
    """A person's process, seen from outside; killed at the latest when its block ends."""

    def __init__(self, database: Path, name: str, *, seed: int, pause: float = 0.0) -> None:
        self._log = database.with_name(f"{name}-{seed}-{next(_numbers)}.log")
        self._log.touch()
        tests = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.kills", database, name, str(seed), self._log, str(pause)],
            cwd=tests.parent,
            env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
        )

    def __enter__(self) -> Deciding:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def wait_until_it_decides(self, seconds: float = 30.0) -> None:
        """Until its session has begun."""
        deadline = time.monotonic() + seconds
        while self._log.stat().st_size < len(">begin\n>\n"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it does not decide; exit code {self._process.returncode}")
            time.sleep(0.002)

    def kill_after(self, seconds: float) -> None:
        """kill -9, unless it ended by itself, which would be wrong."""
        time.sleep(seconds)
        assert self._process.poll() is None, f"it ended by itself with {self._process.returncode}"
        self._kill()

    def told(self) -> Told:
        """What it said; once it is dead."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        begun = [line.removeprefix(BEGUN) for line in lines if line.startswith(BEGUN)]
        return Told(
            written=[line.removeprefix(WRITTEN) for line in lines if line.startswith(WRITTEN)],
            under_way=begun[-1] or None if begun else None,
            refused=[line for line in lines if line.startswith(REFUSED)],
        )

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()


if __name__ == "__main__":
    Person(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])).work_for_ever(float(sys.argv[5]))
