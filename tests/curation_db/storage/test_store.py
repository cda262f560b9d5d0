"""Creation, opening, migration and refusal of records; transactions with many processes."""

from __future__ import annotations

import multiprocessing
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from curation_db.errors import (
    CorruptRecord,
    NewerRecord,
    NotARecord,
    RecordBusy,
    RecordError,
    RecordUnwritable,
    UnreleasedSchema,
)
from curation_db.integrity import checks
from curation_db.storage import sqlite
from curation_db.storage.backup import back_up
from curation_db.storage.migrations import HEAD, NEVER_RELEASED, REVISIONS
from curation_db.storage.restore import restore
from curation_db.storage.store import Store, create_store, open_read_only, open_store


def schema(path: Path) -> list[tuple[str, str, list[str]]]:
    """Return all definitions of the database, without the order of a table's clauses."""
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name"
    ).fetchall()
    connection.close()
    return [(kind, name, clauses("".join(str(sql).split()))) for kind, name, sql in rows]


def clauses(sql: str) -> list[str]:
    """Return the clauses between the outer brackets, and the text around them."""
    parts, depth = [""], 0
    for letter in sql:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 1:
            parts.append("")
        else:
            parts[-1] += letter
    head, _, first = parts[0].partition("(")
    last, _, tail = parts[-1].rpartition(")") if len(parts) > 1 else ("", "", "")
    return [head, *sorted([first, *parts[1:-1], last]), tail]


def test_a_migrated_record_has_the_schema_of_a_fresh_one(tmp_path: Path) -> None:
    from curation_db.storage.migrations.upgrade import upgrade

    create_store(tmp_path / "fresh.db").close()
    sqlite.initialise_file(tmp_path / "old.db")
    backup = upgrade(tmp_path / "old.db", "")
    assert backup.is_file()
    assert schema(tmp_path / "old.db") == schema(tmp_path / "fresh.db")
    open_store(tmp_path / "old.db").close()


def test_the_known_revisions_are_the_scripts() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from curation_db.storage.migrations.upgrade import SCRIPTS

    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())
    assert tuple(script.revision for script in reversed(scripts)) == REVISIONS
    assert scripts[0].revision == HEAD


def test_an_older_record_is_backed_up_and_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "curation.db"
    create_store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM alembic_version")
        for kind, name in connection.execute("SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL").fetchall():
            if kind in {"table", "trigger"} and name != "alembic_version" and not name.startswith("sqlite_"):
                connection.execute(f'DROP {kind} IF EXISTS "{name}"')
    connection.close()
    open_store(path).close()
    assert schema(path)
    (backup_path,) = (tmp_path / "backups").iterdir()
    assert re.fullmatch(rf"curation-\d{{8}}T\d{{6}}Z-0-before-schema-{HEAD}-from-none\.db", backup_path.name)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda path: path.write_bytes(b"not a database at all, but long enough to be read" * 40), CorruptRecord),
        (lambda path: sqlite3.connect(path).execute("PRAGMA user_version=1").connection.close(), NotARecord),
        (lambda path: None, NotARecord),
    ],
    ids=["garbage", "somebody else's database", "nothing there"],
)
def test_a_file_that_is_no_record_is_refused_in_one_line(tmp_path: Path, damage, error: type[RecordError]) -> None:
    path = tmp_path / "curation.db"
    damage(path)
    with pytest.raises(error) as caught:
        open_store(path)
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("revision", NEVER_RELEASED)
def test_a_record_from_before_the_first_release_is_refused_and_left_alone(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "curation.db"
    create_store(path).close()
    backups = back_up(path).path
    for each in (path, backups):
        each.chmod(0o600)
        with sqlite3.connect(each) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.close()
    before = path.read_bytes()
    for refused in (open_store, open_read_only, lambda path: restore(path, backups)):
        with pytest.raises(UnreleasedSchema, match=revision) as caught:
            refused(path)
        assert "\n" not in caught.value.message
        assert caught.value.hint
    assert path.read_bytes() == before
    (result,) = checks.check_record(path)
    assert result.level is checks.Level.ERROR


def test_a_newer_record_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "curation.db"
    create_store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NewerRecord, match="9999"):
        open_store(path)
    assert path.read_bytes() == before


def test_creating_over_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "curation.db").write_text("precious")
    with pytest.raises(FileExistsError):
        create_store(tmp_path / "curation.db")
    assert (tmp_path / "curation.db").read_text() == "precious"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with create_store(tmp_path / "curation.db") as store:
        with pytest.raises(ZeroDivisionError), store.write() as connection:
            connection.execute(text("INSERT INTO source(name) VALUES ('coco')"))
            raise ZeroDivisionError
        with store.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM source")).scalar_one() == 0


def test_events_cannot_be_changed_or_deleted(tmp_path: Path) -> None:
    with create_store(tmp_path / "curation.db") as store:
        with store.write() as connection:
            connection.execute(text("PRAGMA foreign_keys=OFF"))
            connection.execute(
                text("""INSERT INTO source(id, name) VALUES (1, 'x')"""),
            )
            connection.execute(text("INSERT INTO image(id, source_id, key) VALUES (1, 1, 'x')"))
            connection.execute(
                text("""INSERT INTO candidate(id, source_id, key, image_id, text, raw_sha256, pipeline, negation_type,
                        generator, tokens, overlap, stratum, audit, audit_rate, created_at)
                        VALUES (1, 1, 'x', 1, 'no', x'00', 'P1', 'absence', 'x', 1, '1', 'x', 0, 0, 'x')""")
            )
            connection.execute(
                text("""INSERT INTO event(uid, act, candidate_id, actor, role, session, stream, blind, kind, late, at)
                        VALUES ('u', 'u', 1, 'ana', 'annotator', 's', 'review', 0, 'accept', 0, 'now')""")
            )
        for statement in ("UPDATE event SET kind = 'reject'", "DELETE FROM event"):
            with pytest.raises(RecordError, match="append-only"), store.write() as connection:
                connection.execute(text(statement))


def test_a_locked_record_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "curation.db"
    create_store(path).close()
    monkeypatch.setattr(sqlite, "_PRAGMAS", ("PRAGMA busy_timeout=50",))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with Store(path) as store, pytest.raises(RecordBusy, match="another process"), store.write():
        pass
    holder.close()


def test_a_full_disk_is_reported_and_loses_nothing(tmp_path: Path) -> None:
    with create_store(tmp_path / "curation.db") as store:
        with pytest.raises(RecordUnwritable, match="no disk space"), store.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            connection.execute(text("INSERT INTO source(name) VALUES (:name)"), {"name": "x" * 1_000_000})
        with store.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM source")).scalar_one() == 0


def _count_up(path: Path, times: int) -> None:
    with Store(path) as store:
        for _ in range(times):
            with store.write() as connection:
                value = connection.execute(text("SELECT value FROM record_note WHERE name = 'n'")).scalar_one()
                connection.execute(
                    text("UPDATE record_note SET value = :value WHERE name = 'n'"), {"value": str(int(value) + 1)}
                )


def test_four_processes_counting_together_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "curation.db"
    with create_store(path) as store, store.write() as connection:
        connection.execute(text("INSERT INTO record_note(name, value) VALUES ('n', '0')"))
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count_up, args=(path, 100)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    with open_store(path) as store, store.read() as connection:
        assert connection.execute(text("SELECT value FROM record_note")).scalar_one() == "400"


def test_opening_it_twice_gives_up_no_lock(tmp_path: Path) -> None:
    """A process that opens and closes the record must not delete the log of another process."""
    path = tmp_path / "curation.db"
    come_and_go = (
        "import sys; from pathlib import Path; from curation_db.storage.store import open_store;"
        "open_store(Path(sys.argv[1])).close()"
    )
    with create_store(path) as store:
        with store.write() as connection:
            connection.execute(text("INSERT INTO source(name) VALUES ('before')"))
        open_store(path).close()
        sqlite.is_wal(path)
        log = path.with_name("curation.db-wal").stat().st_ino
        subprocess.run([sys.executable, "-c", come_and_go, str(path)], check=True)
        assert path.with_name("curation.db-wal").stat().st_ino == log
        with store.write() as connection:
            connection.execute(text("INSERT INTO source(name) VALUES ('after')"))
        read = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT name FROM source'))"
        caught = subprocess.run([sys.executable, "-c", read, str(path)], check=True, capture_output=True, text=True)
        assert {"('before',)", "('after',)"} == set(caught.stdout.strip().split(" "))


def test_the_next_open_copies_the_log_of_a_killed_process(tmp_path: Path) -> None:
    """GIVEN a log that holds writes of a process that was killed, while others have the record open WHEN one more
    process opens it THEN a later loss of the log loses none of these writes."""
    path = tmp_path / "curation.db"
    write_and_die = """
import os, sys
from pathlib import Path
from sqlalchemy import text
from curation_db.storage.store import Store
with Store(Path(sys.argv[1])).write() as connection:
    connection.execute(text("INSERT INTO source(name) VALUES ('acknowledged')"))
os.kill(os.getpid(), 9)
"""
    with create_store(path) as other, other.read() as connection:
        connection.execute(text("SELECT 1"))
        killed = subprocess.run([sys.executable, "-c", write_and_die, str(path)], check=False)
        assert killed.returncode == -9
        with open_store(path):
            (tmp_path / "copy.db").write_bytes(path.read_bytes())
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT name FROM source").fetchall() == [("acknowledged",)]
    copy.close()


def older(path: Path) -> None:
    """A record without a revision, with a foreign table."""
    sqlite.initialise_file(path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version(version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('0000')")
        connection.execute("CREATE TABLE mine(id INTEGER PRIMARY KEY, word)")
        connection.execute("INSERT INTO mine VALUES (1, 'a')")
        connection.execute("CREATE INDEX mine_word ON mine(word)")
    connection.close()


class TestTheBackupBeforeAMigration:
    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A record whose migration always fails."""
        from curation_db.storage.migrations import upgrade

        older(tmp_path / "curation.db")
        monkeypatch.setattr("curation_db.storage.store.REVISIONS", ("0000", *REVISIONS))

        def fail(*_: object, **__: object) -> None:
            raise RecordUnwritable("no room to migrate")

        monkeypatch.setattr(upgrade, "migrate", fail)
        return tmp_path / "curation.db"

    @staticmethod
    def fail_to_open(path: Path) -> list[Path]:
        with pytest.raises(RecordUnwritable, match="no room to migrate"):
            open_store(path)
        return sorted((path.parent / "backups").iterdir())

    def test_is_created_once(self, path: Path) -> None:
        backups = self.fail_to_open(path)
        assert len(backups) == 1
        assert self.fail_to_open(path) == backups

    def test_is_repeated_after_a_write(self, path: Path) -> None:
        self.fail_to_open(path)
        with sqlite3.connect(path) as connection:  # as many rows as before, and the same event
            connection.execute("UPDATE mine SET word = 'b'")
        connection.close()
        assert len(self.fail_to_open(path)) == 2

    @pytest.mark.parametrize("part", ["mine", "mine_word"], ids=["table", "index"])
    def test_is_repeated_if_damaged(self, path: Path, part: str) -> None:
        (backups,) = self.fail_to_open(path)
        with sqlite3.connect(backups) as connection:
            (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (part,)).fetchone()
        connection.close()
        backups.chmod(0o600)
        with backups.open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xa5" * 4096)
        assert len(self.fail_to_open(path)) == 2
