"""kill -9 of a process that migrates an old record: afterwards the record is the old one or the new one, complete.

The process says when it is about to open the record, and is killed within the time that an undisturbed migration took
here. What comes out in the end is compared, table by table, with a migration that was left alone.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.older_schema import OLDER, install, make_older

from curation_db.integrity import checks
from curation_db.integrity.checks import Level
from curation_db.storage import database_file, schema, sqlite
from curation_db.storage.backup import backup_folder, list_backups
from curation_db.storage.migrations import HEAD
from curation_db.storage.store import open_store

_MIGRATE = """
import sys
from pathlib import Path
import curation_db.storage.work_sessions
from support import older_schema
from curation_db.storage.store import open_store
print("ready", flush=True)
sys.stdin.read(1)
with older_schema.installed():
    open_store(Path(sys.argv[1])).close()
print("done", flush=True)
sys.stdin.read()
"""
_FILL = (
    "INSERT INTO source(id, name) VALUES (1, 'coco')",
    "INSERT INTO annotator(id, name, role, created_at) VALUES (1, 'ana', 'annotator', 'then')",
    "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows) "
    "INSERT INTO image(id, source_id, key, file_name) SELECT i, 1, i, i || '.jpg' FROM n",
    "INSERT INTO candidate(id, source_id, key, image_id, text, raw_sha256, pipeline, concept, negation_type, generator,"
    " tokens, overlap, stratum, audit, audit_rate, created_at) SELECT id, 1, key, id, 'a man with no hat ' || id,"
    " x'00', 'P1', 'hat', 'attribute', 'test', 9, '1', 'x', 0, 0, 'then' FROM image",
    "INSERT INTO event(uid, act, candidate_id, actor, role, session, stream, blind, kind, late, at)"
    " SELECT 'u' || id, 'u' || id, id, 'ana', 'annotator', 's', 'review', 0, 'accept', 0, 'then' FROM candidate"
    " WHERE id % 7 != 0",
    "INSERT INTO candidate_state(candidate_id, state, accepts, rejects, unsures, wanted, flagged, notes, last_seq)"
    " SELECT candidate_id, 'accepted', 1, 0, 0, 0, 0, 0, seq FROM event",
    "INSERT INTO candidate_state(candidate_id, state, accepts, rejects, unsures, wanted, flagged, notes, last_seq)"
    " SELECT id, 'open', 0, 0, 0, 1, 0, 0, 0 FROM candidate WHERE id % 7 = 0",
)
_TIMES_OF_THE_MIGRATION = {"lineage", "event_gap"}
"""Tables with the time of their writing."""


@dataclass(frozen=True)
class Old:
    """A record of an older schema, and the result of an undisturbed migration."""

    path: Path
    rows: dict[str, list[tuple[object, ...]]]
    seconds: float


def make_old(folder: Path, rows: int) -> Old:
    path = folder / "older.db"
    make_older(path)
    with sqlite.raw_connection(path) as connection:
        connection.execute("BEGIN")
        for statement in _FILL:
            connection.execute(statement, {"rows": rows} if ":rows" in statement else {})
        connection.execute("COMMIT")
    calm = folder / "calm" / "curation.db"
    calm.parent.mkdir()
    shutil.copy(path, calm)
    with migrating(calm) as process:
        begun = time.monotonic()
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        seconds = time.monotonic() - begun
        process.kill()
    return Old(path, rows_of(calm), seconds)


def migrating(path: Path) -> subprocess.Popen[bytes]:
    """A process that has finished its imports and starts the migration."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MIGRATE, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdin.write(b"x")
    process.stdin.flush()
    return process


def kill_after(path: Path, seconds: float) -> None:
    with migrating(path) as process:
        time.sleep(seconds)
        process.kill()
        process.wait()


def rows_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite.raw_connection(path) as connection:
        names = sorted(database_file.count_contents(connection).tables)
        return {
            name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
            for name in names
            if name not in _TIMES_OF_THE_MIGRATION
        }


def assert_old_or_new(path: Path, old: Old) -> str:
    """Check that the record is intact and has one of the two schemas; return its revision."""
    with sqlite.raw_connection(path) as connection:
        assert database_file.integrity_faults(connection) == []
        assert database_file.dangling_references(connection) == {}
        revision = str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
        assert revision in {OLDER, HEAD}
        assert schema.deviations(connection, revision) == []
        assert connection.execute("SELECT count(*) FROM event").fetchone()[0] == len(old.rows["event"])
    return revision


def assert_migrated_once(path: Path, old: Old) -> None:
    open_store(path).close()
    assert assert_old_or_new(path, old) == HEAD
    assert rows_of(path) == old.rows
    with sqlite.raw_connection(path) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM lineage").fetchone() == (1,)
    examined = {each.name: each for each in checks.check_record(path)}
    assert examined["database"].level is Level.OK
    assert examined["schema"].level is Level.OK
    backups = list_backups(backup_folder(path))
    assert backups, "the backup that is made before"
    for each in backups:
        assert each.problem is None
        assert assert_old_or_new(each.path, old) == OLDER


def kill_at_random(old: Old, folder: Path, kills: int, draw: random.Random) -> Counter[str]:
    """Kill `kills` times, up to three times per file; return the revision after each kill."""
    left: Counter[str] = Counter()
    number = 0
    while left.total() < kills:
        number += 1
        path = folder / str(number) / "curation.db"
        path.parent.mkdir()
        shutil.copy(old.path, path)
        for _ in range(draw.randint(1, 3)):
            kill_after(path, draw.uniform(0, old.seconds))
            left[assert_old_or_new(path, old)] += 1
        assert_migrated_once(path, old)
    return left


@pytest.fixture(autouse=True)
def older_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def test_a_few_kills(tmp_path: Path) -> None:
    kill_at_random(make_old(tmp_path, rows=1_000), tmp_path, 3, random.Random("quick"))


@pytest.mark.long
def test_many_kills(tmp_path: Path) -> None:
    left = kill_at_random(make_old(tmp_path, rows=8_000), tmp_path, 51, random.Random("many"))
    assert left[OLDER] > 0, "some came before the migration was committed"
