"""The schema of a file is compared object by object: foreign triggers, replaced tables, changed constraints."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.older_schema import OLDER, install, make_older
from support.record import Record

from curation_db.enums import Kind
from curation_db.errors import CorruptRecord, ForeignSchema
from curation_db.events.annotators import begin_session
from curation_db.integrity import checks
from curation_db.integrity.checks import CheckResult, Level
from curation_db.review.decisions import DecisionWriter
from curation_db.storage import schema, sqlite
from curation_db.storage.backup import back_up
from curation_db.storage.migrations import HEAD, REVISIONS
from curation_db.storage.migrations.upgrade import migrate, run_scripts
from curation_db.storage.restore import restore
from curation_db.storage.store import Store, create_store, open_store


@pytest.fixture
def record_path(tmp_path: Path) -> Path:
    """A closed record."""
    path = tmp_path / "curation.db"
    with create_store(path) as store:
        Record(store).add(20)
    return path


def spoil(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("PRAGMA writable_schema=ON")
        for statement in statements:
            connection.execute(statement)
        connection.execute("PRAGMA writable_schema=RESET")


def found_in(path: Path) -> list[str]:
    with sqlite.raw_connection(path) as connection:
        return schema.deviations(connection, sqlite.schema_revision(path))


def check_results(path: Path) -> dict[str, CheckResult]:
    return {each.name: each for each in checks.check_record(path)}


_TURNS = """CREATE TRIGGER helper AFTER INSERT ON event WHEN new.kind = 'accept' BEGIN
    UPDATE candidate_state SET state = 'rejected' WHERE candidate_id = new.candidate_id; END"""
_EDIT = "UPDATE sqlite_master SET sql = replace(sql, {old!r}, {new!r}) WHERE name = {name!r}"
SPOILED = {
    "a foreign trigger": ([_TURNS], ["trigger helper on event is foreign"]),
    "no append-only trigger": (["DROP TRIGGER event_never_goes"], ["trigger event_never_goes is missing"]),
    "an append-only trigger that does nothing": (
        [
            "DROP TRIGGER event_never_changes",
            "CREATE TRIGGER event_never_changes BEFORE UPDATE ON event BEGIN SELECT 1; END",
        ],
        ["trigger event_never_changes differs"],
    ),
    "other words in an append-only trigger": (
        [_EDIT.format(old="BEFORE UPDATE ON event", new="BEFORE UPDATE OF note ON event", name="event_never_changes")],
        ["trigger event_never_changes differs"],
    ),
    "a table replaced by a view": (
        ["DROP TABLE mark_due", "CREATE VIEW mark_due AS SELECT id AS candidate_id FROM candidate"],
        ["mark_due is a view instead of a table"],
    ),
    "a foreign view": (["CREATE VIEW mine AS SELECT 1"], ["view mine is foreign"]),
    "a foreign table": (["CREATE TABLE mine(id)"], ["table mine is foreign"]),
    "a foreign unique index": (["CREATE UNIQUE INDEX mine ON event(candidate_id)"], ["index mine on event is foreign"]),
    "a changed constraint": (
        [_EDIT.format(old="'skip'", new="'skap'", name="event")],
        ["table event differs: it lacks constraint kind_known check ( kind in ("],
    ),
    "a constraint in other letter case inside its words": (
        [_EDIT.format(old="'accept', 'reject'", new="'Accept', 'reject'", name="gold")],
        ["table gold differs: it lacks constraint answer_known check ( answer in ( 'accept' , 'reject' ) )"],
    ),
    "a constraint that is gone": (
        [
            _EDIT.format(
                old="CONSTRAINT p_is_a_probability CHECK (p IS NULL OR (p >= 0 AND p <= 1)),", new="", name="verdict"
            )
        ],
        ["table verdict differs: it lacks constraint p_is_a_probability"],
    ),
    "a column with another type": (
        [_EDIT.format(old="url VARCHAR", new="url BLOB", name="image")],
        ["table image differs: it lacks url varchar"],
    ),
    "a further column": (["ALTER TABLE event ADD COLUMN mood TEXT"], ["table event differs: it has mood text"]),
    "an index on other columns": (
        ["DROP INDEX lease_session", "CREATE INDEX lease_session ON lease(annotator_id)"],
        ["index lease_session differs"],
    ),
    "an index that is gone": (["DROP INDEX event_actor"], ["index event_actor is missing"]),
}


@pytest.mark.parametrize("what", SPOILED)
class TestForeign:
    def test_doctor_is_red_and_names_it(self, record_path: Path, what: str) -> None:
        statements, expected = SPOILED[what]
        spoil(record_path, *statements)
        assert [line[: len(start)] for line, start in zip(found_in(record_path), expected, strict=True)] == expected
        caught = check_results(record_path)["schema"]
        assert caught.level is Level.ERROR
        assert expected[0] in caught.message
        assert "negwb restore" in caught.hint
        with pytest.raises((ForeignSchema, CorruptRecord)):
            checks.repair(record_path)

    def test_restore_refuses_it_and_changes_nothing(self, record_path: Path, tmp_path: Path, what: str) -> None:
        foreign = back_up(record_path, tmp_path / "foreign.db").path
        statements, expected = SPOILED[what]
        spoil(foreign, *statements)
        before = record_path.read_bytes()
        with pytest.raises(ForeignSchema) as caught:
            restore(record_path, foreign)
        assert expected[0] in caught.value.message
        assert "foreign.db" in caught.value.message
        assert "\n" not in caught.value.message
        assert record_path.read_bytes() == before
        assert {each.name for each in tmp_path.iterdir()} == {"curation.db", "foreign.db"}


class TestOurs:
    @pytest.fixture
    def older(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A record of an older schema."""
        install(monkeypatch)
        make_older(tmp_path / "old.db")
        return tmp_path / "old.db"

    def test_a_new_record(self, record_path: Path) -> None:
        assert found_in(record_path) == []
        assert check_results(record_path)["schema"].level is Level.OK

    def test_an_older_record_before_and_after_its_migration(self, older: Path) -> None:
        assert sqlite.schema_revision(older) == OLDER
        assert found_in(older) == []
        assert check_results(older)["schema"].level is Level.WARNING
        spoil(older, _TURNS)
        assert check_results(older)["schema"].level is Level.ERROR
        spoil(older, "DROP TRIGGER helper")
        open_store(older).close()
        assert found_in(older) == []
        assert sqlite.schema_revision(older) == HEAD
        assert check_results(older)["schema"].level is Level.OK

    def test_an_older_backup_is_restored(self, older: Path, record_path: Path) -> None:
        restore(record_path, older)
        assert found_in(record_path) == []

    def test_a_number_that_does_not_fit_the_schema(self, older: Path) -> None:
        spoil(older, f"UPDATE alembic_version SET version_num = '{HEAD}'")
        assert any("lineage is missing" in line for line in found_in(older))

    def test_changes_by_sqlite_and_its_tools(self, record_path: Path) -> None:
        spoil(record_path, "ANALYZE", "INSERT INTO caption_text(caption_text) VALUES ('optimize')", "REINDEX", "VACUUM")
        with closing(sqlite3.connect(record_path)) as connection:
            assert connection.execute("SELECT count(*) FROM sqlite_stat1").fetchone()[0]
        assert found_in(record_path) == []

    def test_white_space_quotes_case_and_the_order_of_clauses(self, record_path: Path) -> None:
        spoil(
            record_path,
            "UPDATE sqlite_master SET sql = replace(sql, 'CREATE TABLE lease', 'create  table /* a */ \"LEASE\"') "
            "WHERE name = 'lease'",
            "UPDATE sqlite_master SET sql = replace(sql, 'session VARCHAR', '[session] -- b\n\t`varchar`') "
            "WHERE name = 'lease'",
            "UPDATE sqlite_master SET sql = replace(sql, 'CREATE TRIGGER', 'create trigger') WHERE type = 'trigger'",
        )
        with closing(sqlite3.connect(record_path)) as connection:
            lease_sql = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'lease'").fetchone()[0]
            assert '"LEASE"' in lease_sql
            assert "-- b" in lease_sql
        assert found_in(record_path) == []


OPENED: dict[str, Callable[[Path], object]] = {
    "write": Store,
    "lean": lambda path: Store(path, lean=True),
    **{mode.name: lambda path, mode=mode: Store(path, mode) for mode in sqlite.Mode},
}


class TestGuards:
    @pytest.mark.parametrize("how", OPENED)
    def test_every_connection_of_a_store(self, record_path: Path, how: str) -> None:
        with OPENED[how](record_path) as store, store.read() as connection:  # type: ignore[attr-defined]
            assert connection.exec_driver_sql("PRAGMA trusted_schema").scalar() == 0
            assert connection.exec_driver_sql("PRAGMA cell_size_check").scalar() == 1

    @pytest.mark.parametrize("mode", sqlite.Mode)
    def test_every_bare_connection(self, record_path: Path, mode: sqlite.Mode) -> None:
        with sqlite.raw_connection(record_path, mode) as connection:
            assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
            assert connection.execute("PRAGMA cell_size_check").fetchone() == (1,)

    def test_a_trigger_calls_no_function_that_does_more_than_compute(self, record: Record) -> None:
        record.add(1)
        spoil(
            record.store.path,
            "CREATE TRIGGER helper AFTER INSERT ON event BEGIN SELECT fts3_tokenizer('x'); END",
        )
        session = record.open_session("ana")
        with pytest.raises(Exception, match="unsafe use of fts3_tokenizer"):
            session.reviewer.decide(1, Kind.ACCEPT)


def test_a_damaged_backup_is_detected_before_its_use(
    record_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease_sql = back_up(record_path, tmp_path / "made.db").path
    with lease_sql.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xa5" * 4096)
    used: list[Path] = []
    monkeypatch.setattr("curation_db.storage.database_file.copy_snapshot", lambda source, *_, **__: used.append(source))
    with pytest.raises(CorruptRecord, match=r"made\.db is damaged"):
        restore(record_path, lease_sql)
    assert used == []


def test_the_digests_are_those_of_the_built_schemas() -> None:
    """The digests are those of the table classes (newest schema) and of the scripts (every schema)."""
    assert tuple(schema.DIGESTS) == REVISIONS
    assert schema.digest(schema.expected(HEAD)) == schema.DIGESTS[HEAD]
    for revision, digest in schema.DIGESTS.items():
        engine = sqlite.in_memory_engine()
        with engine.begin() as connection:
            run_scripts(connection, revision)
            built = schema.schema_of(connection.connection.driver_connection)
        engine.dispose()
        assert schema.digest(built) == digest


def test_the_synthetic_step_ends_in_the_newest_schema(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GIVEN a record of an older schema WHEN it is migrated THEN it has the schema of a new one, object by object."""
    make_older(tmp_path / "old.db")
    install(monkeypatch)
    migrate(tmp_path / "old.db")
    with sqlite.raw_connection(tmp_path / "old.db") as connection:
        assert schema.digest(schema.schema_of(connection)) == schema.DIGESTS[HEAD]


def test_a_record_of_schema_0004_keeps_its_events_and_takes_answers_to_probes(tmp_path: Path) -> None:
    """GIVEN a record with an event of schema 0004 WHEN it is opened THEN the event is the same, and probes fit in."""
    path = tmp_path / "curation.db"
    sqlite.initialise_file(path)
    migrate(path, to="0004")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO source(id, name) VALUES (1, 'coco')")
        connection.execute("INSERT INTO image(id, source_id, key) VALUES (1, 1, '1')")
        columns = {
            "id": 1, "source_id": 1, "key": "k", "image_id": 1, "text": "no hat", "pipeline": "P1",
            "negation_type": "absence", "generator": "test", "tokens": 4, "overlap": "1", "stratum": "all", "audit": 0,
            "audit_rate": 0.0, "created_at": "2026-01-01", "raw_sha256": bytes(32), "since": 0,
        }  # fmt: skip
        connection.execute(
            f"INSERT INTO candidate({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            tuple(columns.values()),
        )
        connection.execute(
            "INSERT INTO candidate_state(candidate_id, state, accepts, rejects, unsures, wanted, flagged, notes, "
            "last_seq) VALUES (1, 'open', 0, 0, 0, 1, 0, 0, 0)"
        )
        connection.execute(
            "INSERT INTO event(uid, act, candidate_id, actor, role, session, stream, blind, kind, late, at) "
            "VALUES ('u', 'u', 1, 'ana', 'annotator', 's', 'review', 0, 'accept', 0, '2026-01-01')"
        )
        connection.commit()
        before = connection.execute("SELECT * FROM event").fetchall()
    with open_store(path) as store:
        writer = DecisionWriter(store, begin_session(store, "ana", version="test"))
        writer.answer_probe(1, Kind.TWIN, "a hat", is_true=False)
        with store.read() as connection:
            rows = connection.exec_driver_sql("SELECT * FROM event ORDER BY seq").fetchall()
            assert [tuple(row) for row in rows[:1]] == before
            assert [row.kind for row in rows] == ["accept", "twin"]
    with closing(sqlite3.connect(path)) as connection:
        assert schema.deviations(connection, HEAD) == []
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for broken in ("UPDATE event SET note = 'x'", "DELETE FROM event"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(broken)


def test_an_older_record_gets_the_random_order_of_its_audit_set(tmp_path: Path) -> None:
    path = tmp_path / "curation.db"
    places = "SELECT candidate_id, group_id, priority FROM queue_entry WHERE ordering = 'audit' ORDER BY candidate_id"
    with create_store(path) as store:
        record = Record(store)
        record.add(60, audit_rate=0.5)
        expected = record.rows(places)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM queue_entry WHERE ordering = 'audit'")
        connection.execute("UPDATE alembic_version SET version_num = '0006'")
    migrate(path)
    with open_store(path) as store:
        assert Record(store).rows(places) == expected
    assert expected
