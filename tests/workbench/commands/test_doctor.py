"""`negwb doctor`: a sound workspace is found sound, every kind of trouble is found and told, repair mends it."""

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
from workbench.workspace.settings_writer import add_picture_folder

NEGWB = Path(sys.executable).with_name("negwb")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = create_workspace(tmp_path / "ws")
    with open_store(made.database) as store:
        record = Record(store)
        record.add(20)
        sitting = record.open_session("ana")
        for number in (1, 2, 3):
            sitting.reviewer.decide(number, Kind.ACCEPT)
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
    return made


def look(workspace: Workspace, *words: str, code: int = 0) -> dict[str, Any]:
    """What doctor says, by the findings' names."""
    done = CliRunner().invoke(app, ["-w", str(workspace.root), "doctor", "--json", *words])
    assert done.exit_code == code, (done.output, done.exception)
    report = json.loads(done.stdout)
    assert report["sound"] is (code != 3)
    return {**{each["name"]: each for each in report["findings"]}, "repaired": report["repaired"]}


def spoil(workspace: Workspace, statement: str) -> None:
    connection = sqlite3.connect(workspace.database)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_sound_workspace(workspace: Workspace) -> None:
    before = workspace.database.read_bytes()
    found = look(workspace)
    names = ("settings", "folder", "database", "references", "schema", "log", "states", "queue", "sessions", "sqlite")
    assert {name: found[name]["level"] for name in names} == dict.fromkeys(names, "ok")
    assert "20 candidates" in found["states"]["said"]
    assert found["backups"]["level"] == "warning"
    assert workspace.database.read_bytes() == before
    assert {path.name for path in workspace.root.iterdir()} == {"negwb.toml", "curation.db", "guidelines.md"}


def test_an_unknown_theme_is_an_error_of_the_settings(workspace: Workspace) -> None:
    workspace.settings.write_text("[curate]\ntheme = 'nope'\n")
    found = look(workspace, code=1)["settings"]
    assert found["level"] == "error"
    assert "theme = 'nope'" in found["said"]


def test_it_is_one_line_a_question(workspace: Workspace) -> None:
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
def test_what_can_be_made_again_is_mended_after_a_backup(workspace: Workspace, statement: str, name: str) -> None:
    spoil(workspace, statement)
    found = look(workspace, code=3)
    assert found[name]["level"] == "error"
    assert "--repair" in found[name]["hint"]
    mended = look(workspace, "--repair")
    assert mended[name]["level"] == "ok"
    assert mended["repaired"][0].startswith("backed up as ")
    assert len(list((workspace.root / "backups").glob("*-before-repair.db"))) == 1
    assert look(workspace, "--repair")["repaired"] == []
    with open_store(workspace.database) as store:
        Record(store).assert_state_is_the_fold()


def test_a_broken_index_is_made_anew(workspace: Workspace) -> None:
    spoil(workspace, "PRAGMA user_version = 0")
    connection = sqlite3.connect(workspace.database)
    connection.execute("PRAGMA writable_schema=ON")
    # without the index in the schema its rows are not kept up
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'caption_image'").fetchone()
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'caption_image'", (sql + " WHERE id > 10",))
    connection.commit()
    connection.close()
    spoil(workspace, "UPDATE caption SET image_id = 20 WHERE id = 3")
    connection = sqlite3.connect(workspace.database)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'caption_image'", (sql,))
    connection.commit()
    connection.close()
    assert "doctor --repair" in look(workspace, code=3)["database"]["hint"]
    mended = look(workspace, "--repair")
    assert "rebuilt all indexes" in mended["repaired"]
    assert list((workspace.root / "backups").glob("damaged-*/curation.db"))


def test_a_flipped_page_is_found_and_not_repaired_away(workspace: Workspace) -> None:
    pages = workspace.database.stat().st_size // 4096
    connection = sqlite3.connect(workspace.database)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event'").fetchone()
    connection.close()
    with workspace.database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
    assert pages > page
    before = workspace.database.read_bytes()
    found = look(workspace, code=3)
    assert "negwb restore" in found["database"]["hint"]
    done = CliRunner().invoke(app, ["-w", str(workspace.root), "doctor", "--repair"])
    assert isinstance(done.exception, CorruptRecord)
    assert workspace.database.read_bytes() == before


@pytest.mark.parametrize("damage", [b"GIF89a" * 2000, b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_record_is_told_in_a_line(workspace: Workspace, damage: bytes) -> None:
    workspace.database.write_bytes(damage)
    found = look(workspace, code=3)
    assert found["database"]["level"] == "error"
    assert "states" not in found
    assert found["negwb"]["level"] == "ok"


def test_no_database_and_a_newer_one(workspace: Workspace) -> None:
    spoil(workspace, "UPDATE alembic_version SET version_num = '9999'")
    assert "newer negwb" in look(workspace, code=3)["database"]["said"]
    workspace.database.unlink()
    assert "no database" in look(workspace, code=3)["database"]["said"]


def test_settings_that_are_off_are_no_unsound_database(workspace: Workspace) -> None:
    workspace.settings.write_text("[curate]\norder = 7\n")
    found = look(workspace, code=1)
    assert found["settings"]["level"] == "error"
    assert found["states"]["level"] == "ok"


def test_missing_pictures(workspace: Workspace, tmp_path: Path) -> None:
    assert "no picture folder is known for coco" in look(workspace)["folders"]["said"]
    folder = tmp_path / "pictures"
    add_picture_folder(workspace.settings, "coco", str(folder))
    assert "no such folder" in look(workspace)["folders"]["said"]
    folder.mkdir()
    for number in range(1, 19):
        (folder / f"{number}.jpg").touch()
    found = look(workspace, "--pictures")
    assert (found["folders"]["level"], found["files"]["level"]) == ("ok", "warning")
    assert "2 missing of 20 pictures: coco/19.jpg, coco/20.jpg" in found["files"]["said"]
    (folder / "19.jpg").touch()
    (folder / "20.jpg").touch()
    assert look(workspace)["files"]["said"] == "20 pictures: all there"


def test_the_pictures_of_an_older_record_are_not_looked_at(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a record of an older schema THEN doctor does not ask for what that schema has not."""
    workspace.database.unlink()
    install(monkeypatch)
    make_older(workspace.database)
    found = look(workspace)
    assert {found["schema"]["level"], found["files"]["level"]} == {"warning"}
    assert "older negwb" in found["files"]["said"]
    assert found["schema"]["hint"] == found["files"]["hint"]
    assert CliRunner().invoke(app, ["-w", str(workspace.root), "status"]).exit_code == 0
    assert look(workspace)["schema"]["level"] == "ok"
    assert "older" not in look(workspace)["files"]["said"]


def test_dead_sessions_are_a_warning_and_are_cleared(workspace: Workspace) -> None:
    with open_store(workspace.database) as store:
        Record(store).open_session("ben").queue.claim(2)
    spoil(workspace, "UPDATE work_session SET pid = 999999999, ended_at = NULL WHERE ended_at IS NULL")
    found = look(workspace)["sessions"]
    assert found["level"] == "warning"
    assert "1 session without a process, 0 leases without a session" in found["said"]
    assert look(workspace, "--repair")["sessions"]["level"] == "ok"


def test_who_is_at_work_is_told(workspace: Workspace) -> None:
    with open_store(workspace.database) as store:
        Record(store).open_session("ben")
        assert "live now: ben" in look(workspace)["sessions"]["said"]


@pytest.mark.parametrize(
    ("setting", "chosen", "environ", "said"),
    [
        ("auto", "halfcell", {"TMUX": "/tmp/x", "TERM": "xterm"}, "tmux"),
        ("auto", "halfcell", {"TERM": "screen-256color"}, "screen passes no graphics on"),
        ("auto", "halfcell", {"TERM": "xterm", "SSH_TTY": "/dev/pts/1"}, "over SSH"),
        ("auto", "sixel", {"TERM": "foot"}, "says that it can"),
        ("kitty", "halfcell", {"TERM": "dumb"}, "cannot do"),
        ("none", "none", {"TERM": "xterm"}, 'images = "none"'),
    ],
)
def test_why_pictures_are_drawn_as_they_are(setting: str, chosen: str, environ: dict[str, str], said: str) -> None:
    assert said in reason(setting, chosen, detect_terminal(environ))


def test_in_a_terminal_it_says_how_it_draws(workspace: Workspace) -> None:
    with Terminal([NEGWB, "-w", workspace.root, "doctor"], rows=60) as terminal:
        assert terminal.end() == 0
        assert b"pictures are drawn in half cells: this terminal (xterm-256color)" in terminal.output


def test_a_little_room_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """A hole in the numbers of the events is evidence of loss."""

    @staticmethod
    def lose(workspace: Workspace, which: str) -> None:
        spoil(workspace, "DROP TRIGGER event_never_goes")
        spoil(workspace, f"DELETE FROM event WHERE {which}")
        spoil(
            workspace,
            "CREATE TRIGGER event_never_goes BEFORE DELETE ON event "
            "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
        )

    @pytest.mark.parametrize(("which", "said"), [("seq = 2", "1 event is"), ("seq >= 2", "2 events are")])
    def test_are_named_and_not_buried(self, workspace: Workspace, which: str, said: str) -> None:
        self.lose(workspace, which)
        found = look(workspace, code=3)["events"]
        assert (found["level"], found["said"].split(" missing")[0]) == ("error", said)
        assert f"(numbers {'2' if which == 'seq = 2' else '2–3'})" in found["said"]
        assert "negwb backup --list" in found["hint"]
        before = workspace.database.read_bytes()
        done = CliRunner().invoke(app, ["-w", str(workspace.root), "doctor", "--repair"])
        assert isinstance(done.exception, CorruptRecord)
        assert "negwb restore" in done.exception.hint
        assert workspace.database.read_bytes() == before
        assert not (workspace.root / "backups").exists()

    def test_a_number_that_an_export_took_is_none(self, workspace: Workspace) -> None:
        with open_store(workspace.database) as store:
            Record(store).add(1)
        negwb(workspace, "export", "--state", "open")
        with open_store(workspace.database) as store:
            record = Record(store)
            record.open_session("ana").reviewer.decide(5, Kind.ACCEPT)
            assert record.rows("SELECT max(seq), count(*) FROM event") == [(5, 4)]
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
        assert look(workspace)["events"]["said"] == "no event number is missing; exports and restores skipped 1 number"

    def test_from_before_gaps_were_recorded_are_a_warning(self, workspace: Workspace) -> None:
        self.lose(workspace, "seq = 2")
        spoil(workspace, "INSERT INTO event_gap VALUES (2, 2, 'migration', 'now')")
        spoil(workspace, "UPDATE candidate_state SET state = 'open', accepts = 0, wanted = 1 WHERE candidate_id = 2")
        found = look(workspace, code=3)  # the queue is not what the events say
        assert (found["events"]["level"], found["queue"]["level"]) == ("warning", "error")
        assert look(workspace, "--repair")["events"]["level"] == "warning"

    def test_those_that_a_backup_of_this_history_holds_are_told(self, workspace: Workspace) -> None:
        """GIVEN a copy of the database that lacks what was in its log THEN the file cannot tell, but a backup can."""
        older = workspace.database.read_bytes()
        with open_store(workspace.database) as store:
            Record(store).open_session("ana").reviewer.decide(5, Kind.ACCEPT)
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
        made = Path(negwb(workspace, "backup").strip()).name
        assert look(workspace)["backups"]["level"] == "ok"
        workspace.database.write_bytes(older)
        found = look(workspace, code=3)["backups"]
        assert (found["level"], found["said"]) == ("error", f"{made} has event 4, which the record has lost")
        assert found["hint"] == f"restore it: negwb restore {made}"
        negwb(workspace, "restore", made)
        assert look(workspace)["backups"]["level"] == "ok"

    def test_a_backup_of_another_record_is_no_loss(self, workspace: Workspace, tmp_path: Path) -> None:
        other = create_workspace(tmp_path / "other")
        with open_store(other.database) as store:
            record = Record(store)
            record.add(9)
            sitting = record.open_session("ben")
            for number in range(1, 9):
                sitting.reviewer.decide(number, Kind.ACCEPT)
        (workspace.root / "backups").mkdir()
        negwb(other, "backup", str(workspace.root / "backups" / "theirs.db"))
        assert look(workspace)["backups"]["level"] == "ok"

    def test_a_restore_on_purpose_is_no_loss(self, workspace: Workspace) -> None:
        made = Path(negwb(workspace, "backup").strip()).name
        with open_store(workspace.database) as store:
            Record(store).open_session("ana").reviewer.decide(5, Kind.ACCEPT)
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")
        negwb(workspace, "backup")
        negwb(workspace, "restore", made)
        found = look(workspace)
        assert {found[name]["level"] for name in ("events", "backups")} == {"ok"}


@pytest.mark.parametrize("statement", ["DELETE FROM alembic_version", "DROP TABLE alembic_version"])
def test_a_record_without_its_version_is_red_everywhere(workspace: Workspace, statement: str) -> None:
    spoil(workspace, statement)
    found = look(workspace, code=3)["database"]
    assert (found["level"], "schema version" in found["said"]) == ("error", True)
    for words in (["status"], ["export"], ["doctor", "--repair"]):
        refused = CliRunner().invoke(app, ["-w", str(workspace.root), *words]).exception
        assert isinstance(refused, CorruptRecord)
        assert (refused.message, refused.hint) == (found["said"], found["hint"])
    assert not (workspace.root / "backups").exists()


def test_it_says_how_to_copy_a_record(workspace: Workspace) -> None:
    assert "negwb backup, never with cp" in look(workspace)["log"]["said"]


def negwb(workspace: Workspace, *words: str) -> str:
    done = CliRunner().invoke(app, ["-w", str(workspace.root), *words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout
