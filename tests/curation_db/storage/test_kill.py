"""kill -9 of a deciding process at random moments: acknowledged actions are stored, and no action is incomplete.

A kill ends the process, not the machine: data that SQLite gave to the system survives even without fsync. Power cuts
are covered by `synchronous=FULL`, and no test here can simulate them.

The process (`tests/support/kills.py`) decides through `Queue` and `DecisionWriter`. It logs each operation before the
call, and the id of the written action after it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.kills import AnnotatorProcess, LogSummary
from support.record import Record

from curation_db.events.annotators import begin_session
from curation_db.queue.claims import Queue
from curation_db.storage.store import create_store, open_store

LONGEST = 0.4
"""Maximum seconds between the start of a process's session and its kill."""
CARDS = 40
"""Few enough that processes compete for cards, edit them and undo; more are added during the test."""
DOOMED, OTHER = "ana", "ben"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with create_store(tmp_path / "curation.db") as store:
        Record(store).add(CARDS, overlap="2", audit_rate=0.2)
    return tmp_path / "curation.db"


@contextmanager
def opened(database: Path) -> Iterator[Record]:
    with open_store(database) as store:
        yield Record(store)


def kill_at_random(database: Path, draw: random.Random) -> LogSummary:
    """Start an annotator process and kill it, at the start of its session (one time in ten) or while it decides."""
    with AnnotatorProcess(database, DOOMED, seed=draw.getrandbits(32)) as process:
        if draw.random() < 0.9:
            process.wait_until_started()
        process.kill_after(draw.uniform(0, LONGEST))
        return process.summary()


def assert_sound(record: Record, since: int) -> None:
    """Check the file and the fold of the candidates with events after `since`."""
    assert record.rows("PRAGMA integrity_check") == [("ok",)]
    assert record.rows("PRAGMA foreign_key_check") == []
    record.assert_state_matches_events(since=since)


def assert_actions_are_complete(record: Record) -> None:
    """Every edit has a child with queue entries; the undo of an edit also withdrew the child."""
    for table in ("candidate_state", "queue_entry"):
        assert record.rows(f"SELECT id FROM candidate WHERE id NOT IN (SELECT candidate_id FROM {table})") == []
    orphans = """SELECT id FROM candidate WHERE pipeline = 'edit'
        AND id NOT IN (SELECT child_id FROM event WHERE child_id IS NOT NULL)"""
    assert record.rows(orphans) == []
    half_undone = """
        SELECT u.seq FROM event u JOIN event e ON e.seq = u.undo_of WHERE e.child_id IS NOT NULL AND NOT EXISTS
        (SELECT 1 FROM event w WHERE w.act = u.act AND w.kind = 'withdraw' AND w.candidate_id = e.child_id)"""
    assert record.rows(half_undone) == []


def assert_written(record: Record, summary: LogSummary, known: set[object]) -> set[object]:
    """Every acknowledged action is stored, and beyond them at most the one that was pending; return all actions."""
    stored = {row[0] for row in record.rows("SELECT DISTINCT act FROM event WHERE actor = :who", who=DOOMED)}
    assert set(summary.written) <= stored
    unacknowledged = stored - known - set(summary.written)
    assert len(unacknowledged) <= 1
    assert not unacknowledged or summary.pending is not None
    return stored


def assert_leases_freed(record: Record, *, alone: bool) -> None:
    """The annotator's next session gets the dead one's cards at once."""
    held = _numbers(
        record,
        "SELECT candidate_id FROM lease l JOIN annotator a ON a.id = l.annotator_id WHERE a.name = :who",
        who=DOOMED,
    )
    actor = begin_session(record.store, DOOMED, version="test")
    assert record.rows("SELECT count(*) FROM lease WHERE annotator_id = :me", me=actor.annotator_id) == [(0,)]
    if not alone:
        return  # the other annotator claims and releases cards at the same time
    available = _numbers(
        record,
        """SELECT e.candidate_id FROM queue_entry e JOIN queue_group g ON g.id = e.group_id
           WHERE g.stream != 'closed' AND instr(g.voters, :me) = 0""",
        me=f",{actor.annotator_id},",
    )
    queue = Queue(record.store, actor)
    claimed = {claim.candidate_id for claim in queue.claim(len(available) + 1, revisit=True)}
    assert claimed == available
    assert held & available <= claimed
    queue.release(claimed)


def _numbers(record: Record, statement: str, **values: object) -> set[object]:
    return {row[0] for row in record.rows(statement, **values)}


def kill_repeatedly(database: Path, kills: int, draw: random.Random, *, alone: bool) -> Counter[str]:
    """Kill a process `kills` times and check the record after each; return the operations pending at the kills."""
    pending: Counter[str] = Counter()
    known: set[object] = set()
    since = 0
    for _ in range(kills):
        summary = kill_at_random(database, draw)
        pending[summary.pending or "between"] += 1
        with opened(database) as record:
            known = assert_written(record, summary, known)
            assert_sound(record, since)
            assert_actions_are_complete(record)
            assert_leases_freed(record, alone=alone)
            since = record.rows("SELECT coalesce(max(seq), 0) FROM event")[0][0]  # type: ignore[assignment]
            if record.rows("SELECT count(*) FROM candidate_state WHERE wanted > 0")[0][0] < CARDS:  # type: ignore[operator]
                record.add(CARDS, overlap="2", audit_rate=0.2)
    with opened(database) as record:
        assert_sound(record, since=-1)
    return pending


def test_a_few_kills_lose_nothing(database: Path) -> None:
    kill_repeatedly(database, 3, random.Random(1), alone=True)


@pytest.mark.long
def test_kills_at_random_moments_lose_nothing(database: Path, kills: int) -> None:
    pending = kill_repeatedly(database, kills, random.SystemRandom(), alone=True)
    missed = {"claim", "decide", "edit", "undo"} - pending.keys()
    assert not missed, f"no kill came during {missed}; they came during {dict(pending)}"


@pytest.mark.long
def test_killed_processes_do_not_block_another_annotator(database: Path, kills: int) -> None:
    """The same beside another annotator, who continues and is never refused the record."""
    with AnnotatorProcess(database, OTHER, seed=1, pause=0.01) as other:
        other.wait_until_started()
        kill_repeatedly(database, kills, random.SystemRandom(), alone=False)
        other.kill_after(0)
        summary = other.summary()
    assert len(summary.written) > kills
    assert not summary.refused
