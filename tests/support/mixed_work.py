"""Processes that do different kinds of work on one record at the same time.

Run as `python -m support.mixed_work DATABASE ROLE SEED LOG STOP`, a process works until the file STOP exists, and then
ends its session as the product does. Each line of LOG is a JSON list, written after the work: a value of `Log` and its
data.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from support.kills import RandomAnnotator

from curation_db.enums import Kind, Reason, Role, State
from curation_db.errors import RecordBusy, RecordError
from curation_db.events.annotators import Actor, begin_session, end_session
from curation_db.exporting.freeze import freeze
from curation_db.exporting.selection import ExportFilter, NothingChosen
from curation_db.importing.formats import Format
from curation_db.importing.pipeline import import_file, make_plan
from curation_db.integrity.checks import Level, check_record
from curation_db.review.bulk import decide_in_bulk
from curation_db.review.decisions import DecisionWriter
from curation_db.search.overview import overview
from curation_db.storage.backup import back_up
from curation_db.storage.store import Store, open_store

ROLES = ("decide", "decide", "decide", "bulk", "import", "export", "back-up", "look")
"""Roles of the eight processes."""
_IMPORTED_AT_ONCE = 20
_BULK = 15


class Log(StrEnum):
    """Kind of a log line."""

    ROUND = "round"
    """End of one round of work."""
    ACTION = "act"
    """Id of an action."""
    KEY = "key"
    """Id in its file of an imported candidate."""
    SET = "set"
    """Name of a frozen set, its event and its states."""
    COPY = "copy"
    """Path of a backup and its newest event."""
    FAULT = "fault"
    """Name and message of an error that doctor reports."""
    BUSY = "busy"
    """Operation that failed because another process held the record too long."""


class Worker:
    """Worker of one role."""

    def __init__(self, store: Store, role: str, seed: int, log: Callable[..., None]) -> None:
        self._store = store
        self._role = role
        self._draw = random.Random(seed)
        self._log = log
        self._rounds = 0
        self._folder = store.path.parent
        self._actor: Actor | None = None
        if role == "bulk":
            self._actor = begin_session(store, "dan", version="test", role=Role.ADJUDICATOR)
        self._work: Callable[[], None] = {
            "bulk": self._bulk,
            "import": self._import,
            "export": self._export,
            "back-up": self._back_up,
            "look": self._look,
        }[role]

    def work(self) -> None:
        """Do one round."""
        self._rounds += 1
        try:
            self._work()
        except RecordBusy as error:
            self._log(Log.BUSY, self._role, error.message)

    def leave(self) -> None:
        """End the session."""
        if self._actor is not None:
            end_session(self._store, self._actor)

    def _bulk(self) -> None:
        assert self._actor is not None
        with self._store.read() as connection:
            ids = connection.exec_driver_sql("SELECT id FROM candidate").scalars().all()
        chosen = self._draw.sample(ids, min(_BULK, len(ids)))
        kind = self._draw.choice([Kind.ACCEPT, Kind.REJECT, Kind.REQUEUE])
        done = decide_in_bulk(self._store, self._actor, chosen, kind, Reason.SCOPE if kind is Kind.REJECT else None)
        if done.action_id is None:
            return
        self._log(Log.ACTION, done.action_id)
        if self._draw.random() < 0.5:
            try:
                self._log(Log.ACTION, DecisionWriter(self._store, self._actor).take_back(done.action_id).action_id)
            except RecordBusy:
                raise
            except RecordError:
                pass  # another annotator has edited one of them

    def _import(self) -> None:
        first = self._rounds * _IMPORTED_AT_ONCE
        numbers = range(first, first + _IMPORTED_AT_ONCE)
        path = self._folder / "more.json"
        rows = [
            {"id": n, "image_id": n, "caption": f"a dog {n}", "updated_caption": f"a dog, no cat {n}"} for n in numbers
        ]
        path.write_text(json.dumps({"images": [{"id": n} for n in numbers], "annotations": rows}), encoding="utf-8")
        rejects: list[object] = []
        plan = make_plan(path, form=Format.NEGATIONCLIP, source="more")
        import_file(self._store, plan, on_reject=rejects.append)
        assert not rejects
        for number in numbers:
            self._log(Log.KEY, number)

    def _export(self) -> None:
        name = f"set-{self._rounds:04}"
        chosen = ExportFilter(self._draw.choice([(State.ACCEPTED,), (State.ACCEPTED, State.REJECTED), tuple(State)]))
        try:
            manifest = freeze(self._store, self._folder / "exports", name, selection=chosen, tool_version="test")
        except NothingChosen:
            return
        self._log(Log.SET, name, manifest.event_seq, list(chosen.states))

    def _back_up(self) -> None:
        (self._folder / "copies").mkdir(exist_ok=True)
        copy = back_up(self._store.path, self._folder / "copies" / f"{self._rounds % 5}-{self._rounds}.db")
        for older in self._folder.glob(f"copies/{self._rounds % 5}-*.db"):
            if older != copy.path:
                older.unlink()
        self._log(Log.COPY, str(copy.path), copy.event)

    def _look(self) -> None:
        with self._store.read() as connection:
            overview(connection)
        for each in check_record(self._store.path):
            if each.level is Level.ERROR:
                self._log(Log.FAULT, each.name, each.message)


def work_until(stop: Path, database: Path, role: str, seed: int, log: Path) -> None:
    """Work in rounds until the file `stop` exists."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(*line: Any) -> None:
        os.write(handle, (json.dumps(line) + "\n").encode())

    if role == "decide":
        person = RandomAnnotator(database, f"person{seed}", seed, log.with_suffix(".acts"))
        while not stop.exists():
            person.act_at_random()
            write(Log.ROUND)
        return
    with open_store(database) as store:
        worker = Worker(store, role, seed, write)
        while not stop.exists():
            worker.work()
            write(Log.ROUND)
        worker.leave()


class MixedWork:
    """Eight working processes; the end of the block kills them."""

    def __init__(self, database: Path, seed: int) -> None:
        self._folder = database.parent
        self._stop = self._folder / "stop"
        tests = Path(__file__).resolve().parents[1]
        self._logs = [self._folder / f"{number}.log" for number in range(len(ROLES))]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "support.mixed_work", database, role, str(seed + number), log, self._stop],
                cwd=tests.parent,
                env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
                stderr=subprocess.PIPE,
            )
            for number, (role, log) in enumerate(zip(ROLES, self._logs, strict=True))
        ]

    def __enter__(self) -> MixedWork:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()

    def work(self, seconds: float, rounds: int, *, patience: float = 240.0) -> None:
        """Let the processes work for `seconds` and until each has done `rounds` rounds, then stop them.

        Raises:
            AssertionError: a process failed, or did not finish its rounds within `patience` seconds.
        """
        began = time.monotonic()
        while time.monotonic() - began < seconds or min(map(self._rounds, self._logs)) < rounds:
            failed = [process for process in self._processes if process.poll() is not None]
            assert not failed, f"it ended by itself: {_errors(failed[0])}"
            assert time.monotonic() - began < patience, [self._rounds(log) for log in self._logs]
            time.sleep(0.1)
        self._stop.touch()
        for process in self._processes:
            process.wait(patience)
            assert process.returncode == 0, _errors(process)

    def lines(self) -> dict[Log, list[list[Any]]]:
        """Return the data of all log lines by kind, including the actions of the deciding processes."""
        lines_by_kind: dict[Log, list[list[Any]]] = defaultdict(list)
        for log in self._logs:
            for line in log.read_text(encoding="utf-8").splitlines():
                word, *rest = json.loads(line)
                lines_by_kind[Log(word)].append(rest)
            acts = log.with_suffix(".acts")
            for line in acts.read_text(encoding="utf-8").splitlines() if acts.exists() else ():
                if line.startswith("="):
                    lines_by_kind[Log.ACTION].append([line[1:]])
                elif line.startswith("!"):
                    lines_by_kind[Log.BUSY].append(["decide", line[1:]])
        return lines_by_kind

    def _rounds(self, log: Path) -> int:
        return log.read_bytes().count(b'["round"]') if log.exists() else 0


def _errors(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    return process.stderr.read().decode(errors="replace")[-3_000:]


def main(words: Sequence[str]) -> None:
    """Run one of the eight processes."""
    database, role, seed, log, stop = words
    work_until(Path(stop), Path(database), role, int(seed), Path(log))


if __name__ == "__main__":
    main(sys.argv[1:])
