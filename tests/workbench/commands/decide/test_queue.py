"""Tests of `negwb queue overlap`: preview, confirmation, share, and warnings with the command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.commands import curate_plain, negwb, workspace_with_candidates
from support.terminal import Terminal

from curation_db.atomic_write import replace_file
from workbench.errors import ExitCode, NothingToDo, UsageError
from workbench.workspace.layout import Workspace

NEGWB = Path(sys.executable).with_name("negwb")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return workspace_with_candidates(tmp_path, 30)


def overlaps(workspace: Workspace) -> dict[str, int]:
    data = json.loads(negwb(workspace, "status", "--json").stdout)
    return {each["overlap"]: each["candidates"] for each in data["overlap"]}


def test_overlap_of_existing_candidates_is_changed(workspace: Workspace) -> None:
    curate_plain(workspace, "ana", "a\na\nq\n")
    done = negwb(workspace, "queue", "overlap", "2", "state:accepted", "--yes")
    assert done.exit_code == 0, done.output
    assert "the overlap of 2 becomes 2" in done.stderr
    assert "required decisions: 0 before, 2 after" in done.stderr
    assert "2 accepted become needs more" in done.stderr
    assert overlaps(workspace) == {"1": 28, "2": 2}
    assert negwb(workspace, "doctor").exit_code == 0


def test_json_without_yes_changes_nothing(workspace: Workspace) -> None:
    done = negwb(workspace, "queue", "overlap", "2+1", "--json")
    data = json.loads(done.stdout)
    assert (data["overlap"], data["candidates"], data["changing"], data["changed"]) == ("2+1", 30, 30, 0)
    assert data["wanted"] == {"before": 30, "after": 60}
    assert overlaps(workspace) == {"1": 30}
    assert json.loads(negwb(workspace, "queue", "overlap", "2+1", "--json", "--yes").stdout)["changed"] == 30
    assert overlaps(workspace) == {"2+1": 30}


def test_a_share_selects_the_same_candidates_every_time(workspace: Workspace) -> None:
    data = json.loads(negwb(workspace, "queue", "overlap", "2", "--share", "0.5", "--json", "--yes").stdout)
    assert 0 < data["drawn"] == data["changed"] < 30
    again = negwb(workspace, "queue", "overlap", "2", "--share", "0.5", "--yes")
    assert isinstance(again.exception, NothingToDo), "the same ones were drawn, and they have it"
    assert overlaps(workspace) == {"1": 30 - data["drawn"], "2": data["drawn"]}


@pytest.mark.parametrize(
    "args",
    [("0",), ("two",), ("2+",), ("2", "--share", "0"), ("2", "--share", "1.5"), ("2", "nonsense:1"), ("2", "-a", "")],
)
def test_invalid_arguments_are_refused(workspace: Workspace, args: tuple[str, ...]) -> None:
    assert isinstance(negwb(workspace, "queue", "overlap", *args, "--yes").exception, UsageError)
    assert overlaps(workspace) == {"1": 30}


def test_without_a_terminal_yes_is_required(workspace: Workspace) -> None:
    done = negwb(workspace, "queue", "overlap", "2")
    assert isinstance(done.exception, UsageError)
    assert "--yes" in done.exception.hint
    assert overlaps(workspace) == {"1": 30}


@pytest.mark.parametrize("query", ["state:rejected", "by:nobody"])
def test_a_query_without_matches_has_nothing_to_do(workspace: Workspace, query: str) -> None:
    assert isinstance(negwb(workspace, "queue", "overlap", "2", query, "--yes").exception, NothingToDo)


@pytest.mark.parametrize(("answer", "after"), [("n", {"1": 30}), ("y", {"2": 30})])
def test_at_a_terminal_a_confirmation_is_required(workspace: Workspace, answer: str, after: dict[str, int]) -> None:
    with Terminal([NEGWB, "-w", workspace.root, "queue", "overlap", "2"]) as terminal:
        terminal.wait_for(b"[y/N]")
        terminal.press(answer + "\n")
        assert terminal.end() == ExitCode.OK
    assert overlaps(workspace) == after


def test_a_setting_changed_after_the_import_is_reported_with_the_command(workspace: Workspace) -> None:
    assert "queue overlap" not in negwb(workspace, "status").stderr
    replace_file(workspace.settings, '[curate]\naudit_rate = 0\noverlap = "2"\n')
    warning = "30 candidates were imported with another overlap; to change them: negwb queue overlap 2"
    assert warning in negwb(workspace, "status").stderr
    assert json.loads(negwb(workspace, "status", "--json").stdout)["overlap_setting"]["differing"] == 30
    assert warning in curate_plain(workspace, "ana", "q\n").stderr
    with Terminal([NEGWB, "-w", workspace.root, "curate", "-a", "ben", "--images", "halfcell"]) as terminal:
        terminal.wait_for(b"overlap is 2")
        terminal.press("q")
    negwb(workspace, "queue", "overlap", "2", "--yes")
    assert "queue overlap" not in negwb(workspace, "status").stderr
    assert "queue overlap" not in curate_plain(workspace, "ana", "q\n").stderr
