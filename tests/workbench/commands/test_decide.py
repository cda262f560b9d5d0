"""`negwb decide` and `negwb undo`, and the commands that the log of a session lists: they do the same as the keys."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from support.curating import wait_for_card
from support.workspaces import HOSTILE, Case, WorkspaceFixture
from typer.testing import CliRunner, Result

from curation_db.enums import Kind, Reason
from workbench import cli
from workbench.annotation.session import AnnotationSession
from workbench.errors import NothingToDo, UsageError


def negwb(workspace: WorkspaceFixture, *words: object) -> Result:
    return CliRunner().invoke(cli.app, ["-w", str(workspace.root), *map(str, words)])


def acts(workspace: WorkspaceFixture) -> list[tuple[Any, ...]]:
    """Return the events of both sessions without their times."""
    return workspace.rows("SELECT candidate_id, kind, actor, reason, note, undo_of, child_id FROM event ORDER BY seq")


def test_a_decision_has_no_time_and_can_be_undone(make_workspace: Any) -> None:
    workspace = make_workspace(3)
    assert "candidate 2 accepted; now accepted" in negwb(workspace, "decide", 2, "accept", "-a", "ana").stderr
    done = negwb(workspace, "decide", 1, "reject", "--reason", "present", "-a", "ana")
    assert "candidate 1 rejected: present; now rejected" in done.stderr
    assert workspace.rows("SELECT candidate_id, kind, elapsed_ms, late FROM event ORDER BY seq") == [
        (2, "accept", None, 0),
        (1, "reject", None, 0),
    ]
    assert "undone: ✗ reject (present) of card 1" in negwb(workspace, "undo", "-a", "ana").stderr
    assert "redone: ✗ reject (present) of card 1" in negwb(workspace, "undo", "--redo", "-a", "ana").stderr
    assert workspace.states() == {1: "rejected", 2: "accepted", 3: "open"}
    assert workspace.rows("SELECT * FROM lease") == []
    assert isinstance(negwb(workspace, "undo", "-a", "ben").exception, NothingToDo)


@pytest.mark.parametrize(
    "words",
    [
        ("reject",),
        ("accept", "--reason", "present"),
        ("edit",),
        ("note",),
        ("accept", "--text", "a"),
        ("note", "--text", "a", "--concept", "b"),
    ],
)
def test_options_that_do_not_fit_are_refused(make_workspace: Any, words: tuple[str, ...]) -> None:
    workspace = make_workspace(1)
    error = negwb(workspace, "decide", 1, *words).exception
    assert isinstance(error, UsageError)
    assert error.hint
    assert acts(workspace) == []


def work(session: AnnotationSession) -> None:
    """Decide, edit, remark, undo and redo."""
    for kind, reason in ((Kind.ACCEPT, None), (Kind.REJECT, Reason.REST_FALSE), (Kind.UNSURE, None), (Kind.SKIP, None)):
        wait_for_card(session)
        session.submit(kind, reason)
    wait_for_card(session)
    session.note(f"it's {HOSTILE['escape']} $(touch owned) --help")
    session.toggle_flag()
    session.edit("-a 'woman' without \"hats\" `touch owned`", "-hats")
    session.undo()
    session.undo()
    session.redo()


def test_the_commands_of_the_log_repeat_the_session(make_workspace: Any, open_session: Any) -> None:
    cases = [Case(text=f"a woman without hat {n}", concept=f"hat {n}") for n in range(6)]
    first, second = make_workspace(cases=cases), make_workspace(cases=cases)
    session = open_session(first)
    work(session)
    script = session.acts.script
    assert len(session.acts.acts) == script.count("\n") == 10
    assert [act.did for act in session.acts.acts[:2]] == ["accept", "reject: rest false"]
    for line in script.splitlines():
        words = shlex.split(line)
        assert words[0] == "negwb"
        done = negwb(second, *words[1:])
        assert done.exit_code == 0, (line, done.exception)
    assert acts(second) == acts(first)
    assert second.states() == first.states()
    texts = "SELECT text, concept FROM candidate ORDER BY id"
    assert second.rows(texts) == first.rows(texts)
