"""`negwb gold`, the column of an import that it comes from, and what `negwb status` says of both."""

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
    made = create_workspace(tmp_path / "ws")
    replace_file(made.settings, "[curate]\naudit_rate = 0\n")
    return made


def negwb(workspace: Workspace, *args: object) -> Result:
    return CliRunner().invoke(app, ["-w", str(workspace.root), *map(str, args)])


def answers(workspace: Workspace, told: str = ROWS) -> dict[str, Any]:
    """Import rows with known answers; returns the import's report."""
    file = workspace.root.parent / "checked.csv"
    file.write_text(told)
    done = negwb(workspace, "import", file, "--map", "candidate=negated", "--map", "gold=answer", "--json")
    return json.loads(done.stdout)


def sit(workspace: Workspace, name: str, role: Role | None = None) -> DecisionWriter:
    store = open_store(workspace.database)
    return DecisionWriter(store, begin_session(store, name, version="test", role=role))


def report(workspace: Workspace, command: str = "gold") -> dict[str, Any]:
    done = negwb(workspace, command, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


class TestImport:
    def test_answers_come_with_the_rows_and_a_bad_one_is_told(self, workspace: Workspace) -> None:
        told = answers(workspace)
        assert (told["candidates"], told["gold"], told["rejected"]) == (3, 2, {"bad-value": 1})
        assert report(workspace)["candidates"] == {"accept": 1, "reject": 1, "edited": 0}

    def test_again_changes_nothing_and_other_answers_are_refused(self, workspace: Workspace) -> None:
        answers(workspace)
        assert (again := answers(workspace))["gold"] == 0
        assert again["rejected"] == {"bad-value": 1}
        other = answers(workspace, ROWS.replace("hat,accept", "hat,reject"))
        assert other["rejected"] == {"bad-value": 1, "duplicate": 1}
        assert report(workspace)["candidates"]["accept"] == 1

    def test_candidates_that_are_there_can_become_gold_later(self, workspace: Workspace) -> None:
        without = "\n".join(line.rpartition(",")[0] for line in ROWS.splitlines())
        (workspace.root.parent / "checked.csv").write_text(without)
        assert (
            negwb(workspace, "import", workspace.root.parent / "checked.csv", "--map", "candidate=negated").exit_code
            == 0
        )
        assert report(workspace)["candidates"] == {"accept": 0, "reject": 0, "edited": 0}
        told = answers(workspace)
        assert (told["candidates"], told["gold"]) == (0, 2)

    def test_what_is_kept_for_the_audit_is_left_aside(self, workspace: Workspace) -> None:
        replace_file(workspace.settings, "[curate]\naudit_rate = 1\n")
        told = answers(workspace)
        assert (told["gold"], told["gold_in_audit"]) == (0, 2)


class TestScores:
    def test_in_gold_and_in_status(self, workspace: Workspace) -> None:
        answers(workspace)
        ana = sit(workspace, "ana")
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

    def test_nothing_is_said_where_nothing_is_known(self, workspace: Workspace) -> None:
        done = negwb(workspace, "gold")
        assert (done.exit_code, done.stdout) == (0, "")
        assert "--map gold=" in done.stderr
        assert "answer" not in negwb(workspace, "status").stdout


class TestMarks:
    def test_an_adjudicators_word_becomes_gold_and_is_cleared_again(self, workspace: Workspace) -> None:
        answers(workspace, ROWS.replace("accept", "").replace("present", "").replace("perhaps", ""))
        assert isinstance(negwb(workspace, "gold", "--from-adjudicated").exception, NothingToDo)
        sit(workspace, "dan", Role.ADJUDICATOR).adjudicate(3, Kind.REJECT, reason=Reason.PRESENT)
        assert "the answer to 1 more" in negwb(workspace, "gold", "--from-adjudicated").stderr
        assert report(workspace)["candidates"]["reject"] == 1
        done = negwb(workspace, "gold", "--clear")
        assert "1 are ordinary candidates again" in done.stderr
        assert report(workspace)["candidates"]["reject"] == 0
        assert any("gold-clear" in kept.name for kept in (workspace.root / "backups").iterdir())

    def test_not_both_at_once(self, workspace: Workspace) -> None:
        assert isinstance(negwb(workspace, "gold", "--clear", "--from-adjudicated").exception, UsageError)


class TestEffort:
    def test_votes_that_adaptive_overlap_saved(self, workspace: Workspace) -> None:
        replace_file(workspace.settings, '[curate]\naudit_rate = 0\noverlap = "2+1"\n')
        answers(workspace, ROWS.replace("accept", "").replace("present", "").replace("perhaps", ""))
        ana, ben, cho = (sit(workspace, name) for name in ("ana", "ben", "cho"))
        for number in (1, 2, 3):
            ana.decide(number, Kind.ACCEPT)
        for number, kind in ((1, Kind.ACCEPT), (2, Kind.REJECT)):
            ben.decide(number, kind, reason=Reason.SCOPE if kind is Kind.REJECT else None)
        cho.decide(2, Kind.ACCEPT)
        (told,) = report(workspace, "status")["overlap"]
        # 1: two of three votes; 2: all three; 3: waits; 4: nobody
        assert (told["overlap"], told["votes"], told["settled"], told["saved"]) == ("2+1", 6, 2, 1)
        assert told["saved_share"] == pytest.approx(1 / 6)
        assert "1 (16.7%)" in negwb(workspace, "status").stdout

    def test_time_on_cards(self, workspace: Workspace) -> None:
        from curation_db.review.decisions import PresentationContext

        answers(workspace)
        ana = sit(workspace, "ana")
        for seconds in (2, 4):
            ana.decide(3, Kind.SKIP, shown=PresentationContext(elapsed_ms=seconds * 1000))
        (who,) = report(workspace, "status")["people"]
        assert who["speed"] == {"looks": 2, "votes": 0, "active_ms": 6000, "median_ms": 2000, "per_hour": 1200.0}
        assert "1,200" in negwb(workspace, "status").stdout
