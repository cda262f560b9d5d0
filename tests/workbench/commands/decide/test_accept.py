"""`negwb accept` and `negwb judges` on a workspace whose audit is labelled."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.audited import BLIND, fill, verdict
from support.record import Record
from typer.testing import CliRunner, Result

from curation_db.enums import Kind, Reason
from curation_db.review.candidates import insert_verdicts
from curation_db.storage.store import open_store
from workbench.cli import app
from workbench.errors import NothingToDo, UsageError
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace


class Audited:
    def __init__(self, workspace: Workspace, record: Record, truth: dict[int, bool]) -> None:
        self.workspace, self.record, self.truth = workspace, record, truth

    def negwb(self, *args: object, answer: str | None = None) -> Result:
        return CliRunner().invoke(app, ["-w", str(self.workspace.root), *map(str, args)], input=answer)

    def read(self, *args: object) -> Any:
        result = self.negwb(*args, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def decided_by_policies(self) -> int:
        return int(str(self.record.rows("SELECT count(*) FROM event WHERE role = 'policy' AND kind = 'accept'")[0][0]))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, bool]]:
    """A workspace with 500 candidates and their truth; tests copy it."""
    workspace = create_workspace(tmp_path_factory.mktemp("audited") / "ws")
    with open_store(workspace.database) as store:
        return workspace.root, fill(Record(store), count=500)


@pytest.fixture
def audited(filled: tuple[Path, dict[int, bool]], tmp_path: Path) -> Iterator[Audited]:
    root, truth = filled
    workspace = Workspace(shutil.copytree(root, tmp_path / "ws"))
    with open_store(workspace.database) as store:
        yield Audited(workspace, Record(store), truth)


def test_it_shows_the_plan_asks_and_accepts(audited: Audited) -> None:
    declined = audited.negwb("accept", answer="n\n")
    assert declined.exit_code == 0, declined.output
    assert "RUNNING AUDIT" in declined.stdout
    assert "P1/attribute" in declined.stdout
    assert audited.decided_by_policies() == 0

    plan = audited.read("accept")
    (stratum,) = plan["plan"]["strata"]
    assert stratum["standing"] == "holds"
    assert stratum["in_force"]["bound"] >= 0.95
    assert stratum["next"] is None or stratum["next"]["missing_labels"] > 0
    assert (plan["accepted"], audited.decided_by_policies()) == (0, 0), "--json without --yes writes nothing"

    done = audited.read("accept", "--yes")
    assert done["plan"]["policy"] == plan["plan"]["policy"], "the declaration is the same"
    assert done["accepted"] == plan["plan"]["acceptable_now"] == audited.decided_by_policies() > 100
    accepted = [int(str(row[0])) for row in audited.record.rows("SELECT candidate_id FROM event WHERE role = 'policy'")]
    assert sum(audited.truth[number] for number in accepted) / len(accepted) > 0.9

    again = audited.read("accept", "--yes")
    assert (again["accepted"], again["plan"]["acceptable_now"], again["declarations"]) == (0, 0, 1)
    assert again["policies"] == [audited.read("accept")["policies"][0]]
    assert again["policies"][0]["accepted"] == done["accepted"]
    audited.record.assert_state_matches_events()

    exported = audited.read("export", "auto")
    assert exported["counts"]["pairs"] > done["accepted"]
    without = audited.read("export", "people", "--without-auto")
    assert without["counts"]["pairs"] == exported["counts"]["pairs"] - done["accepted"]


def test_verdicts_of_another_prompt_withdraw_its_acceptances(audited: Audited) -> None:
    audited.read("accept", "--yes")
    accepted = [int(str(row[0])) for row in audited.record.rows("SELECT candidate_id FROM event WHERE role = 'policy'")]
    with audited.record.store.write() as connection:
        insert_verdicts(connection, [verdict(number, 0.1, prompt="2") for number in accepted[:7]])
    (review,) = audited.read("accept")["policies"]
    assert (review["to_withdraw"], review["refuted"], review["outdated"]) == (7, 0, 7)
    ((evidence),) = review["evidence"].values()
    assert review["bound"] == evidence["bound"] >= 0.95
    assert evidence["errors"] == 0 < evidence["labels"]
    assert "7 acceptances are without a current verdict of its judges" in audited.negwb("accept", answer="n\n").stderr
    done = audited.read("accept", "--yes")
    assert (done["withdrawn"], done["accepted"]) == (7, 0)
    assert audited.record.state(accepted[0]) == "open"


def test_a_new_declaration_is_counted(audited: Audited) -> None:
    first = audited.read("accept", "--yes", "--precision", "0.9")
    second = audited.read("accept", "--yes", "--label", "absent")
    assert first["plan"]["policy"] != second["plan"]["policy"]
    assert second["declarations"] == 2
    assert "holds for each of them, not for all" in audited.negwb("accept", "--yes").stderr


def test_a_plan_without_a_declaration_says_that_it_is_a_test(audited: Audited) -> None:
    warning = "this policy is not declared"
    assert audited.read("accept", "--dry-run")["declared"] is False
    assert warning in audited.negwb("accept", "--dry-run").stderr
    assert audited.read("accept", "--yes")["declared"] is True
    assert audited.read("accept", "--dry-run")["declared"] is True
    assert warning not in audited.negwb("accept", "--dry-run").stderr
    assert warning in audited.negwb("accept", "--dry-run", "--new", "--precision", "0.9").stderr


def test_declared_looks(audited: Audited) -> None:
    late = audited.negwb("accept", "--looks", "10,400")
    assert isinstance(late.exception, NothingToDo)
    assert "too late" in late.exception.message
    plan = audited.read("accept", "--looks", "400,800", "--dry-run")
    assert plan["plan"]["acceptable_now"] == 0
    assert plan["plan"]["looks"] == [400, 800]
    for looks in ("", "a", "5,5", "9,3", "0"):
        wrong = audited.negwb("accept", "--looks", looks)
        assert isinstance(wrong.exception, UsageError), looks


def test_without_labels_it_names_what_is_missing(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        record = Record(store)
        empty = Audited(workspace, record, fill(record, count=60, labelled=False))
        result = empty.negwb("accept")
        assert isinstance(result.exception, NothingToDo)
        assert "needs 30 audit labels" in result.exception.message
        assert isinstance(empty.negwb("judges").exception, NothingToDo)
        assert empty.read("judges") == []


def test_judges_are_compared_with_the_audit_labels(audited: Audited) -> None:
    (judge,) = audited.read("judges")
    assert (judge["judge"], judge["question"], judge["label"]) == ("one", "present", "absent")
    answers = judge["answers"]
    assert sum(answers.values()) == judge["labels"] == judge["raw"]["n"]
    assert (answers["right_wrong"], answers["wrong_right"]) == (0, 0), "the judge separates the classes"
    assert judge["raw"]["discrimination"] == 1.0
    assert judge["raw"]["ece"] > 0.1 > judge["calibrated"]["ece"], "it is too unsure, which the scale mends"
    assert sum(each["n"] for each in judge["raw"]["bins"]) == judge["labels"]
    table = audited.negwb("judges").stdout
    assert "JUDGES AGAINST AUDIT LABELS" in table
    assert "one (one)" not in table
    assert "one (m)" in table
    assert "#" in table


def test_judges_are_compared_with_the_labels_of_the_better_annotators(audited: Audited) -> None:
    """Three careless annotators grant every label that a careful one and the judge refuse."""
    (before,) = audited.read("judges", "--consensus", "dawid-skene")
    assert before == audited.read("judges")[0], "one annotator needs no consensus"
    ids = [int(str(number)) for (number,) in audited.record.rows("SELECT id FROM candidate WHERE audit LIMIT 60")]
    careful = audited.record.open_session("bea").reviewer
    careless = [audited.record.open_session(name).reviewer for name in ("cho", "dan", "eve")]
    for number in ids:
        reason = None if audited.truth[number] else Reason.PRESENT
        careful.decide(number, Kind.REJECT if reason else Kind.ACCEPT, reason=reason, shown=BLIND)
        for annotator in careless:
            annotator.decide(number, Kind.ACCEPT, shown=BLIND)
    wrong = sum(not audited.truth[number] for number in ids)
    (majority,), (weighed,) = audited.read("judges"), audited.read("judges", "--consensus", "dawid-skene")
    assert majority["answers"]["wrong_right"] == wrong > 10
    assert weighed["answers"] == before["answers"]
