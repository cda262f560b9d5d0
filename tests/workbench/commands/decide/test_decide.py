"""`negwb decide` and `negwb undo`, and the commands that the log of a session lists: they do the same as the keys."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.curating import wait_for_card
from support.workspaces import HOSTILE, Case, WorkspaceFixture
from typer.testing import CliRunner, Result

from curation_db.enums import Kind, Reason
from curation_db.errors import RecordError
from curation_db.review.bulk import decide_in_bulk
from workbench import cli
from workbench.annotation.act_log import ActLog, shell_quoted
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


def test_several_candidates_are_one_action(make_workspace: Any) -> None:
    workspace = make_workspace(5)
    done = negwb(workspace, "decide", "2-3,5", "reject", "--reason", "duplicate", "--yes", "-a", "ana")
    assert "Reject 3 cards: duplicate" in done.stderr
    assert "negwb: 3 rejected; undo all of them: negwb undo" in done.stderr
    assert workspace.states() == {1: "open", 2: "rejected", 3: "rejected", 4: "open", 5: "rejected"}
    assert len({act for (act,) in workspace.rows("SELECT act FROM event")}) == 1
    again = negwb(workspace, "decide", "2,3", "reject", "--reason", "duplicate", "--yes", "-a", "ana").exception
    assert isinstance(again, NothingToDo)
    assert "2 already in that state" in str(again)
    assert negwb(workspace, "undo", "-a", "ana").exit_code == 0
    assert set(workspace.states().values()) == {"open"}


def test_candidates_on_stdin_are_decided_only_with_yes(make_workspace: Any) -> None:
    workspace = make_workspace(3)
    words = ["-w", str(workspace.root), "decide", "-", "accept", "-a", "ana"]
    refused = CliRunner().invoke(cli.app, words, input="1\n3\n").exception
    assert isinstance(refused, UsageError)
    assert "--yes" in str(refused.hint)
    assert acts(workspace) == []
    assert CliRunner().invoke(cli.app, [*words, "--yes"], input="1\n3\n").exit_code == 0
    assert workspace.states() == {1: "accepted", 2: "open", 3: "accepted"}
    reopened = negwb(workspace, "decide", 3, "reopen", "--yes", "-a", "ana")
    assert "1 reopened" in reopened.stderr
    assert workspace.states()[3] == "open"


@pytest.mark.parametrize(
    "words",
    [("1-2", "unsure"), ("1,2", "note", "--text", "a"), ("one", "accept"), ("3-1", "accept"), ("1,2", "reject")],
)
def test_bulk_decisions_that_do_not_fit_are_refused(make_workspace: Any, words: tuple[str, ...]) -> None:
    workspace = make_workspace(2)
    error = negwb(workspace, "decide", *words, "--yes").exception
    assert isinstance(error, UsageError)
    assert error.hint
    assert acts(workspace) == []


def test_the_command_of_a_bulk_decision_has_the_same_effect(make_workspace: Any, open_session: Any) -> None:
    first, second = make_workspace(6), make_workspace(6)
    session = open_session(first)
    for ids, kind, reason in (([2, 3, 4, 6], Kind.REJECT, Reason.DUPLICATE), ([1], Kind.ACCEPT, None)):
        decide_in_bulk(session.store, session.actor, ids, kind, reason)
        session.acts.decided_in_bulk(ids, kind, reason, "the family of card 2")
    for act in session.acts.acts:
        words = shlex.split(act.command)
        assert negwb(second, *words[1:]).exit_code == 0
    assert acts(second) == acts(first) != []
    assert second.states() == first.states()


def test_a_long_list_of_candidates_is_read_from_stdin() -> None:
    log = ActLog("ana")
    numbers = list(range(1, 90_000, 2))
    log.decided_in_bulk(numbers, Kind.REQUEUE, None, "a selection")
    command, *lines = log.acts[0].command.split("\n")
    assert command == "negwb decide - reopen --bulk --yes -a ana <<END"
    assert lines[-1] == "END"
    assert [int(line) for line in lines[:-1]] == numbers


def in_bash(line: str) -> list[str]:
    """Return the words of a line as bash reads them."""
    read = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    return read.stdout.decode().split("\0")[:-1]


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("a\nb\tc\r\x1b[31m' \\' $(touch owned) `touch owned` \u202e\u2066 👩\u200d🚀 7\x007 é")
@settings(max_examples=20, deadline=None)
def test_a_shell_reads_a_quoted_word_unchanged(word: str) -> None:
    quoted = shell_quoted(word)
    assert quoted.isprintable()
    assert in_bash(quoted) == [word.replace("\0", "")]


def test_an_edit_takes_its_text_from_stdin_and_prints_its_findings(make_workspace: Any) -> None:
    workspace = make_workspace(
        cases=[Case(text="a man without hat", concept="hat"), Case(text="no dog", concept="dog")]
    )
    words = ["-w", str(workspace.root), "decide", "1", "edit", "--text", "-", "--json", "-a", "ana"]
    done = CliRunner().invoke(cli.app, words, input="a man\nwith 'no' \x1b[31mdoubt\n")
    data = json.loads(done.stdout)
    assert (data["candidate"], data["act"], data["annotator"]) == (1, "edit", "ana")
    assert (data["state"], data["child"], data["child_state"]) == ("superseded", 3, "accepted")
    assert workspace.rows("SELECT text FROM candidate WHERE id = 3") == [("a man\nwith 'no' [31mdoubt",)]
    assert [kind for _, kind, _ in workspace.events()] == ["edit", "accept"]
    plain = json.loads(negwb(workspace, "decide", 2, "edit", "--text", "a dog", "--json", "-a", "ana").stdout)
    assert "no-cue" in [finding["rule"] for finding in plain["findings"]]
    assert "negwb: warning: " in negwb(workspace, "decide", 4, "edit", "--text", "a cat", "-a", "ana").stderr
    assert negwb(workspace, "undo", "-a", "ana").exit_code == 0
    assert workspace.states()[4] == "accepted"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((99, "edit", "--text", "a dog"), "there is no candidate 99"),
        ((1, "edit", "--text", "no dog"), "unchanged"),
        ((1, "edit", "--text", " "), "empty"),
        ((1, "edit", "--text", "-"), "needs a text"),
        (("1,2", "accept", "--json", "--yes"), "one candidate"),
    ],
)
def test_an_edit_that_is_refused_says_why(make_workspace: Any, words: tuple[object, ...], message: str) -> None:
    workspace = make_workspace(cases=[Case(text="no dog", concept="dog"), Case(text="no cat", concept="cat")])
    error = negwb(workspace, "decide", *words, "-a", "ana").exception
    assert isinstance(error, UsageError | RecordError)
    assert message in str(error)
    assert acts(workspace) == []


def work(session: AnnotationSession) -> None:
    """Decide, edit, remark, undo and redo."""
    for kind, reason in ((Kind.ACCEPT, None), (Kind.REJECT, Reason.REST_FALSE), (Kind.UNSURE, None), (Kind.SKIP, None)):
        wait_for_card(session)
        session.submit(kind, reason)
    wait_for_card(session)
    session.note(f"it's {HOSTILE['escape']} $(touch owned) --help")
    session.toggle_flag()
    session.edit("-a\n'woman'\x1b[31m\u202e without \"hats\" `touch owned`", "-hats")
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
    assert script.isascii()
    assert "\x1b" not in script
    for line in script.splitlines():
        words = in_bash(line)
        assert words[0] == "negwb"
        done = negwb(second, *words[1:])
        assert done.exit_code == 0, (line, done.exception)
    assert acts(second) == acts(first)
    assert second.states() == first.states()
    texts = "SELECT text, concept FROM candidate ORDER BY id"
    assert second.rows(texts) == first.rows(texts)
