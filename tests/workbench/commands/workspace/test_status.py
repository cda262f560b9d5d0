"""Tests of `negwb status`: counts, safe text, stale exports."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from curation_db.enums import Kind, Reason
from curation_db.events.annotators import begin_session, end_session
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.console import tables
from workbench.errors import UsageError
from workbench.reports.status_report import gather, listings
from workbench.workspace.create import create_workspace
from workbench.workspace.operations import freeze_set
from workbench.workspace.settings.writer import add_picture_folder

NASTY = "[bold]ana[/] \x1b[31m\u202e"


@pytest.fixture
def workspace(tmp_path):
    return create_workspace(tmp_path / "ws")


@pytest.fixture
def store(workspace):
    with open_store(workspace.database) as opened:
        with opened.write() as connection:
            connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'coco')"))
            connection.execute(text("INSERT INTO image(id, source_id, key) VALUES (1, 1, '1')"))
            drafts = [
                NewCandidate(
                    source_id=1, key=f"g/{n}", image_id=1, raw_text=f"no dog {n}", pipeline="P1", generator="g"
                )
                for n in range(5)
            ]
            insert_candidates(connection, drafts, Intake(audit_rate=0.0))
            drafts = [NewCandidate(source_id=1, key="g/a", image_id=1, raw_text="no cat", pipeline="P1", generator="g")]
            insert_candidates(connection, drafts, Intake(audit_rate=1.0))
        yield opened


def person(store, name="ana"):
    return DecisionWriter(store, begin_session(store, name, version="test"))


def status(workspace, *args):
    result = CliRunner().invoke(app, ["-w", str(workspace.root), "status", *args])
    assert result.exit_code == 0, result.output
    return result


def test_empty_workspace(workspace):
    data = json.loads(status(workspace, "--json").stdout)
    assert (data["candidates"]["total"], data["last_event"], data["exports"]) == (0, None, [])
    result = status(workspace)
    assert "none yet" in result.stdout
    assert "no source is imported yet" in result.stderr


def test_questions_are_shown_if_there_are_any(workspace, store):
    assert " questions " not in status(workspace).stdout
    with store.write() as connection:
        connection.execute(
            text(
                "INSERT INTO visual_question(source_id, key, image_id, text, answer) VALUES (1, '7', 1, 'Is it?', 'no')"
            )
        )
    output = status(workspace).stdout
    heading = next(line.split() for line in output.splitlines() if line.startswith("source "))
    row = next(line.split() for line in output.splitlines() if line.startswith("coco "))
    assert heading[-2:] == ["questions", "candidates"]
    assert row[-2:] == ["1", "6"]
    data = gather(workspace)
    assert (data["questions"], data["sources"][0]["questions"]) == (1, 1)


def test_counts(workspace, store):
    ana = person(store)
    ana.decide(1, Kind.ACCEPT)
    ana.decide(2, Kind.REJECT, reason=Reason.PRESENT)
    ana.decide(3, Kind.REJECT, reason=Reason.PRESENT)
    ana.decide(4, Kind.SKIP)
    ana.undo()
    ana.undo()
    ana.redo()
    data = gather(workspace)
    candidates = data["candidates"]
    assert (candidates["total"], candidates["by_state"]["open"], candidates["by_state"]["rejected"]) == (6, 3, 2)
    assert candidates["by_stream"]["audit"]["open"] == 1
    (who,) = data["people"]
    assert (who["name"], who["role"]) == ("ana", "annotator")
    assert {kind: n for kind, n in who["decisions"].items() if n} == {"accept": 1, "reject": 2}
    assert (data["last_event"]["kind"], data["last_event"]["actor"]) == ("undo", "ana")
    (source,) = data["sources"]
    assert (source["name"], source["images"], source["captions"], source["candidates"]) == ("coco", 1, 0, 6)


def test_exports_and_their_staleness(workspace, store):
    ana = person(store)
    ana.decide(1, Kind.ACCEPT)
    freeze_set(workspace, "first")
    assert "up to date" in status(workspace).stdout
    ana.decide(2, Kind.ACCEPT)
    ana.decide(3, Kind.ACCEPT)
    ana.edit(1, "without any dog")
    freeze_set(workspace, "second")
    (workspace.exports / "broken").mkdir()
    (workspace.exports / ".half.partial").mkdir()
    broken, first, second = gather(workspace)["exports"]
    assert (first["name"], first["stale"], first["entered"], first["left"]) == ("first", True, 3, 1)
    assert (second["name"], second["stale"], second["pairs"]) == ("second", False, 3)
    assert broken["name"] == "broken"
    assert "not an export" in broken["problem"]
    output = status(workspace).stdout
    assert "stale: 3 added and 1 removed since" in output
    assert "accepted; up to date" in output


DAMAGED: dict[str, bytes | dict[str, object]] = {
    "nested": b'{"counts": ' + b"[" * 200_000,
    "no text": b"\xff\xfe\xfa",
    "a list": b"[1]",
    "infinite": {"event_seq": float("inf")},
    "too large": {"event_seq": 10**30},
    "negative": {"event_seq": -1},
    "a fraction": {"event_seq": 1.5},
    "a word": {"counts": {"pairs": "many"}},
    "no table": {"counts": {"pairs": 1, "by_cue": 7}},
    "no states": {"selection": {"states": 7}},
    "odd states": {"selection": {"states": [{}]}},
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_broken_export_does_not_hide_others(workspace, store, damage):
    person(store).decide(1, Kind.ACCEPT)
    freeze_set(workspace, "first")
    freeze_set(workspace, "broken")
    manifest = workspace.exports / "broken" / "manifest.json"
    manifest.chmod(0o644)
    data = DAMAGED[damage]
    content = data if isinstance(data, bytes) else json.dumps({**json.loads(manifest.read_bytes()), **data}).encode()
    manifest.write_bytes(content)
    broken, first = json.loads(status(workspace, "--json").stdout)["exports"]
    assert (first["name"], first["pairs"], first["stale"]) == ("first", 1, False)
    assert broken.keys() == {"name", "problem"}
    assert "\n" not in broken["problem"]
    assert "up to date" in status(workspace).stdout


def test_picture_folders(workspace, store, tmp_path):
    (tmp_path / "pictures").mkdir()
    assert "no folder set" in status(workspace).stdout
    add_picture_folder(workspace.settings, "coco", "../pictures")
    add_picture_folder(workspace.settings, "coco", "gone")
    assert gather(workspace)["sources"][0]["picture_folders"] == [
        {"path": str(tmp_path / "pictures"), "exists": True},
        {"path": str(workspace.root / "gone"), "exists": False},
    ]
    assert "gone (missing)" in status(workspace).stdout


def test_open_sessions(workspace, store):
    end_session(store, begin_session(store, "bob", version="test"))
    person(store)
    (session,) = gather(workspace)["open_sessions"]
    assert (session["annotator"], session["pid"], session["running"]) == ("ana", os.getpid(), True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    for column, value, running in (("pid", gone.pid, False), ("host", "elsewhere", None)):
        with store.write() as connection:
            connection.execute(text(f"UPDATE work_session SET {column} = :value"), {"value": value})
        (session,) = gather(workspace)["open_sessions"]
        assert session["running"] is running
        assert {False: "process has ended", None: "on another machine"}[running] in status(workspace).stdout


@pytest.mark.usefixtures("old_names")
@pytest.mark.parametrize("terminal", [False, True])
def test_names_are_text_not_markup(workspace, store, monkeypatch, capsys, terminal):
    person(store, NASTY).decide(1, Kind.ACCEPT)
    monkeypatch.setattr(tables, "_is_terminal", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    tables.show(listings(gather(workspace)))
    output = capsys.readouterr().out
    assert "[bold]ana[/] [31m" in output
    assert "\x1b[31m" not in output
    assert "\u202e" not in output


def test_plain_columns_line_up(capsys):
    rows = [("a", "1"), ("long name", "1,000")]
    tables.show([tables.Listing("People", ("name", "n"), rows)])
    assert capsys.readouterr().out == "PEOPLE\nname           n\na              1\nlong name  1,000\n\n"


def test_an_export_of_a_replaced_history_is_not_up_to_date(workspace, store):
    """GIVEN an export at event 2 WHEN the record is restored to event 1 and other decisions are made THEN status
    reports the replaced history, and the export cannot be repeated at its event."""
    ana = person(store)
    ana.decide(1, Kind.ACCEPT)
    backup_path = run(workspace, "backup").stdout.strip()
    ana.decide(2, Kind.ACCEPT)
    freeze_set(workspace, "frozen")
    store.close()
    with open_store(workspace.database) as opened, opened.write() as connection:
        connection.execute(text("UPDATE work_session SET ended_at = 'now'"))
    restored = json.loads(run(workspace, "restore", backup_path, "--json").stdout)
    assert (restored["event"], restored["next_event"]) == (1, 3)
    with open_store(workspace.database) as opened:
        ana = person(opened)
        assert [ana.decide(number, Kind.ACCEPT).seq for number in (2, 3)] == [3, 4]
    freeze_set(workspace, "newer")
    newer, frozen = sorted(json.loads(status(workspace, "--json").stdout)["exports"], key=lambda each: -each["event"])
    assert (frozen["history"], frozen["stale"], frozen["entered"], frozen["left"]) == ("replaced", True, None, None)
    assert (newer["history"], newer["stale"], newer["entered"], newer["left"]) == ("same", False, 0, 0)
    output = status(workspace).stdout
    assert "accepted; made from a history that a restore replaced" in output
    assert output.count("up to date") == 1
    refused = CliRunner().invoke(app, ["-w", str(workspace.root), "export", "--at", "2"]).exception
    assert isinstance(refused, UsageError)
    assert "event 2 belongs to a history that a restore replaced (event 2; " in refused.message
    assert "negwb backup --list" in refused.hint


def run(workspace, *words):
    done = CliRunner().invoke(app, ["-w", str(workspace.root), *words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done
