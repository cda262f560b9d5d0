"""Tests of `negwb gold`, of gold answers in imports, and of `negwb status`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from curation_db.atomic_write import replace_file
from curation_db.enums import Kind, Reason, Role
from curation_db.events.annotators import begin_session
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.errors import NothingToDo, UsageError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

ROWS = (
    "image,caption,negated,answer\n"
    "a.jpg,a dog,a dog without a hat,accept\n"
    "b.jpg,a cat,a cat without a hat,present\n"
    "c.jpg,a cow,a cow without a hat,\n"
    "d.jpg,a pig,a pig without a hat,perhaps\n"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    created = create_workspace(tmp_path / "ws")
    replace_file(created.settings, "[curate]\naudit_rate = 0\n")
    return created


def negwb(workspace: Workspace, *args: object) -> Result:
    return CliRunner().invoke(app, ["-w", str(workspace.root), *map(str, args)])


def answers(workspace: Workspace, value: str = ROWS) -> dict[str, Any]:
    """Import rows with known answers; return the report."""
    file = workspace.root.parent / "checked.csv"
    file.write_text(value)
    done = negwb(workspace, "import", file, "--map", "candidate=negated", "--map", "gold=answer", "--json")
    return json.loads(done.stdout)


def begin(workspace: Workspace, name: str, role: Role | None = None) -> DecisionWriter:
    store = open_store(workspace.database)
    return DecisionWriter(store, begin_session(store, name, version="test", role=role))


def report(workspace: Workspace, command: str = "gold") -> dict[str, Any]:
    done = negwb(workspace, command, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


class TestImport:
    def test_answers_are_imported_and_an_invalid_one_is_reported(self, workspace: Workspace) -> None:
        data = answers(workspace)
        assert (data["candidates"], data["gold"], data["rejected"]) == (3, 2, {"bad-value": 1})
        assert report(workspace)["candidates"] == {"accept": 1, "reject": 1, "edited": 0}

    def test_a_second_import_changes_nothing_and_other_answers_are_refused(self, workspace: Workspace) -> None:
        answers(workspace)
        assert (again := answers(workspace))["gold"] == 0
        assert again["rejected"] == {"bad-value": 1}
        other = answers(workspace, ROWS.replace("hat,accept", "hat,reject"))
        assert other["rejected"] == {"bad-value": 1, "duplicate": 1}
        assert report(workspace)["candidates"]["accept"] == 1

    def test_existing_candidates_can_become_gold(self, workspace: Workspace) -> None:
        without = "\n".join(line.rpartition(",")[0] for line in ROWS.splitlines())
        (workspace.root.parent / "checked.csv").write_text(without)
        assert (
            negwb(workspace, "import", workspace.root.parent / "checked.csv", "--map", "candidate=negated").exit_code
            == 0
        )
        assert report(workspace)["candidates"] == {"accept": 0, "reject": 0, "edited": 0}
        data = answers(workspace)
        assert (data["candidates"], data["gold"]) == (0, 2)

    def test_audit_candidates_do_not_become_gold(self, workspace: Workspace) -> None:
        replace_file(workspace.settings, "[curate]\naudit_rate = 1\n")
        data = answers(workspace)
        assert (data["gold"], data["gold_in_audit"]) == (0, 2)


class TestScores:
    def test_in_gold_and_in_status(self, workspace: Workspace) -> None:
        answers(workspace)
        ana = begin(workspace, "ana")
        ana.decide(1, Kind.ACCEPT)
        ana.decide(2, Kind.ACCEPT)
        (score,) = report(workspace)["scores"]
        assert (score["name"], score["right"], score["answers"], score["wrongly_accepted"]) == ("ana", 1, 2, 1)
        assert 0 < score["low"] < score["share"] < score["high"] < 1
        status = report(workspace, "status")
        assert status["gold"]["scores"] == [score]
        assert status["candidates"]["by_stream"]["gold"]["open"] == 2
        assert status["candidates"]["by_state"]["open"] == 3
        shown = negwb(workspace, "status").stdout
        assert "1 of 2" in shown
        assert "9%–91%" in shown

    def test_without_gold_candidates_no_score_is_printed(self, workspace: Workspace) -> None:
        done = negwb(workspace, "gold")
        assert (done.exit_code, done.stdout) == (0, "")
        assert "--map gold=" in done.stderr
        assert "answer" not in negwb(workspace, "status").stdout


class TestMarks:
    def test_adjudicated_candidates_become_gold_and_are_cleared(self, workspace: Workspace) -> None:
        answers(workspace, ROWS.replace("accept", "").replace("present", "").replace("perhaps", ""))
        assert isinstance(negwb(workspace, "gold", "--from-adjudicated").exception, NothingToDo)
        begin(workspace, "dan", Role.ADJUDICATOR).adjudicate(3, Kind.REJECT, reason=Reason.PRESENT)
        assert "marked 1 candidate as gold" in negwb(workspace, "gold", "--from-adjudicated").stderr
        assert report(workspace)["candidates"]["reject"] == 1
        done = negwb(workspace, "gold", "--clear")
        assert "1 are ordinary candidates again" in done.stderr
        assert report(workspace)["candidates"]["reject"] == 0
        assert any("gold-clear" in item.name for item in (workspace.root / "backups").iterdir())

    def test_both_options_together_are_refused(self, workspace: Workspace) -> None:
        assert isinstance(negwb(workspace, "gold", "--clear", "--from-adjudicated").exception, UsageError)


class TestEffort:
    def test_votes_that_adaptive_overlap_saved(self, workspace: Workspace) -> None:
        replace_file(workspace.settings, '[curate]\naudit_rate = 0\noverlap = "2+1"\n')
        answers(workspace, ROWS.replace("accept", "").replace("present", "").replace("perhaps", ""))
        ana, ben, cho = (begin(workspace, name) for name in ("ana", "ben", "cho"))
        for number in (1, 2, 3):
            ana.decide(number, Kind.ACCEPT)
        for number, kind in ((1, Kind.ACCEPT), (2, Kind.REJECT)):
            ben.decide(number, kind, reason=Reason.SCOPE if kind is Kind.REJECT else None)
        cho.decide(2, Kind.ACCEPT)
        (result,) = report(workspace, "status")["overlap"]
        # 1: two of three votes; 2: all three; 3: waits; 4: no vote
        assert (result["overlap"], result["votes"], result["settled"], result["saved"]) == ("2+1", 6, 2, 1)
        assert result["saved_share"] == pytest.approx(1 / 6)
        assert "1 (16.7%)" in negwb(workspace, "status").stdout

    def test_time_on_cards(self, workspace: Workspace) -> None:
        from curation_db.review.decisions import PresentationContext

        answers(workspace)
        ana = begin(workspace, "ana")
        for seconds in (2, 4):
            ana.decide(3, Kind.SKIP, shown=PresentationContext(elapsed_ms=seconds * 1000))
        (who,) = report(workspace, "status")["people"]
        assert who["speed"] == {"looks": 2, "votes": 0, "active_ms": 6000, "median_ms": 2000, "per_hour": 1200.0}
        assert "1,200" in negwb(workspace, "status").stdout
