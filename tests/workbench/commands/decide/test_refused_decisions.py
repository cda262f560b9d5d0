"""A session with refused decisions reports how many are not stored and ends with exit code 3."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.curating import locked_record
from support.terminal import Terminal
from support.workspaces import Case, WorkspaceFixture, build

from curation_db.enums import Kind
from curation_db.errors import CardChanged, RecordBusy, RecordError
from workbench.annotation.answer_counts import AnswerCounter, RefusedAnswers

SHORT_TIMEOUT_PROGRAM = """
import sys
from curation_db.storage import sqlite
sqlite._PRAGMAS = ("PRAGMA busy_timeout=50", *sqlite._PRAGMAS[1:])
sys.argv[0] = "negwb"
from workbench.cli import main
sys.exit(main())
"""
"""The command line with a lock timeout of 50 ms."""


class TestAnswerCounter:
    """Counting of refused decisions."""

    def refuse(self, answers: AnswerCounter, error: type[RecordError] = RecordBusy, **about: Any) -> None:
        with pytest.raises(error), answers.counting(**about):
            raise error("no")

    def store(self, answers: AnswerCounter, **about: Any) -> None:
        with answers.counting(**about):
            pass

    def test_a_later_decision_on_the_card_replaces_refused_ones(self) -> None:
        answers = AnswerCounter()
        for card in (1, 1, 2):
            self.refuse(answers, cards=[card])
        self.store(answers, cards=[1])
        assert answers.refused == RefusedAnswers(answers=4, lost=1, overtaken=0)

    def test_another_kind_of_action_does_not_replace_a_refused_decision(self) -> None:
        answers = AnswerCounter()
        self.refuse(answers, cards=[1])
        self.store(answers, cards=[1], kind=Kind.NOTE)
        assert answers.refused.lost == 1

    def test_a_bulk_action_is_one_action_and_stored_when_all_its_cards_are(self) -> None:
        answers = AnswerCounter()
        self.refuse(answers, cards=[1, 2, 3])
        self.store(answers, cards=[1, 3])
        assert answers.refused.lost == 1
        self.store(answers, cards=[2])
        assert answers.refused == RefusedAnswers(answers=3, lost=0, overtaken=0)

    def test_lines_written_before_do_not_replace_refused_decisions(self) -> None:
        answers = AnswerCounter()
        answers.replaceable = False
        self.refuse(answers, cards=[1])
        self.store(answers, cards=[1])
        assert answers.refused.lost == 1

    def test_conflicts_with_others_are_counted_separately(self) -> None:
        answers = AnswerCounter()
        self.refuse(answers, CardChanged, cards=[1])
        assert answers.refused == RefusedAnswers(answers=1, lost=0, overtaken=1)
        assert answers.refused.clauses == ["1 answer is not stored, since others had changed the card"]

    def test_an_invalid_input_is_not_counted(self) -> None:
        answers = AnswerCounter()
        with pytest.raises(ValueError, match="empty"), answers.counting(cards=[1]):
            raise ValueError("empty")
        assert answers.refused == RefusedAnswers(answers=0, lost=0, overtaken=0)
        assert answers.refused.clauses == []

    def test_the_message(self) -> None:
        clauses = RefusedAnswers(answers=120, lost=114, overtaken=0).clauses
        assert clauses == ["114 of 120 answers were refused and are not stored"]
        assert RefusedAnswers(answers=1, lost=1, overtaken=0).clauses == ["1 of 1 answer was refused and is not stored"]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[WorkspaceFixture]:
    created = build(tmp_path / "ws", [Case(text=f"a man without hat {n}", concept=f"hat {n}") for n in range(8)])
    yield created
    created.store.close()


def plain(workspace: WorkspaceFixture, lines: str, **more: Any) -> subprocess.CompletedProcess[str]:
    words = ["-w", str(workspace.root), "curate", "--plain", "-a", "ana"]
    return subprocess.run(
        [sys.executable, "-c", SHORT_TIMEOUT_PROGRAM, *words],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **more,
    )


class TestPlainMode:
    def drive(self, workspace: WorkspaceFixture, lock_after: int, answers: int) -> subprocess.CompletedProcess[str]:
        """Decide `answers` cards in plain mode; the record stays locked after `lock_after` of them."""
        words = [
            sys.executable,
            "-c",
            SHORT_TIMEOUT_PROGRAM,
            "-w",
            str(workspace.root),
            "curate",
            "--plain",
            "-a",
            "ana",
        ]
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process:
            process.stdin.write("a\n" * lock_after)
            process.stdin.flush()
            for line in process.stdout:
                if line.startswith("DONE"):
                    lock_after -= 1
                if not lock_after and line.startswith("CARD"):
                    break
            with locked_record(workspace.root):
                out, err = process.communicate("a\n" * answers)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def test_refused_decisions_end_with_exit_3_and_are_counted(self, workspace: WorkspaceFixture) -> None:
        done = self.drive(workspace, 2, 5)
        assert done.stdout.count("REFUSED") == 5
        assert done.returncode == 3
        assert "5 of 7 answers were refused and are not stored" in done.stderr
        assert "ll decisions are stored" not in done.stderr
        assert [kind for _, kind, _ in workspace.events()] == ["accept"] * 2

    def test_stored_decisions_are_kept(self, workspace: WorkspaceFixture) -> None:
        done = plain(workspace, "a\nu\nq\n")
        assert done.returncode == 0
        assert "1 accepted, 1 unsure; 1 of 8 done. All decisions are stored." in done.stderr


def curate_command(workspace: WorkspaceFixture) -> list[str]:
    arguments = ["-w", str(workspace.root), "curate", "-a", "ana", "--images", "none"]
    return [sys.executable, "-c", SHORT_TIMEOUT_PROGRAM, *arguments]


class TestScreen:
    def test_a_refused_decision_that_is_repeated_is_stored(self, workspace: WorkspaceFixture) -> None:
        with Terminal(curate_command(workspace)) as terminal:
            terminal.wait_for(b"NEGATED")
            with locked_record(workspace.root):
                terminal.press_until("a", lambda: terminal.shows(b"held by another process"))
            terminal.press_until("a", lambda: len(workspace.events()) == 1)
            terminal.press("q")
            assert terminal.end() == 0
            assert terminal.shows(b"All decisions are stored.")

    def test_refused_decisions_end_with_exit_3_and_are_counted(self, workspace: WorkspaceFixture) -> None:
        with Terminal(curate_command(workspace)) as terminal:
            terminal.wait_for(b"NEGATED")
            with locked_record(workspace.root):
                terminal.press_until("a", lambda: terminal.shows(b"held by another process"))
                terminal.press("q")
                assert terminal.end() == 3
            assert terminal.shows(b"refused and")
            assert not terminal.shows(b"All decisions are stored")
        assert workspace.events() == []
