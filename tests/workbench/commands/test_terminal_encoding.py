"""Terminals without UTF-8: screens are refused; plain mode and tables work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.record import Record
from support.terminal import Terminal

from curation_db.storage.store import open_store
from workbench.console.utf8_check import is_utf8, locale_in_words, reads_utf8
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

NEGWB = Path(sys.executable).with_name("negwb")
LOCALE = ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONIOENCODING", "PYTHONUTF8", "TMUX", "STY")
TEXT = "a café without 李"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Workspace with two candidates with non-ASCII texts."""
    created = create_workspace(tmp_path_factory.mktemp("characters") / "ws")
    with open_store(created.database) as store:
        Record(store).add(9)
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE candidate SET text = ? || id", (TEXT,))
    return created


@pytest.fixture(autouse=True)
def no_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LOCALE:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environ", "column", "known"),
    [
        ({"LC_ALL": "de_DE.UTF-8"}, 3, True),  # not asked
        ({"LANG": "C.utf8"}, 3, True),
        ({"LC_ALL": "POSIX", "LANG": "C.UTF-8"}, 3, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, 3, False),  # what Python sets itself
        ({"LANG": "de_DE.ISO-8859-1"}, 3, False),
        ({}, 3, False),
        ({}, 2, True),  # a container without a locale, in a terminal of today
        ({"LC_ALL": "C"}, 2, True),
        ({"LC_ALL": "C"}, None, None),
        ({"LC_ALL": "C", "TMUX": "/tmp/tmux,1,0"}, 2, None),  # tmux reads UTF-8, and writes for the terminal it is in
        ({"LC_ALL": "C", "STY": "1.pts"}, 2, None),
    ],
)
def test_detection_of_the_encoding(environ: Mapping[str, str], column: int | None, known: bool | None) -> None:
    assert reads_utf8(environ, lambda: column) is known


def test_the_deciding_variable_is_reported() -> None:
    assert locale_in_words({"LANG": "C", "LC_ALL": "POSIX"}) == "LC_ALL=POSIX"
    assert locale_in_words({"LANG": "C", "LC_CTYPE": "C.UTF-8"}) == "LANG=C"
    assert locale_in_words({}) == "no locale"


def test_names_of_utf8() -> None:
    # fmt: off
    assert [is_utf8(name) for name in ("utf-8", "UTF8", "U8", "latin-1", "ascii", "nonsense", None)] == [
        True, True, True, False, False, False, False,
    ]
    # fmt: on


@pytest.mark.parametrize("encoding", ["iso8859-1", "ascii"])
def test_output_in_another_encoding_is_refused(workspace: Workspace, encoding: str) -> None:
    with Terminal([NEGWB, "-w", workspace.root, "curate", "-a", "ana"], PYTHONIOENCODING=encoding) as terminal:
        assert terminal.end() == 2
        lines = bytes(terminal.output).decode().splitlines()
    assert len(lines) == 2
    assert "UTF-8" in lines[0]
    assert lines[0].endswith(f"output is in {encoding}")
    assert "negwb curate --plain" in lines[1]


class _Answering(Terminal):
    """A terminal that answers the cursor position request of the encoding check."""

    column = 0

    def _show(self, count: int) -> None:
        asked = self.output.count(b"\xc3\xa9\x1b[6n")
        super()._show(count)
        if self.output.count(b"\xc3\xa9\x1b[6n") > asked:
            self.send(f"\x1b[7;{self.column}R")


class _Latin(_Answering):
    column = 3


class _Utf8(_Answering):
    column = 2


@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "POSIX"}, *(pytest.param(each, marks=pytest.mark.long) for each in ({"LANG": "C"}, {}))],
)
def test_a_terminal_without_utf8_is_refused(workspace: Workspace, locale: dict[str, str]) -> None:
    with _Latin([NEGWB, "-w", workspace.root, "curate", "-a", "ana"], **locale) as terminal:
        assert terminal.end() == 2
        assert terminal.shows(b"this terminal does not read")
        assert terminal.shows(b"negwb curate --plain")


def test_a_utf8_terminal_is_used_with_any_locale(workspace: Workspace) -> None:
    with _Utf8([NEGWB, "-w", workspace.root, "curate", "-a", "ana"], LC_ALL="POSIX") as terminal:
        terminal.wait_for(b"NEGATED")
        terminal.press("q")
        assert terminal.end() == 0
        assert not terminal.shows(b"--plain")


def test_a_terminal_without_an_answer_is_used_with_a_notice(workspace: Workspace) -> None:
    with Terminal([NEGWB, "-w", workspace.root, "curate", "-a", "ana"], LC_ALL="POSIX") as terminal:
        terminal.wait_for(b"LC_ALL=POSIX does not name UTF-8")
        terminal.wait_for(b"curate --plain")
        terminal.wait_for(b"NEGATED")
        terminal.press("q")
        assert terminal.end() == 0


@pytest.mark.parametrize(
    ("environ", "encoding", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "ascii", "a caf? without ?"),
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1", "a café without ?"),
        ({"LC_ALL": "POSIX"}, "utf-8", "a café without 李"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii", "a caf? without ?"),
    ],
)
def test_plain_mode_works_in_every_encoding(
    workspace: Workspace, environ: dict[str, str], encoding: str, shown: str
) -> None:
    done = subprocess.run(
        [NEGWB, "-w", workspace.root, "curate", "--plain", "-a", "ben"],
        input=b"q\n",
        capture_output=True,
        env={**os.environ, **environ},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.decode(encoding).splitlines() if line.startswith("NEGATED")]
    assert line.removeprefix("NEGATED ")[:-1] == shown


@pytest.mark.parametrize(
    "words",
    [("browse", "--limit", "2"), *(pytest.param((name,), marks=pytest.mark.long) for name in ("status", "lint"))],
)
def test_no_command_fails_on_a_character_outside_the_encoding(workspace: Workspace, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [NEGWB, "-w", workspace.root, *words],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
