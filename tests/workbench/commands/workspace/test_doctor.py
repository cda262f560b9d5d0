"""Tests of `negwb doctor`: a valid workspace, every kind of finding, repair."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.older_schema import install, make_older
from support.record import Record
from support.terminal import Terminal
from typer.testing import CliRunner

from curation_db.enums import Kind
from curation_db.errors import CorruptRecord
from curation_db.integrity.checks import Level
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.console.terminal_env import detect_terminal, reason
from workbench.diagnostics import environment
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.writer import add_picture_folder

NEGWB = Path(sys.executable).with_name("negwb")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    with open_store(created.database) as store:
        record = Record(store)
        record.add(20)
        session = record.open_session("ana")
        for number in (1, 2, 3):
            session.reviewer.decide(number, Kind.ACCEPT)
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
    return created


def run_doctor(workspace: Workspace, *words: str, code: int = 0) -> dict[str, Any]:
    """Run doctor; return the findings by name."""
    done = CliRunner().invoke(app, ["-w", str(workspace.root), "doctor", "--json", *words])
    assert done.exit_code == code, (done.output, done.exception)
    report = json.loads(done.stdout)
    assert report["sound"] is (code != 3)
    return {**{each["name"]: each for each in report["findings"]}, "repaired": report["repaired"]}


def damage_record(workspace: Workspace, statement: str) -> None:
    connection = sqlite3.connect(workspace.database)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_sound_workspace(workspace: Workspace) -> None:
    before = workspace.database.read_bytes()
    findings = run_doctor(workspace)
    names = ("settings", "folder", "database", "references", "schema", "log", "states", "queue", "sessions", "sqlite")
    assert {name: findings[name]["level"] for name in names} == dict.fromkeys(names, "ok")
    assert "20 candidates" in findings["states"]["message"]
    assert findings["backups"]["level"] == "warning"
    assert workspace.database.read_bytes() == before
    assert {path.name for path in workspace.root.iterdir()} == {"negwb.toml", "curation.db", "guidelines.md"}


def test_an_unknown_theme_is_a_settings_error(workspace: Workspace) -> None:
    workspace.settings.write_text("[curate]\ntheme = 'nope'\n")
    findings = run_doctor(workspace, code=1)["settings"]
    assert findings["level"] == "error"
    assert "theme = 'nope'" in findings["message"]


def test_one_line_per_check(workspace: Workspace) -> None:
    done = subprocess.run(
        [NEGWB, "-w", workspace.root, "doctor"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0
    assert "  ✓ states       the states of 20 candidates agree with their 3 events" in done.stdout
    assert "  ⚠ backups      there is no backup of this record\n" in done.stdout
    assert "                 create one: negwb backup" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("UPDATE candidate_state SET state = 'rejected' WHERE candidate_id = 1", "states"),
        ("DELETE FROM queue_entry WHERE candidate_id = 7", "queue"),
        ("INSERT INTO lease VALUES (99, 1, 's', 0, 600)", "references"),
    ],
)
def test_derived_data_is_rebuilt_after_a_backup(workspace: Workspace, statement: str, name: str) -> None:
    damage_record(workspace, statement)
    findings = run_doctor(workspace, code=3)
    assert findings[name]["level"] == "error"
    assert "--repair" in findings[name]["hint"]
    repaired = run_doctor(workspace, "--repair")
    assert repaired[name]["level"] == "ok"
    assert repaired["repaired"][0].startswith("backed up as ")
    assert len(list((workspace.root / "backups").glob("*-before-repair.db"))) == 1
    assert run_doctor(workspace, "--repair")["repaired"] == []
    with open_store(workspace.database) as store:
        Record(store).assert_state_matches_events()


def test_a_broken_index_is_rebuilt(workspace: Workspace) -> None:
    damage_record(workspace, "PRAGMA user_version = 0")
    connection = sqlite3.connect(workspace.database)
    connection.execute("PRAGMA writable_schema=ON")
    # without the index in the schema its rows are not updated
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'caption_image'").fetchone()
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'caption_image'", (sql + " WHERE id > 10",))
    connection.commit()
    connection.close()
    damage_record(workspace, "UPDATE caption SET image_id = 20 WHERE id = 3")
    connection = sqlite3.connect(workspace.database)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'caption_image'", (sql,))
    connection.commit()
    connection.close()
    assert "doctor --repair" in run_doctor(workspace, code=3)["database"]["hint"]
    repaired = run_doctor(workspace, "--repair")
    assert "rebuilt all indexes" in repaired["repaired"]
    assert list((workspace.root / "backups").glob("damaged-*/curation.db"))


def test_a_damaged_page_is_reported_and_not_repaired(workspace: Workspace) -> None:
    pages = workspace.database.stat().st_size // 4096
    connection = sqlite3.connect(workspace.database)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event'").fetchone()
    connection.close()
    with workspace.database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    assert pages > page
    before = workspace.database.read_bytes()
    findings = run_doctor(workspace, code=3)
    assert "negwb restore" in findings["database"]["hint"]
    done = CliRunner().invoke(app, ["-w", str(workspace.root), "doctor", "--repair"])
    assert isinstance(done.exception, CorruptRecord)
    assert workspace.database.read_bytes() == before


@pytest.mark.parametrize("damage", [b"GIF89a" * 2000, b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_not_a_record_is_reported_in_one_line(workspace: Workspace, damage: bytes) -> None:
    workspace.database.write_bytes(damage)
    findings = run_doctor(workspace, code=3)
    assert findings["database"]["level"] == "error"
    assert "states" not in findings
    assert findings["negwb"]["level"] == "ok"


def test_a_missing_and_a_newer_database(workspace: Workspace) -> None:
    damage_record(workspace, "UPDATE alembic_version SET version_num = '9999'")
    assert "newer negwb" in run_doctor(workspace, code=3)["database"]["message"]
    workspace.database.unlink()
    assert "no database" in run_doctor(workspace, code=3)["database"]["message"]


def test_invalid_settings_are_not_a_damaged_database(workspace: Workspace) -> None:
    workspace.settings.write_text("[curate]\norder = 7\n")
    findings = run_doctor(workspace, code=1)
    assert findings["settings"]["level"] == "error"
    assert findings["states"]["level"] == "ok"


def test_missing_pictures(workspace: Workspace, tmp_path: Path) -> None:
    assert "no image folder is known for coco" in run_doctor(workspace)["folders"]["message"]
    folder = tmp_path / "pictures"
    add_picture_folder(workspace.settings, "coco", str(folder))
    assert "does not exist" in run_doctor(workspace)["folders"]["message"]
    folder.mkdir()
    for number in range(1, 19):
        (folder / f"{number}.jpg").touch()
    findings = run_doctor(workspace, "--pictures")
    assert (findings["folders"]["level"], findings["files"]["level"]) == ("ok", "warning")
    assert "2 missing of 20 images: coco/19.jpg, coco/20.jpg" in findings["files"]["message"]
    (folder / "19.jpg").touch()
    (folder / "20.jpg").touch()
    assert run_doctor(workspace)["files"]["message"] == "20 images: all there"


def test_images_of_an_older_record_are_not_checked(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a record of an older schema THEN doctor queries no column that it lacks."""
    workspace.database.unlink()
    install(monkeypatch)
    make_older(workspace.database)
    findings = run_doctor(workspace)
    assert {findings["schema"]["level"], findings["files"]["level"]} == {"warning"}
    assert "older negwb" in findings["files"]["message"]
    assert findings["schema"]["hint"] == findings["files"]["hint"]
    assert CliRunner().invoke(app, ["-w", str(workspace.root), "status"]).exit_code == 0
    assert run_doctor(workspace)["schema"]["level"] == "ok"
    assert "older" not in run_doctor(workspace)["files"]["message"]


def test_dead_sessions_are_a_warning_and_are_cleared(workspace: Workspace) -> None:
    with open_store(workspace.database) as store:
        Record(store).open_session("ben").queue.claim(2)
    damage_record(workspace, "UPDATE work_session SET pid = 999999999, ended_at = NULL WHERE ended_at IS NULL")
    results = run_doctor(workspace)["sessions"]
    assert results["level"] == "warning"
    assert "1 session without a process, 0 leases without a session" in results["message"]
    assert run_doctor(workspace, "--repair")["sessions"]["level"] == "ok"


def test_live_sessions_are_reported(workspace: Workspace) -> None:
    with open_store(workspace.database) as store:
        Record(store).open_session("ben")
        assert "live now: ben" in run_doctor(workspace)["sessions"]["message"]


@pytest.mark.parametrize(
    ("setting", "chosen", "environ", "message"),
    [
        ("auto", "halfcell", {"TMUX": "/tmp/x", "TERM": "xterm"}, "tmux"),
        ("auto", "halfcell", {"TERM": "screen-256color"}, "screen passes no graphics on"),
        ("auto", "halfcell", {"TERM": "xterm", "SSH_TTY": "/dev/pts/1"}, "over SSH"),
        ("auto", "sixel", {"TERM": "foot"}, "supports it"),
        ("kitty", "halfcell", {"TERM": "dumb"}, "does not support"),
        ("none", "none", {"TERM": "xterm"}, 'images = "none"'),
    ],
)
def test_the_reason_of_the_image_protocol(setting: str, chosen: str, environ: dict[str, str], message: str) -> None:
    assert message in reason(setting, chosen, detect_terminal(environ))


def test_the_image_protocol_is_reported_in_a_terminal(workspace: Workspace) -> None:
    with Terminal([NEGWB, "-w", workspace.root, "doctor"], rows=60) as terminal:
        assert terminal.end() == 0
        assert b"images are drawn with half cells: this terminal (xterm-256color)" in terminal.output


def test_little_free_disk_space_is_reported(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5_000}))
    assert environment.disk(workspace.database).level is Level.ERROR


def test_torch_is_not_imported(workspace: Workspace) -> None:
    code = f"""
import sys
sys.argv = ["negwb", "-w", {str(workspace.root)!r}, "doctor"]
from workbench.cli import main
code = main()
assert code == 0, code
sys.exit(", ".join(name for name in ("torch", "textual", "sqlmodel", "alembic") if name in sys.modules) or 0)"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stderr


class TestEventsThatWereLost:
    """A gap in the event numbers is evidence of lost events."""

    @staticmethod
    def lose(workspace: Workspace, which: str) -> None:
        damage_record(workspace, "DROP TRIGGER event_never_goes")
        damage_record(workspace, f"DELETE FROM event WHERE {which}")
        damage_record(
            workspace,
            "CREATE TRIGGER event_never_goes BEFORE DELETE ON event "
            "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
        )

    @pytest.mark.parametrize(("which", "message"), [("seq = 2", "1 event is"), ("seq >= 2", "2 events are")])
    def test_lost_events_are_reported_and_stay_reported_after_repair(
        self, workspace: Workspace, which: str, message: str
    ) -> None:
        self.lose(workspace, which)
        findings = run_doctor(workspace, code=3)["events"]
        assert (findings["level"], findings["message"].split(" missing")[0]) == ("error", message)
        assert f"(numbers {'2' if which == 'seq = 2' else '2–3'})" in findings["message"]
        assert "negwb backup --list" in findings["hint"]
        before = workspace.database.read_bytes()
        done = CliRunner().invoke(app, ["-w", str(workspace.root), "doctor", "--repair"])
        assert isinstance(done.exception, CorruptRecord)
        assert "negwb restore" in done.exception.hint
        assert workspace.database.read_bytes() == before
        assert not (workspace.root / "backups").exists()

    def test_an_event_number_used_by_an_export_is_not_lost(self, workspace: Workspace) -> None:
        with open_store(workspace.database) as store:
            Record(store).add(1)
        negwb(workspace, "export", "--state", "open")
        with open_store(workspace.database) as store:
            record = Record(store)
            record.open_session("ana").reviewer.decide(5, Kind.ACCEPT)
            assert record.rows("SELECT max(seq), count(*) FROM event") == [(5, 4)]
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
        assert (
            run_doctor(workspace)["events"]["message"]
            == "no event number is missing; exports and restores skipped 1 number"
        )

    def test_gaps_from_before_they_were_recorded_are_a_warning(self, workspace: Workspace) -> None:
        self.lose(workspace, "seq = 2")
        damage_record(workspace, "INSERT INTO event_gap VALUES (2, 2, 'migration', 'now')")
        damage_record(
            workspace, "UPDATE candidate_state SET state = 'open', accepts = 0, wanted = 1 WHERE candidate_id = 2"
        )
        findings = run_doctor(workspace, code=3)  # the queue is not what the events say
        assert (findings["events"]["level"], findings["queue"]["level"]) == ("warning", "error")
        assert run_doctor(workspace, "--repair")["events"]["level"] == "warning"

    def test_lost_events_that_a_backup_has_are_reported(self, workspace: Workspace) -> None:
        """GIVEN a copy of the database without its log THEN only a backup shows the lost events."""
        older = workspace.database.read_bytes()
        with open_store(workspace.database) as store:
            Record(store).open_session("ana").reviewer.decide(5, Kind.ACCEPT)
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
        backup_path = Path(negwb(workspace, "backup").strip()).name
        assert run_doctor(workspace)["backups"]["level"] == "ok"
        workspace.database.write_bytes(older)
        results = run_doctor(workspace, code=3)["backups"]
        assert (results["level"], results["message"]) == (
            "error",
            f"{backup_path} has event 4, which the record has lost",
        )
        assert results["hint"] == f"restore it: negwb restore {backup_path}"
        negwb(workspace, "restore", backup_path)
        assert run_doctor(workspace)["backups"]["level"] == "ok"

    def test_a_backup_of_another_record_is_no_loss(self, workspace: Workspace, tmp_path: Path) -> None:
        other = create_workspace(tmp_path / "other")
        with open_store(other.database) as store:
            record = Record(store)
            record.add(9)
            session = record.open_session("ben")
            for number in range(1, 9):
                session.reviewer.decide(number, Kind.ACCEPT)
        (workspace.root / "backups").mkdir()
        negwb(other, "backup", str(workspace.root / "backups" / "theirs.db"))
        assert run_doctor(workspace)["backups"]["level"] == "ok"

    def test_a_restore_is_no_loss(self, workspace: Workspace) -> None:
        backup_path = Path(negwb(workspace, "backup").strip()).name
        with open_store(workspace.database) as store:
            Record(store).open_session("ana").reviewer.decide(5, Kind.ACCEPT)
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
        negwb(workspace, "backup")
        negwb(workspace, "restore", backup_path)
        findings = run_doctor(workspace)
        assert {findings[name]["level"] for name in ("events", "backups")} == {"ok"}


@pytest.mark.parametrize("statement", ["DELETE FROM alembic_version", "DROP TABLE alembic_version"])
def test_a_record_without_a_version_is_an_error_in_every_command(workspace: Workspace, statement: str) -> None:
    damage_record(workspace, statement)
    findings = run_doctor(workspace, code=3)["database"]
    assert (findings["level"], "schema version" in findings["message"]) == ("error", True)
    for words in (["status"], ["export"], ["doctor", "--repair"]):
        refused = CliRunner().invoke(app, ["-w", str(workspace.root), *words]).exception
        assert isinstance(refused, CorruptRecord)
        assert (refused.message, refused.hint) == (findings["message"], findings["hint"])
    assert not (workspace.root / "backups").exists()


def test_the_help_says_how_to_copy_a_record(workspace: Workspace) -> None:
    assert "negwb backup, never with cp" in run_doctor(workspace)["log"]["message"]


def negwb(workspace: Workspace, *words: str) -> str:
    done = CliRunner().invoke(app, ["-w", str(workspace.root), *words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout
