"""Plain mode: driven by a list of lines, through a pipe, and in a dumb terminal."""

from __future__ import annotations

import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.curating import wait_for
from support.terminal import Terminal
from support.workspaces import HOSTILE, Case, WorkspaceFixture, build

from curation_db.enums import REASON_KEYS, Kind, State
from workbench.annotation.models import SessionSettings
from workbench.annotation.open import open_session
from workbench.annotation.plain import text as plain
from workbench.annotation.plain.loop import PlainLoop
from workbench.annotation.plain.text import PlainAction, PlainInput, parse_line, parse_reason
from workbench.workspace.layout import Workspace

NEGWB = Path(sys.executable).with_name("negwb")
Drive = Callable[..., list[str]]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[WorkspaceFixture]:
    workspace = build(tmp_path / "ws", [Case(text=f"a man without hat {n}", concept=f"hat {n}") for n in range(4)])
    yield workspace
    workspace.store.close()


@pytest.fixture
def drive() -> Drive:
    """Runs plain mode with these input lines and returns its output lines."""

    def drive_session(workspace: WorkspaceFixture, *answers: str, viewer: str = "", **settings: Any) -> list[str]:
        remaining, lines = list(answers), list[str]()

        def read_line(prompt: str) -> str | None:
            lines.append(f"? {prompt}")
            return remaining.pop(0) + "\n" if remaining else None

        serving = SessionSettings(**{"ordering": "oldest", "audit_share": 0.0, **settings})
        with open_session(Workspace(workspace.root), "ana", serving=serving, box=(16, 16), version="test") as session:
            session.start()
            PlainLoop(session, read_line, lines.append, viewer=viewer).run()
        return lines

    return drive_session


def test_a_card_is_printed_line_by_line(workspace: WorkspaceFixture, drive: Drive) -> None:
    lines = drive(workspace)
    assert "CARD 1, review; 0 of 4 decided" in lines
    assert f"IMAGE {workspace.root}/pictures/001.png, 160 by 120 pixels" in lines
    assert "CAPTION a woman riding a horse in a field" in lines
    assert "NEGATED a man without hat 0" in lines
    assert "CONCEPT hat 0; cue without, at the middle; type attribute" in lines
    assert "JUDGES judge-0: hat 0 is present with probability 0.07" in lines
    assert "JUDGES disagree" in lines
    assert any(line.startswith("CHECKS passed: cue") for line in lines)


def test_every_answer_is_stored_in_order(workspace: WorkspaceFixture, drive: Drive) -> None:
    lines = drive(workspace, "a", "x", "", "xp", "z", "Z", "n seen twice", "f", "f", "u", " ", "q", "a")
    acts = workspace.rows("SELECT candidate_id, kind, reason FROM event WHERE uid = act ORDER BY seq")
    # fmt: off
    assert acts == [
        (1, "accept", None), (2, "reject", "present"), (2, "undo", None), (2, "undo", None), (3, "note", None),
        (3, "flag", None), (3, "undo", None), (3, "unsure", None), (4, "skip", None),
    ]
    # fmt: on
    for line in (
        "DONE accepted; it is accepted",
        "NOT REJECTED",
        "DONE rejected, present; it is rejected",
        "UNDONE rejected, present; card 2",
        "REDONE rejected, present; card 2",
        "NOTED",
        "FLAGGED",
        "NOT FLAGGED any more",
        "DONE unsure; others decide first",
        "DONE skipped; it comes again later",
    ):
        assert line in lines
    assert lines[-1].startswith("? "), "input after q is not read"
    assert workspace.rows("SELECT * FROM lease") == []


def test_the_prompts_are_short_after_five_cards(tmp_path: Path, drive: Drive) -> None:
    workspace = build(tmp_path / "ws", [Case(text=f"a man without hat {n}") for n in range(6)])
    lines = drive(workspace, *"aaax", "p", "a", "x", "?", "p")
    workspace.store.close()
    prompts = [line for line in lines if line.startswith("? ")]
    assert prompts[:4] == [f"? {plain.PROMPT}"] * 4
    assert prompts[4:6] == [f"? {plain.REASON_PROMPT}", f"? {plain.PROMPT}"]
    short = f"? {plain.SHORT_REASON_PROMPT}"
    assert prompts[6:] == ["? > ", short, short, "? > "]
    assert f"REASONS {plain.REASONS}" in lines
    assert [kind for _, kind, _ in workspace.events()] == ["accept"] * 3 + ["reject", "accept", "reject"]


def test_o_opens_the_image_outside(tmp_path: Path, drive: Drive) -> None:
    workspace = build(tmp_path / "ws", [Case(), Case(picture=False)])
    viewer, opened = tmp_path / "viewer", tmp_path / "opened"
    viewer.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.new && mv {opened}.new {opened}\n')
    viewer.chmod(0o755)
    lines = drive(workspace, "o", "a", "o", "q", viewer=str(viewer))
    assert "OPENED with viewer" in lines
    assert "NOT OPENED the image is missing" in lines
    wait_for(opened.is_file)
    assert opened.read_text() == str(workspace.root / "pictures/001.png")
    lines = drive(workspace, "z", "o", viewer="no-such-program")
    workspace.store.close()
    assert "NOT OPENED no-such-program is not installed here" in lines


def test_going_back_editing_and_the_end(workspace: WorkspaceFixture, drive: Drive) -> None:
    lines = drive(workspace, "a", "[", "xg", "]", "e a man without a cap", "s", "s", "a", "r", "a", "a", "c", "]")
    kinds = [kind for _, kind, _ in workspace.events()]
    assert kinds == ["accept", "reject", "edit", "accept", "skip", "skip", "accept", "accept"]
    assert "YOU DECIDED accepted; a new decision replaces it" in lines
    assert "DONE edited; your text has taken its place" in lines
    assert "SET ASIDE 2 that you skipped, were unsure about or edited: r serves them" in lines
    assert lines.count("END the queue has no card for you now") == 3
    assert any(line.startswith("NO CARD") for line in lines)


def test_a_refused_answer_is_reported_and_the_card_stays(workspace: WorkspaceFixture, drive: Drive) -> None:
    lines = drive(workspace, "nonsense", "", "xq", "p", "e a man without hat 1", "e", "", "z", "z", "?")
    assert "NOT KNOWN; ? lists the answers" in lines
    assert "NO SUCH reason" in lines
    assert any(line.startswith("REFUSED") and line.endswith("Nothing was written.") for line in lines)
    assert "CANCELLED" in lines
    assert "NOTHING to undo" in lines
    assert all(line in lines for line in plain.HELP)
    assert [kind for _, kind, _ in workspace.events()] == ["reject", "undo"]


def test_an_audit_card_hides_its_judges_and_reveals_them_after(tmp_path: Path, drive: Drive) -> None:
    workspace = build(tmp_path / "audit", [Case(), Case()], audit_rate=1.0)
    lines = drive(workspace, "a", "[", "xp", audit_share=1.0, reveal=True)
    assert lines.index("JUDGES hidden until you have decided") < lines.index(
        "REVEALED judge-1: hat is present with probability 0.76"
    )
    assert not any("0.76" in line for line in lines[: lines.index("DONE accepted; it is accepted")])
    assert workspace.rows("SELECT kind, verdict, blind, stream FROM event ORDER BY seq") == [
        ("accept", None, 1, "audit"),
        ("flip", "reject", 0, "audit"),
    ]
    workspace.store.close()


def test_control_characters_in_texts_are_not_printed(tmp_path: Path, drive: Drive) -> None:
    cases = [
        Case(caption=text[:500], text=text, concept=text[:200], siblings=(text[:300],), raw=text)
        for text in HOSTILE.values()
    ]
    workspace = build(tmp_path / "hostile", cases)
    lines = drive(workspace, *["n " + HOSTILE["escape"], "c", "a"] * len(cases))
    assert [kind for _, kind, _ in workspace.events()] == ["note", "accept"] * len(cases)
    assert not [c for line in lines for c in line if unicodedata.category(c) == "Cc" or c == "\u202e"]
    assert max(map(len, lines)) < 2_100
    workspace.store.close()


def test_parsing_of_answers() -> None:
    assert [parse_line(letter) for letter in PlainAction] == [PlainInput(do) for do in PlainAction]
    assert parse_line(" \n") == parse_line("\t") == PlainInput(PlainAction.SKIP)
    assert parse_line("xp\n") == parse_line(" x p ") == PlainInput(PlainAction.REJECT, "p")
    assert parse_line("e a b") == PlainInput(PlainAction.EDIT, "a b")
    assert [parse_line(line) for line in ("", "\n", "accept", "quit", "az", "é")] == [None] * 6
    assert {key: parse_reason(key) for key in REASON_KEYS} == REASON_KEYS
    assert parse_reason("rest false") == parse_reason("REST_FALSE") == REASON_KEYS["r"]
    assert parse_reason("y") is None


def test_every_decision_and_state_has_a_line() -> None:
    for kind in (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP, Kind.EDIT, Kind.FLIP):
        for state in State:
            assert plain.decision_line(kind, state)
    assert "late" not in plain.decision_line(Kind.ACCEPT, State.ACCEPTED)
    assert "lease" in plain.decision_line(Kind.ACCEPT, State.ACCEPTED, late=True)


def test_plain_mode_reads_from_a_pipe(workspace: WorkspaceFixture) -> None:
    done = subprocess.run(
        [NEGWB, "-w", workspace.root, "curate", "--plain", "-a", "ana"],
        input="a\nxp\nq\n",
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [kind for _, kind, _ in workspace.events()] == ["accept", "reject"]
    assert "\x1b" not in done.stdout
    assert "1 accepted, 1 rejected; 2 of 4 done. All decisions are stored." in done.stderr


def test_lines_typed_before_a_card_is_printed_are_dropped(workspace: WorkspaceFixture) -> None:
    command = [NEGWB, "-w", workspace.root, "curate", "--plain", "-a", "ana"]
    with Terminal(command, TERM="dumb") as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.wait_for(plain.PROMPT.encode())
        terminal.send("a\na\na\na\n")
        terminal.wait_for(b"NOT TAKEN")
        terminal.wait_for(lambda: terminal.output.count(plain.PROMPT.encode()) == 2)
        assert [kind for _, kind, _ in workspace.events()] == ["accept"]
        terminal.send("u\n")
        terminal.wait_for(lambda: terminal.output.count(plain.PROMPT.encode()) == 3)
        assert len(workspace.events()) == 2
        terminal.send("q\n")
        assert terminal.end() == 0


@pytest.mark.parametrize("interrupted", [False, True])
def test_plain_mode_in_a_dumb_terminal(workspace: WorkspaceFixture, interrupted: bool) -> None:
    command = [NEGWB, "-w", workspace.root, "curate", "--plain", "-a", "ana"]
    with Terminal(command, columns=40, rows=8, TERM="dumb") as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.wait_for(plain.PROMPT.encode())
        terminal.press("a\n")
        terminal.wait_for(b"DONE accepted")
        terminal.wait_for(lambda: terminal.output.count(plain.PROMPT.encode()) == 2)
        if interrupted:
            terminal.process.send_signal(signal.SIGINT)  # the terminal sends it on ctrl-c
        else:
            terminal.press("\x04")
        assert terminal.end() == (130 if interrupted else 0)
        assert b"1 accepted; 1 of 4 done. All decisions are stored." in terminal.output
        assert b"\x1b" not in terminal.output
    assert workspace.rows("SELECT * FROM lease") == []
    assert workspace.rows("SELECT count(*) FROM work_session WHERE ended_at IS NULL") == [(0,)]
