"""Tests that no answer of a terminal becomes a key and that keys always pass, however the input is split over reads."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import constants, events
from textual.app import App
from textual.drivers import linux_driver, web_driver

from workbench.tui.base_app import BaseApp
from workbench.tui.terminal_input import INTRODUCER_SECONDS, SEQUENCE_SECONDS, STRING_SECONDS, InputSplitter
from workbench.tui.terminal_parser import CellSizeReport, PositionReport, TerminalParser

ST = "\x1b\\"
REPLIES = (
    f"\x1bP>|tmux 3.4{ST}",  # the terminal's name
    f"\x1b_Gi=31;OK{ST}",  # the query for Kitty graphics
    f"\x1b_Gi=31;EINVAL:no such picture{ST}",
    "\x1b]11;rgb:0000/0000/0000\x07",
    f"\x1b]10;rgb:ffff/aaaa/0000{ST}",
    f"\x1b]52;c;eHhhYWE={ST}",
    f"\x1bP1$r0 q{ST}",
    f"\x1bP1+r544e=787465726d{ST}",
    f"\x1bPa bell \x07 is data here: aaa{ST}",
    f"\x1b^private xa{ST}",
    f"\x1bXsos xa{ST}",
    "\x90>|XTerm(390)\x9c",
    "\x9d11;rgb:0000/0000/0000\x07",
    "\x9fGi=31;OK\x9c",
    "\x9exa\x9c",
    "\x98xa\x9c",
    "\x9f\x9c",
    "\x1b[?62;4;22c",
    "\x1b[>1;4000;29c",
    "\x1b[6;20;10t",
    "\x1b[4;720;1280t",
    "\x1b[?2026;2$y",
    "\x1b[?1u",
    "\x1b[?997;1n",
    "\x1b[12;40R",
    "\x1b[?12;40R",
    "\x9b12;40R",
)
ODD_KEY_REPORTS = (
    "\x1b[97:65;2u",
    "\x1b[97;1:3u",
    "\x1b[97;1:2u",
    "\x1b[1;1:3A",
    "\x1b[::u",
    "\x1b[;;u",
    "\x1b[97;0u",
    "\x1b[99999999999999999999u",
    "\x1b[1114112u",
    "\x1b[55296u",
    "\x1b[97;99999999999999u",
    "\x1b[97;;1114112u",
    "\x1b[97;;97:55296u",
    "\x1b[97;;97;97u",
    "\x1b[97;2A",
    "\x1b[97~",
    "\x1b[97;5~",
    "\x1b[3;1:3~",
    "\x1b[1u",
    "\x1b[57999u",
    "\x1b[27;5;55555555~",
    "\x1b[9;9;9;9z",
    "\x1b[<1;2;3x",
    "\x1b[<9999999999;1;1M",
    "\x1b[48;99999;99999;0;0t",
    "\x1b[48;0;0;0;0t",
    "\x1b[Mxa!",
    "\x1bOz",
    "\x1bO2z",
    "\x1b[[z",
    "\x1b[" + "1;" * 200 + "a",
)
KEYS = {
    "a": ["a"],
    "X": ["X"],
    " ": ["space"],
    "\r": ["enter"],
    "\x7f": ["backspace"],
    "\x10": ["ctrl+p"],
    "é": ["é"],
    "日": ["日"],
    "\x1b[A": ["up"],
    "\x1b[1;5C": ["ctrl+right"],
    "\x1bOP": ["f1"],
    "\x1b[[A": ["f1"],
    "\x1b[3$": ["shift+delete"],
    "\x1b[6~": ["pagedown"],
    "\x1b[97u": ["a"],
    "\x1b[97;;97u": ["a"],
    "\x1b[97;2;65u": ["A"],
    "\x1b[97;5u": ["ctrl+a"],
    "\x1b[13u": ["enter"],
    "\x1b[27u": ["escape"],
    "\x1b[0;;229u": ["å"],
    "\x1ba": ["alt+a"],
    "\x1bZ": ["alt+shift+z"],
}
"""Complete key sequences and their names."""


def parsed(*reads: str) -> list[str]:
    """Parse the reads; return keys by name, other messages in <>."""
    parser = TerminalParser()
    keys: list[str] = []
    for message in [message for read in reads if read for message in parser.feed(read)]:
        match message:
            case events.Key():
                keys.append(message.key)
            case events.Paste():
                keys.append(f"<paste {message.text}>")
            case _:
                keys.append(f"<{type(message).__name__}>")
    return keys


def keys(*reads: str) -> list[str]:
    """Parse the reads; return only the keys."""
    return [name for name in parsed(*reads) if not name.startswith("<")]


def split(text: str, cuts: list[int]) -> list[str]:
    """Split a text into pieces."""
    at = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(at)]


@pytest.mark.parametrize("reply", REPLIES)
def test_a_terminal_reply_is_no_key_and_the_next_key_passes(reply: str) -> None:
    assert keys(reply) == []
    assert keys(f"{reply}p") == ["p"]
    assert keys(*reply, "p") == ["p"]


@pytest.mark.parametrize("report", ODD_KEY_REPORTS)
def test_an_odd_key_report_is_ignored(report: str) -> None:
    assert keys(report, "p") == ["p"]
    assert keys(*report, "p") == ["p"]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_passes(key: str) -> None:
    assert keys(key) == KEYS[key]
    assert keys(*key) == KEYS[key]


_PARTS = st.sampled_from([*REPLIES, *ODD_KEY_REPORTS, *KEYS])


@given(st.lists(_PARTS, max_size=6), st.lists(st.integers(0, 500), max_size=8))
def test_splitting_the_input_does_not_change_the_keys(parts: list[str], cuts: list[int]) -> None:
    whole = "".join(parts)
    wanted = [name for part in parts for name in (KEYS[part] if part in KEYS else keys(part))]
    assert keys(whole) == wanted
    assert keys(*split(whole, cuts)) == wanted


@given(st.text(alphabet=st.sampled_from("\x1b[]PO_^X\\\x07\x90\x9b\x9c\x9d0123456789;:?<$u~ARMtaxp \r\x18\x7fé")))
def test_no_input_breaks_the_parser(noise: str) -> None:
    reads = split(noise, [3, 7, 11])
    assert parsed(*reads) == parsed(noise)
    splitter = InputSplitter((), escape_seconds=0.1)
    splitter.feed(noise, 10.0)
    splitter.expire(1000.0)
    assert [token.text for token in splitter.feed("a", 1000.0)] == ["a"]


@given(st.sampled_from("P]_^X"), st.text(alphabet=st.characters(exclude_characters="\x1b\x07\x18\x1a\x9c")))
def test_the_content_of_a_control_string_is_no_key(letter: str, content: str) -> None:
    assert keys(f"\x1b{letter}{content}{ST}") == []


@given(st.text())
def test_pasted_text_is_no_key(text: str) -> None:
    pasted = text.replace("\x1b[201~", "")
    assert keys(f"\x1b[200~{pasted}\x1b[201~") == []
    assert keys(*f"\x1b[200~{pasted}\x1b[201~") == []


def test_a_paste_is_one_message() -> None:
    assert parsed("\x1b[200~a\x1b]x\x1b[20", "1 a\x1b[201~p") == ["<paste a\x1b]x\x1b[201 a>", "p"]


@pytest.mark.parametrize("letter", "]P_^X[O")
def test_alt_with_an_introducer_is_a_key_if_nothing_follows(letter: str) -> None:
    splitter = InputSplitter((), escape_seconds=0.1)
    assert splitter.feed(f"\x1b{letter}", 10.0) == []
    assert splitter.expire(10.0 + INTRODUCER_SECONDS * 0.9) == []
    assert [(token.kind, token.text) for token in splitter.expire(10.0 + INTRODUCER_SECONDS)] == [("alt", letter)]
    assert [token.text for token in splitter.feed("a", 20.0)] == ["a"]


def test_escape_is_a_key_if_nothing_follows() -> None:
    splitter = InputSplitter((), escape_seconds=0.1)
    assert splitter.feed("\x1b", 10.0) == []
    assert [token.kind for token in splitter.expire(10.2)] == ["escape"]


@pytest.mark.parametrize("start", ["\x1b]11;rgb", "\x1bP>|tm", "\x90a", "\x1b[97", "\x1b[?62;", "\x1b_G\x1b"])
def test_an_unfinished_sequence_times_out_without_a_key(start: str) -> None:
    splitter = InputSplitter((), escape_seconds=0.1)
    assert splitter.feed(start, 10.0) == []
    assert splitter.expire(10.0 + SEQUENCE_SECONDS) == []
    assert [token.text for token in splitter.feed("a", 20.0)] == ["a"]


def test_an_unterminated_control_string_ends_after_a_limit() -> None:
    splitter = InputSplitter((), escape_seconds=0.1)
    splitter.feed("\x1b]11;rgb", 10.0)
    now = 10.0
    while now < 10.0 + STRING_SECONDS:
        assert splitter.feed("a", now) == []
        now += 1.0
        splitter.expire(now)
    assert [token.text for token in splitter.feed("a", now)] == ["a"]


def test_a_position_report_gives_the_cursor_position() -> None:
    [report] = list(TerminalParser().feed("\x1b[12;40R"))
    assert isinstance(report, PositionReport)
    assert (report.row, report.column) == (12, 40)


def test_a_cell_size_report_gives_width_and_height() -> None:
    (report,) = TerminalParser().feed("\x1b[6;22;11t")
    assert isinstance(report, CellSizeReport)
    assert (report.width, report.height) == (11, 22)


@pytest.mark.parametrize("module", [linux_driver, web_driver])
def test_the_drivers_of_our_apps_read_through_this_parser(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual's drivers create their parser through a name in their module, which the app replaces."""
    name = "WebDriver" if module is web_driver else "LinuxDriver"
    monkeypatch.setattr(constants, "DRIVER", f"{module.__name__}:{name}")  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "XTermParser", object)
    app: App[int] = BaseApp()
    assert issubclass(app.driver_class, getattr(module, name))
    assert module.XTermParser is TerminalParser  # type: ignore[attr-defined]
