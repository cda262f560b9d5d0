"""kill -9 of a deciding process at random moments: what it was told is written is there, and nothing is half done.

A kill ends the process, not the machine: what SQLite gave to the system is there even without fsync. Power cuts are
`synchronous=FULL`'s business, and no test of ours can show it.

The process (`tests/support/kills.py`) decides through the product's own `Queue` and `Reviewer`; it says what it is
about to do, and when the call has returned, the ids of what was written.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.kills import Deciding, Told
from support.record import Record

from curation_db.events.annotators import begin_session
from curation_db.queue.claims import Queue
from curation_db.storage.store import create_store, open_store

LONGEST = 0.4
"""Seconds that a process may live at most, after it said that it is there."""
CARDS = 40
"""Fewer than a few processes can decide about, so that cards are fought for, edited and taken back; more come."""
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


def kill_at_random(database: Path, draw: random.Random) -> Told:
    """Start a person's process, and kill it: while it starts its session (one time in ten), or while it decides."""
    with Deciding(database, DOOMED, seed=draw.getrandbits(32)) as process:
        if draw.random() < 0.9:
            process.wait_until_it_decides()
        process.kill_after(draw.uniform(0, LONGEST))
        return process.told()


def assert_sound(record: Record, since: int) -> None:
    """`since`: the candidates touched after this event are folded; all of them are at the end."""
    assert record.rows("PRAGMA integrity_check") == [("ok",)]
    assert record.rows("PRAGMA foreign_key_check") == []
    record.assert_state_is_the_fold(since=since)


def assert_acts_are_whole(record: Record) -> None:
    """An edit has its child and the child its place; an act that took an edit back took the child back too."""
    for table in ("candidate_state", "queue_entry"):
        assert record.rows(f"SELECT id FROM candidate WHERE id NOT IN (SELECT candidate_id FROM {table})") == []
    motherless = """SELECT id FROM candidate WHERE pipeline = 'edit'
        AND id NOT IN (SELECT child_id FROM event WHERE child_id IS NOT NULL)"""
    assert record.rows(motherless) == []
    half_undone = """
        SELECT u.seq FROM event u JOIN event e ON e.seq = u.undo_of WHERE e.child_id IS NOT NULL AND NOT EXISTS
        (SELECT 1 FROM event w WHERE w.act = u.act AND w.kind = 'withdraw' AND w.candidate_id = e.child_id)"""
    assert record.rows(half_undone) == []


def assert_written(record: Record, told: Told, known: set[object]) -> set[object]:
    """All that was said to be written is there, and beyond it at most the one act that was under way."""
    acts = {row[0] for row in record.rows("SELECT DISTINCT act FROM event WHERE actor = :who", who=DOOMED)}
    assert set(told.written) <= acts
    unsaid = acts - known - set(told.written)
    assert len(unsaid) <= 1
    assert not unsaid or told.under_way is not None
    return acts


def assert_leases_freed(record: Record, *, alone: bool) -> None:
    """The person's next session has the dead one's cards at once."""
    held = _numbers(
        record,
        "SELECT candidate_id FROM lease l JOIN annotator a ON a.id = l.annotator_id WHERE a.name = :who",
        who=DOOMED,
    )
    actor = begin_session(record.store, DOOMED, version="test")
    assert record.rows("SELECT count(*) FROM lease WHERE annotator_id = :me", me=actor.annotator_id) == [(0,)]
    if not alone:
        return  # the other person's cards come and go meanwhile
    to_be_had = _numbers(
        record,
        """SELECT e.candidate_id FROM queue_entry e JOIN queue_group g ON g.id = e.group_id
           WHERE g.stream != 'closed' AND instr(g.voters, :me) = 0""",
        me=f",{actor.annotator_id},",
    )
    queue = Queue(record.store, actor)
    claimed = {claim.candidate_id for claim in queue.claim(len(to_be_had) + 1, revisit=True)}
    assert claimed == to_be_had
    assert held & to_be_had <= claimed
    queue.release(claimed)


def _numbers(record: Record, statement: str, **values: object) -> set[object]:
    return {row[0] for row in record.rows(statement, **values)}


def put_to_death(database: Path, kills: int, draw: random.Random, *, alone: bool) -> Counter[str]:
    """So many kills; returns what was under way at each, and fails where anything is not as it must be."""
    under_way: Counter[str] = Counter()
    known: set[object] = set()
    since = 0
    for _ in range(kills):
        told = kill_at_random(database, draw)
        under_way[told.under_way or "between"] += 1
        with opened(database) as record:
            known = assert_written(record, told, known)
            assert_sound(record, since)
            assert_acts_are_whole(record)
            assert_leases_freed(record, alone=alone)
            since = record.rows("SELECT coalesce(max(seq), 0) FROM event")[0][0]  # type: ignore[assignment]
            if record.rows("SELECT count(*) FROM candidate_state WHERE wanted > 0")[0][0] < CARDS:  # type: ignore[operator]
                record.add(CARDS, overlap="2", audit_rate=0.2)
    with opened(database) as record:
        assert_sound(record, since=-1)
    return under_way


def test_a_few_kills_lose_nothing(database: Path) -> None:
    put_to_death(database, 3, random.Random(1), alone=True)


@pytest.mark.long
def test_kills_at_random_moments_lose_nothing(database: Path, kills: int) -> None:
    under_way = put_to_death(database, kills, random.SystemRandom(), alone=True)
    missed = {"claim", "decide", "edit", "undo"} - under_way.keys()
    assert not missed, f"no kill came during {missed}; they came during {dict(under_way)}"


@pytest.mark.long
def test_the_dead_hold_up_nobody(database: Path, kills: int) -> None:
    """The same beside another person, who goes on deciding and is never refused the record."""
    with Deciding(database, OTHER, seed=1, pause=0.01) as other:
        other.wait_until_it_decides()
        put_to_death(database, kills, random.SystemRandom(), alone=False)
        other.kill_after(0)
        told = other.told()
    assert len(told.written) > kills
    assert not told.refused
