"""Tests of `negwb browse` without a terminal: JSON lines, exit codes, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.workspaces import Case
from typer.testing import CliRunner

from curation_db.enums import Kind
from workbench.cli import app
from workbench.errors import NothingToDo, UsageError


def run(root: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["--workspace", str(root), "browse", *words])


def test_rows_as_json(make_workspace: Any, join: Any) -> None:
    workspace = make_workspace(
        cases=[Case(text=f"no hat {n}", siblings=("a man in a hat",) if n == 2 else ()) for n in range(1, 5)]
    )
    join(workspace, "ana").decide(2, Kind.ACCEPT)
    data = [json.loads(line) for line in run(workspace.root, "--json").output.splitlines()]
    assert [row["id"] for row in data] == [4, 3, 2, 1]
    (row,) = (
        json.loads(line)
        for line in run(workspace.root, "state:accepted", '"no hat"', "sort:oldest").output.splitlines()
    )
    assert row["text"] == "no hat 2"
    assert row["state"] == "accepted"
    assert row["conflict"] is True
    assert row["decisions"][0]["actor"] == "ana"
    assert [judge["p"] for judge in row["judges"]] == [0.07, 0.76]
    limited = run(workspace.root, "--limit", "3").output.splitlines()
    assert [json.loads(line)["id"] for line in limited] == [4, 3, 2]


def test_lint_findings_are_indexed_when_the_query_needs_them(make_workspace: Any) -> None:
    workspace = make_workspace(cases=[Case(siblings=("a woman in a hat",)), Case()])
    before = [json.loads(each)["lint"] for each in run(workspace.root, "--json").output.splitlines()]
    assert set(map(str, before)) == {"None"}, "no rule has looked yet, which is not the same as nothing found"
    (line,) = run(workspace.root, "lint:in-sibling", "--json").output.splitlines()
    assert (json.loads(line)["id"], json.loads(line)["lint"]) == (1, ["in-sibling"])


def test_no_match_and_invalid_queries(make_workspace: Any) -> None:
    workspace = make_workspace(1)
    nothing = run(workspace.root, "concept:dog").exception
    assert isinstance(nothing, NothingToDo)
    assert nothing.message.startswith("no concept:dog in this record; known: hat number 0")
    assert nothing.exit_code == 5
    wrong = run(workspace.root, "state:opn").exception
    assert isinstance(wrong, UsageError)
    assert "did you mean open?" in wrong.message


def test_help_has_examples() -> None:
    output = CliRunner().invoke(app, ["browse", "--help"]).output
    assert "negwb browse 'state:accepted" in output
