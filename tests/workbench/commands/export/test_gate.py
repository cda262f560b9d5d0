"""`negwb export` with false captions, and `negwb export-verify`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import text
from support.commands import negwb

from curation_db.enums import Kind, Reason
from curation_db.events.annotators import begin_session
from curation_db.exporting import blind_gate
from curation_db.exporting.blind_gate import decided_texts
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_read_only, open_store
from workbench.errors import ExitCode, UsageError
from workbench.reports.exports.gate import GateFailed
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

BOTH = ("--state", "accepted", "--state", "rejected", "--reason", "present")
COUNT = 60


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Sixty texts with "no hat", each of an image of its own; the first forty are accepted, the others rejected."""
    created = create_workspace(tmp_path / "ws")
    with open_store(created.database) as store:
        with store.write() as connection:
            connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'coco')"))
            for n in range(1, COUNT + 1):
                connection.execute(text("INSERT INTO image(id, source_id, key) VALUES (:n, 1, :n)"), {"n": n})
            drafts = [
                NewCandidate(
                    source_id=1,
                    key=f"g/{n}",
                    image_id=n,
                    raw_text=f"a dog with no hat near number {n}",
                    concept="hat",
                    pipeline="P1",
                    generator="g",
                )
                for n in range(1, COUNT + 1)
            ]
            insert_candidates(connection, drafts, Intake(audit_rate=0.0))
        ana = DecisionWriter(store, begin_session(store, "ana", version="test"))
        for n in range(1, COUNT + 1):
            if n <= 40:
                ana.decide(n, Kind.ACCEPT)
            else:
                ana.decide(n, Kind.REJECT, reason=Reason.PRESENT)
    return created


def test_the_gate_warns_and_strict_writes_nothing(workspace: Workspace) -> None:
    done = negwb(workspace, "export", "set", "--json", *BOTH)
    gate = json.loads(done.stdout)["gate"]
    assert (gate["passes"], gate["forward"], gate["reverse"], gate["limit"]) == (False, 40, 20, 0.6)
    assert gate["balanced"]["pairs"] == 40
    assert done.exit_code == 0
    assert "warning: blind accuracy" in done.stderr
    assert 'habits of true captions: "' in done.stderr
    refused = negwb(workspace, "export", "strict", "--strict", *BOTH)
    assert isinstance(refused.exception, GateFailed)
    assert refused.exception.exit_code == ExitCode.FAILED
    assert refused.exception.message.startswith("nothing was written: blind accuracy")
    assert sorted(path.name for path in workspace.exports.iterdir()) == ["set"]
    workspace.settings.write_text(workspace.settings.read_text().replace("# blind_limit = 0.6", "blind_limit = 0.99"))
    allowed = negwb(workspace, "export", "strict", "--strict", *BOTH)
    assert allowed.exit_code == 0
    assert "the text alone does not give the true caption away" in allowed.stderr
    files = [(workspace.exports / name / "items.jsonl").read_bytes() for name in ("set", "strict")]
    assert files[0] == files[1]


def test_true_captions_only_get_a_report(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blind_gate, "LEAST_TEXTS", 20)
    done = negwb(workspace, "export", "--json", "--strict")
    data = json.loads(done.stdout)
    assert (done.exit_code, data["gate"]) == (0, None)
    report = data["text_report"]
    assert (report["top_concept"], report["top_concept_share"], report["cue"]["shares"]) == ("hat", 1.0, {"no": 1.0})
    assert report["accept_by_text"]["accepted"] == 40
    assert "cue: no 100% (32%)" in done.stderr
    assert '100% of the pairs deny one concept: "hat"' in done.stderr
    assert "the text alone predicts accept with a discrimination of" in done.stderr
    with open_read_only(workspace.database) as store, store.read() as connection:
        assert [len(each) for each in decided_texts(connection)] == [40, 20]


def test_verify_prints_one_line_per_problem(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert negwb(workspace, "export", "set").exit_code == 0
    folder = workspace.exports / "set"
    intact = negwb(workspace, "export-verify", "set")
    assert (intact.exit_code, intact.stdout) == (0, "set: 4 files, as frozen\n")
    data = json.loads(negwb(workspace, "export-verify", folder, "--json").stdout)
    assert (data["problems"], data["name"], data["path"]) == ([], "set", str(folder))
    items = folder / "items.jsonl"
    items.chmod(0o600)
    items.write_bytes(items.read_bytes().replace(b"dog", b"cat"))
    (folder / "\x1b[31mmore").touch()
    damaged = negwb(workspace, "export-verify", "set")
    assert damaged.exit_code == ExitCode.FAILED
    assert len(damaged.stdout.splitlines()) == 2
    assert "items.jsonl: its content was changed" in damaged.stdout
    assert "\x1b" not in damaged.stdout
    assert len(json.loads(negwb(workspace, "export-verify", "set", "--json").stdout)["problems"]) == 2
    assert isinstance(negwb(workspace, "export-verify", "other").exception, UsageError)
    empty = folder.parent / "empty"
    empty.mkdir()
    assert "is not an export" in negwb(workspace, "export-verify", "empty").stdout
    monkeypatch.setattr("workbench.workspace.layout.find_workspace", _no_workspace)
    assert negwb(workspace, "export-verify", os.path.relpath(folder)).exit_code == ExitCode.FAILED
    assert isinstance(negwb(workspace, "export-verify", "other").exception, UsageError)


def _no_workspace(_: Path | None) -> Workspace:
    raise UsageError("no workspace here")


def test_the_commands_of_an_export_can_be_written_as_two_words(workspace: Workspace) -> None:
    """GIVEN "export verify" THEN it is the command; after "--" the word is the name of an export."""
    assert negwb(workspace, "export", "--", "verify").stdout == f"{workspace.exports / 'verify'}\n"
    two, one = (negwb(workspace, *words, "verify") for words in (("export", "verify"), ("export-verify",)))
    assert (two.exit_code, two.stdout) == (0, one.stdout)
    assert negwb(workspace, "export", "card", "verify").stdout == negwb(workspace, "export-card", "verify").stdout
    assert negwb(workspace, "export", "--format", "coco", "paper").stdout == f"{workspace.exports / 'paper'}\n"
    assert negwb(workspace, "export", "verify", "none").exit_code == 1
