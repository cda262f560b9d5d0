"""Tests of `negwb annotators` and of the reports about waiting edits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.commands import curate_plain, negwb, workspace_with_candidates

from curation_db.enums import State
from curation_db.events.state import CandidateStatus
from workbench.annotation.wording import edit_outcome
from workbench.errors import NothingToDo, UsageError
from workbench.workspace.layout import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return workspace_with_candidates(tmp_path, 4)


def listed(workspace: Workspace) -> dict[str, Any]:
    data = json.loads(negwb(workspace, "annotators", "--json").stdout)
    return {each["name"]: each for each in data}


def test_an_annotator_without_decisions_does_not_delay_edits(workspace: Workspace) -> None:
    curate_plain(workspace, "ben", "q\n")
    done = curate_plain(workspace, "ana", "e a dog with no hat\nq\n")
    assert "EDIT saved and accepted: you work alone" in done.stdout
    assert (listed(workspace)["ben"]["counts"], listed(workspace)["ana"]["counts"]) == (False, True)
    assert "no decisions" in negwb(workspace, "annotators").stdout


def test_waiting_edits_are_counted_in_every_report(workspace: Workspace) -> None:
    curate_plain(workspace, "ben", "a\nq\n")
    done = curate_plain(workspace, "ana", "e a dog with no hat\na\na\nc\nq\n")
    assert "EDIT saved; another person will check it" in done.stdout
    assert "EDITS 1 of your edits needs a second opinion" in done.stdout
    assert json.loads(negwb(workspace, "status", "--json").stdout)["edits_waiting"] == {"ana": 1}
    assert "EDITS THAT WAIT" in negwb(workspace, "status").stdout.upper()
    assert json.loads(negwb(workspace, "progress", "--json").stdout)["work"]["edits_waiting"] == {"ana": 1}
    negwb(workspace, "annotators", "retire", "ben")
    assert "you are the only annotator: check by yourself" in curate_plain(workspace, "ana", "c\nq\n").stdout


def test_a_name_is_retired_and_restored(workspace: Workspace) -> None:
    curate_plain(workspace, "ben", "a\nq\n")
    done = negwb(workspace, "annotators", "retire", "ben")
    assert "ben is retired; 1 decision stays in force" in done.stderr
    refused = curate_plain(workspace, "ben", "q\n")
    assert isinstance(refused.exception, UsageError)
    assert "negwb annotators restore" in refused.exception.hint
    assert listed(workspace)["ben"]["retired_at"] is not None
    assert "(retired)" in negwb(workspace, "status").stdout
    assert isinstance(negwb(workspace, "annotators", "retire", "ben").exception, NothingToDo)
    assert negwb(workspace, "annotators", "restore", "ben").exit_code == 0
    assert isinstance(negwb(workspace, "annotators", "restore", "ben").exception, NothingToDo)
    assert curate_plain(workspace, "ben", "q\n").exit_code == 0


def test_an_unknown_name_is_refused_with_the_known_names(workspace: Workspace) -> None:
    curate_plain(workspace, "ben", "q\n")
    refused = negwb(workspace, "annotators", "retire", "bne").exception
    assert isinstance(refused, UsageError)
    assert refused.hint == "known annotators: ben"


@pytest.mark.parametrize(
    ("child", "message"),
    [
        (CandidateStatus(State.ACCEPTED, accepts=1, wanted=0), "saved and accepted: you work alone"),
        (CandidateStatus(State.OPEN, wanted=1), "saved; another person will check it"),
        (CandidateStatus(State.OPEN, wanted=2), "saved; 2 other people will check it"),
        (
            CandidateStatus(State.NEEDS_MORE, accepts=1, wanted=1),
            "saved with your accept; another person will check it",
        ),
    ],
)
def test_outcome_of_an_edit(child: CandidateStatus, message: str) -> None:
    assert edit_outcome(child) == message


@pytest.mark.parametrize("name", ["system", "Adjudicator", "policy@2", " ", "a\tb", "x" * 65])
def test_an_invalid_name_is_refused_before_the_record_is_read(workspace: Workspace, name: str) -> None:
    for words in (("curate", "--plain"), ("serve",), ("queue", "overlap", "2", "--yes")):
        done = negwb(workspace, *words, "-a", name)
        assert isinstance(done.exception, UsageError), words
        assert "--annotator NAME" in done.exception.hint
    assert listed(workspace) == {}


def test_names_are_compared_case_insensitively(workspace: Workspace) -> None:
    curate_plain(workspace, "Ana", "a\nq\n")
    curate_plain(workspace, "ANA", "a\nq\n")
    assert {name: each["decisions"] for name, each in listed(workspace).items()} == {"Ana": 2}
    assert "Ana is retired; 2 decisions stay in force" in negwb(workspace, "annotators", "retire", "ana").stderr
    refused = curate_plain(workspace, "ana", "q\n").exception
    assert isinstance(refused, UsageError)
    assert "Ana is retired" in refused.message
