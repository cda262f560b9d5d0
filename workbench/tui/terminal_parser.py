"""Textual's parser of terminal input behind `terminal_input`, so that no answer of the terminal becomes a key.

Textual (8.2) splits unknown sequences and reports their letters as keys, and it raises on some key reports. Here it
gets only single characters and checked sequences; everything else is dropped.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from textual import constants, events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._keyboard_protocol import FUNCTIONAL_KEYS
from textual._time import get_time
from textual._xterm_parser import FOCUSIN, FOCUSOUT, XTermParser
from textual.message import Message

from workbench.tui.kitty_store import kitty_store
from workbench.tui.terminal_input import ESC, InputSplitter, InputToken, TokenKind

if TYPE_CHECKING:
    from textual.driver import Driver

_POSITION_REPORT: Final = re.compile(r"\x1b\[([0-9]{1,5});([0-9]{1,5})R")
_CELL_REPORT: Final = re.compile(r"\x1b\[6;([0-9]{1,4});([0-9]{1,4})t")
_KEY_REPORT: Final = re.compile(r"\x1b\[([0-9;:]*)([u~ABCDEFHPQRS])")
_NUMBER: Final = re.compile(r"[0-9]{1,7}")
_OTHERS: Final = (
    re.compile(r"\x1b\[<[0-9]{1,3};-?[0-9]{1,5};-?[0-9]{1,5}[Mm]"),  # mouse
    re.compile(r"\x1b\[\?[0-9]{1,5};[0-4]\$y"),  # a mode that Textual asked for
    re.compile(r"\x1b\[48;[1-9][0-9]{0,2};[1-9][0-9]{0,3};[0-9]{1,5};[0-9]{1,5}t"),  # the window's size
)
_MODIFIERS: Final = range(1, 257)
_PRIVATE_USE: Final = range(0xE000, 0xF900)
"""Kitty's code points of keys without a character; the existing ones are in Textual's table."""
_MODIFY_OTHER_KEYS: Final = ("27", "~")
"""How xterm reports keys with modifiers when asked to (modifyOtherKeys); the third number is the key."""
_ITS_CONTROL_KEYS: Final = frozenset({9, 13, 27, 127})


class PositionReport(Message):
    """The terminal's cursor position: the answer to CSI 6 n."""

    def __init__(self, row: int, column: int) -> None:
        """`row` and `column` count from 1."""
        self.row, self.column = row, column
        super().__init__()


class CellSizeReport(Message):
    """The size of a cell in pixels: the answer to CSI 16 t."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        super().__init__()


class TerminalParser(XTermParser):
    """Parser that turns terminal input into messages."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._splitter = InputSplitter(ANSI_SEQUENCES_KEYS, escape_seconds=constants.ESCAPE_DELAY)

    def feed(self, data: str) -> Iterable[Message]:
        """Yield the messages of this input; the empty string ends the input."""
        if not data:
            yield from super().feed(data)
            return
        for token in self._splitter.feed(data, get_time()):
            yield from self._messages(token)

    def tick(self) -> Iterable[Message]:
        """Yield the messages that are complete because nothing followed in time."""
        for token in self._splitter.expire(get_time()):
            yield from self._messages(token)

    def _messages(self, token: InputToken) -> Iterator[Message]:
        match token.kind:
            case TokenKind.ESCAPE:
                yield events.Key("escape", ESC)
            case TokenKind.PASTE:
                yield events.Paste(token.text.replace("\x00", ""))
            case TokenKind.SEQUENCE if report := _POSITION_REPORT.fullmatch(token.text):
                yield PositionReport(int(report[1]), int(report[2]))
            case TokenKind.SEQUENCE if report := _CELL_REPORT.fullmatch(token.text):
                yield CellSizeReport(int(report[2]), int(report[1]))
            case TokenKind.SEQUENCE if is_known(token.text):
                yield from self._known(token.text)
            case TokenKind.ALT if ESC + token.text in ANSI_SEQUENCES_KEYS:
                yield from self._known(ESC + token.text)
            case TokenKind.ALT:
                yield from self._sequence_to_key_events(token.text, alt=True)
            case TokenKind.CHARACTER:
                yield from self._known(token.text)

    def _known(self, text: str) -> Iterator[Message]:
        """Yield Textual's messages for a complete token."""
        yield from super().feed(text)
        if self._awaiting.timeout is not None:  # it waits for more input, which would take the next key
            self._gen.close()
            self._gen = self.parse(self._tokens.append)
            self._awaiting = next(self._gen)


def is_known(sequence: str) -> bool:
    """Return whether Textual may get this complete sequence: a valid key report, the mouse, focus, a mode."""
    if sequence in (FOCUSIN, FOCUSOUT) or any(known.fullmatch(sequence) for known in _OTHERS):
        return True
    if not constants.DISABLE_KITTY_KEY and (report := _KEY_REPORT.fullmatch(sequence)) and report[1]:
        return _is_sound_key_report(report[1].split(";"), report[2])
    return sequence in ANSI_SEQUENCES_KEYS


def _is_sound_key_report(fields: list[str], end: str) -> bool:
    """Check a key report of Kitty's protocol or an older one: number of the key ; modifiers ; its text.

    Reports of alternate keys and of key releases have colons in the first two fields: they are not valid here.
    """
    number, modifiers, text, *more = [*fields, "", ""]
    if any(more) or not _is_number(number or "1") or not _is_number(modifiers or "1"):
        return False
    if int(modifiers or "1") not in _MODIFIERS:
        return False
    if (number, end) == _MODIFY_OTHER_KEYS:
        return _is_number(text) and (_is_character(int(text)) or int(text) in _ITS_CONTROL_KEYS)
    if text and not all(_is_number(part) and _is_character(int(part)) for part in text.split(":")):
        return False
    key = int(number or "1")
    typed = end == "u" and (_is_character(key) or (key == 0 and text != ""))
    return typed or f"{key}{end}" in FUNCTIONAL_KEYS


def _is_number(field: str) -> bool:
    return _NUMBER.fullmatch(field) is not None


def _is_character(number: int) -> bool:
    """Return whether a key can have this character: no control character, no surrogate, within Unicode."""
    if number < 0x20 or 0x7F <= number < 0xA0 or 0xD800 <= number < 0xE000:
        return False
    return number <= sys.maxunicode and number not in _PRIVATE_USE


def with_own_parser(driver: type[Driver]) -> type[Driver]:
    """Return the driver class, made to read through `TerminalParser`: a driver looks its parser up in its module."""
    module = sys.modules[driver.__module__]
    if hasattr(module, "XTermParser"):
        module.XTermParser = TerminalParser  # type: ignore[attr-defined]
    return driver


def leaving_no_images(driver: type[Driver]) -> type[Driver]:
    """Return the driver class, made to remove the app's images whenever it gives the terminal back.

    That is at the end, after an error and after SIGTERM, too, and while another program runs (ctrl+z, $EDITOR).
    """

    class ImageRemovingDriver(driver):  # type: ignore[misc, valid-type]
        def stop_application_mode(self) -> None:
            kitty_store(self._app).clear()
            super().stop_application_mode()

    return ImageRemovingDriver
