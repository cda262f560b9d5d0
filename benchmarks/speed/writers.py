"""Bench `writers`: processes that decide as fast as they can on one record, and the consistency of the result.

Each process is an annotator with a session: claim a card, decide about it, log the decision, repeat. The logs are
compared with the record at the end.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from benchmarks.speed.support.big_record import Size, add_images, draft
from benchmarks.speed.support.harness import report_progress
from curation_db.enums import Kind, Reason
from curation_db.errors import RecordBusy
from curation_db.events.annotators import begin_session, end_session
from curation_db.events.history_cache import events_of
from curation_db.events.state import Overlap, fold
from curation_db.queue.claims import Queue
from curation_db.review.candidates import Intake, insert_candidates
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import Store, create_store, open_store

PROCESSES = 8
SECONDS = 60.0
OVERLAPS: Final = ("1", "2", "2+1")
_CANDIDATES = 60_000
"""Candidates for eight processes and one minute; `ran_dry` reports a run that used all of them."""
_QUICK_SECONDS = 2.0
_QUICK_CANDIDATES = 3_000
_BATCH = 3_000
_PAGES = 4
"""Pages that a commit writes to the log before it waits for the disk, approximately."""


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    processes, seconds, count = (4, _QUICK_SECONDS, _QUICK_CANDIDATES) if quick else (PROCESSES, SECONDS, _CANDIDATES)
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as temporary:
        folder = Path(temporary)
        database = folder / "curation.db"
        _make_record(database, count)
        fsync = fsync_per_s(folder / "raw", 1.0 if quick else 5.0)
        report_progress(f"{processes} processes for {seconds:.0f} s")
        _work(database, folder, processes, seconds)
        logs = [read_log(folder / f"{number}.log") for number in range(processes)]
        errors = _check(database, logs)
    decisions = sum(len(log.decided) for log in logs)
    return {
        "processes": processes,
        "seconds": seconds,
        "decisions": decisions,
        "decisions_per_s": round(decisions / seconds, 1),
        "transactions_per_s": round(2 * decisions / seconds, 1),
        "fsync_per_s": round(fsync, 1),
        "lock_errors": sum(log.lock_errors for log in logs),
        **errors,
        "slowest_decision_ms": round(max(log.slowest_ms for log in logs), 1),
        "fewest_and_most_per_process": [
            min(len(log.decided) for log in logs),
            max(len(log.decided) for log in logs),
        ],
        "ran_dry": any(log.ran_dry for log in logs),
        "backend": "sqlite",
        "notes": [
            "a decision is two transactions, each with its own fsync: the claim of the card and the decision",
            f"overlaps {', '.join(OVERLAPS)}, a third of the candidates each; accepts and rejects at random",
            f"fsync_per_s: one process that repeatedly appends {_PAGES} pages to a file and waits for the disk",
            "double_claims: cards served to more annotators than their overlap needs, or twice to one annotator",
            "lost: decisions whose call returned, but whose event is not in the record; unsound: candidates whose "
            "stored state is not the fold of their events, and problems that SQLite's integrity check reports",
        ],
    }


def _make_record(database: Path, count: int) -> None:
    size = Size(candidates=count, seeds=_BATCH)
    with create_store(database) as store:
        for start in range(1, count + 1, _BATCH):
            numbers = range(start, start + _BATCH)
            with store.write() as connection:
                add_images(connection, range(start // 10 + 1, (start + _BATCH) // 10 + 1), size)
                for turn, overlap in enumerate(OVERLAPS):
                    mine = [draft(number, size) for number in numbers if number % len(OVERLAPS) == turn]
                    insert_candidates(connection, mine, Intake(overlap=overlap, audit_rate=0.1))


def fsync_per_s(path: Path, seconds: float) -> float:
    """Measure how many fsync calls per second the disk completes, each after a write of `_PAGES` pages."""
    pages, count = os.urandom(4096 * _PAGES), 0
    with path.open("wb", buffering=0) as file:
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            file.write(pages)
            os.fsync(file.fileno())
            count += 1
        return count / (time.perf_counter() - started)


# -- annotators ---------------------------------------------------------------------------------------------------


def _work(database: Path, folder: Path, processes: int, seconds: float) -> None:
    """Run the annotator processes, which start at the same time."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(processes)
    annotators = [
        context.Process(target=decide_all, args=(database, folder / f"{number}.log", number, seconds, start))
        for number in range(processes)
    ]
    for annotator in annotators:
        annotator.start()
    for annotator in annotators:
        annotator.join()
    if any(annotator.exitcode for annotator in annotators):
        raise RuntimeError("a process failed; its output is above")


def decide_all(database: Path, log: Path, number: int, seconds: float, start: Barrier) -> None:
    """Run one annotator: claim and decide until the time is over, and log each step after it is done."""
    draw = random.Random(number)
    with open_store(database) as store, log.open("w", encoding="utf-8", buffering=1) as file:
        actor = begin_session(store, f"person{number}", version="bench")
        queue, reviewer = Queue(store, actor), DecisionWriter(store, actor)
        start.wait()
        until = time.perf_counter() + seconds
        while (began := time.perf_counter()) < until:
            line = _one(queue, reviewer, draw)
            line["ms"] = round((time.perf_counter() - began) * 1000, 2)
            file.write(json.dumps(line) + "\n")
            if line.get("dry"):
                break
        end_session(store, actor)


def _one(queue: Queue, reviewer: DecisionWriter, draw: random.Random) -> dict[str, Any]:
    line: dict[str, Any] = {}
    try:
        claims = queue.claim(1)
        if not claims:
            return {"dry": True}
        line["claimed"] = number = claims[0].candidate_id
        if draw.random() < 0.7:
            done = reviewer.decide(number, Kind.ACCEPT)
        else:
            done = reviewer.decide(number, Kind.REJECT, reason=Reason.PRESENT)
        line["action"] = done.action_id
    except RecordBusy as error:
        line["busy"] = error.message
    return line


# -- consistency --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WriterLog:
    """Content of the log of one annotator."""

    claimed: list[int]
    decided: dict[str, int]
    """Candidate by action id."""
    lock_errors: int
    slowest_ms: float
    ran_dry: bool


def read_log(path: Path) -> WriterLog:
    """Read the log of one annotator."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return WriterLog(
        claimed=[line["claimed"] for line in lines if "claimed" in line],
        decided={line["action"]: line["claimed"] for line in lines if "action" in line},
        lock_errors=sum("busy" in line for line in lines),
        slowest_ms=max((line["ms"] for line in lines), default=0.0),
        ran_dry=any("dry" in line for line in lines),
    )


def _check(database: Path, logs: list[WriterLog]) -> dict[str, int]:
    with open_store(database) as store:
        return {
            "double_claims": double_claims(store, [log.claimed for log in logs]),
            "lost": len(_missing(store, logs)),
            "unsound": sum(1 for _ in _unsound(store)),
        }


def double_claims(store: Store, claimed: list[list[int]]) -> int:
    """Count the claims beyond the number that a candidate's overlap allows, given its votes."""
    holders: dict[int, int] = defaultdict(int)
    twice = 0
    for numbers in claimed:
        twice += len(numbers) - len(set(numbers))
        for number in set(numbers):
            holders[number] += 1
    beyond = 0
    with store.read() as connection:
        rows = connection.execute(
            text(
                "SELECT c.id, c.overlap, s.accepts, s.rejects FROM candidate c "
                "JOIN candidate_state s ON s.candidate_id = c.id"
            )
        )
        for row in rows:
            overlap = Overlap.parse(row.overlap)
            differed = row.accepts > 0 and row.rejects > 0
            allowed = overlap.limit if differed else overlap.first
            beyond += max(0, holders.get(row.id, 0) - allowed)
    return twice + beyond


def _missing(store: Store, logs: list[WriterLog]) -> set[str]:
    with store.read() as connection:
        stored = set(connection.execute(text("SELECT uid FROM event")).scalars())
    return {action for log in logs for action in log.decided} - stored


def _unsound(store: Store) -> Iterator[str]:
    with store.read() as connection:
        yield from (row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check") if row[0] != "ok")
        touched = connection.execute(
            text("""SELECT c.id, c.overlap, s.state, s.accepts, s.rejects, s.wanted FROM candidate c
                    JOIN candidate_state s ON s.candidate_id = c.id WHERE s.last_seq > 0""")
        ).all()
        for row in touched:
            status = fold(events_of(connection, row.id), Overlap.parse(row.overlap))
            folded = (str(status.state), status.accepts, status.rejects, status.wanted)
            if folded != (row.state, row.accepts, row.rejects, row.wanted):
                yield f"candidate {row.id}"
