"""Whether the terminal has a light background: answers to OSC 11, COLORFGBG, and the theme that follows."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.record import Record
from support.terminal_app import CurateTerminal

from curation_db.storage.store import open_store
from workbench.console.terminal_background import is_light, luminance_in
from workbench.tui.themes import resolve_theme
from workbench.workspace.create import create_workspace

LIGHT, DARK = b"48;2;251;249;245", b"48;2;20;23;27"
"""Backgrounds of the themes, as the app writes them."""


@pytest.mark.parametrize(
    ("answer", "luminance"),
    [
        (b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62c", 1.0),
        (b"\x1b]11;rgb:00/00/00\x07", 0.0),
        (b"\x1b]11;rgba:0000/ffff/0000/8000\x1b\\", 0.7152),
        (b"\x1b]11;rgb:f/0/0\x1b\\", 0.2126),
        (b"\x1b[?62c", None),
        (b"\x1b]11;rgb:fffff/0/0", None),
        (b"", None),
    ],
)
def test_the_luminance_of_an_answer(answer: bytes, luminance: float | None) -> None:
    assert luminance_in(answer) == pytest.approx(luminance)


@pytest.mark.parametrize(
    ("luminance", "variable", "expected"),
    [
        (0.9, "15;0", True),
        (0.1, "0;15", False),
        (None, "0;15", True),
        (None, "0;default;7", True),
        (None, "15;0", False),
        (None, "default;default", None),
        (None, "", None),
    ],
)
def test_the_answer_counts_before_the_variable(luminance: float | None, variable: str, expected: bool | None) -> None:
    assert is_light({"COLORFGBG": variable}, lambda: luminance) is expected


def test_a_theme_that_is_set_needs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORFGBG", "0;15")
    assert [resolve_theme(name) for name in ("negwb-dark", "nord", "auto")] == ["negwb-dark", "nord", "negwb-light"]
    monkeypatch.delenv("COLORFGBG")
    assert resolve_theme("auto") == "negwb-dark"


def test_the_screen_is_light_in_a_light_terminal_and_its_answer_is_no_key(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "ws")
    with open_store(workspace.database) as store:
        Record(store).add(2)
    with CurateTerminal(workspace.root, background=b"rgb:ffff/fafa/fafa") as app:
        assert LIGHT in app.output
        assert DARK not in app.output
        app.send("\x1b]11;rgb:aaaa/aaaa/aaaa\x1b\\\x1b[?62;22c")  # a second, late answer
        app.type("u")
        assert app.actions() == ["unsure"]
        app.press("q")
        assert app.end() == 0
