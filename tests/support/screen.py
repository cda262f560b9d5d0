"""A minimal terminal emulator: the cells of the screen, from the bytes that a full-screen app writes."""

from __future__ import annotations

import codecs
import re

from rich.cells import cell_len

Style = tuple[str, ...]
"""Attributes, foreground and background, as parameters of SGR; empty: the default style."""

_PIECE = re.compile(
    r"\x1b\[(?P<arguments>[0-?]*)[ -/]*(?P<final>[@-~])"  # cursor movement, erasing, colours
    r"|\x1b\](?P<command>[^\x07\x1b]*)(?:\x07|\x1b\\)"  # titles, links
    r"|\x1b[P_^X](?:[^\x1b]|\x1b[^\\])*\x1b\\"  # graphics
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # modes of one letter
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
)


class ScreenReader:
    """A grid of cells; accepts bytes in pieces of any length."""

    def __init__(self, columns: int, rows: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size; the program repaints the screen."""
        self.columns, self.rows = columns, rows
        self._clear()

    @property
    def text(self) -> str:
        """The lines, without trailing blanks."""
        return "\n".join("".join(letter for letter, _ in line).rstrip() for line in self._lines)

    @property
    def cells(self) -> list[list[tuple[str, Style]]]:
        """The characters with their styles; the second cell of a wide character is empty."""
        return [list(line) for line in self._lines]

    def feed(self, data: bytes) -> None:
        """Process the next bytes of the program."""
        written = self._rest + self._decoder.decode(data)
        at = 0
        while at < len(written) and (piece := _PIECE.match(written, at)):
            at = piece.end()
            if (final := piece["final"]) is not None:
                self._move(piece["arguments"], final)
            elif (command := piece["command"]) is not None:
                self._link = command.partition(";")[2] if command.startswith("8;") else self._link
            elif (control := piece["control"]) is not None:
                self._control(control)
            elif (text := piece["text"]) is not None:
                self._write(text)
        self._rest = written[at:]  # an incomplete sequence

    def _clear(self) -> None:
        blank: tuple[str, Style] = (" ", ())
        self._lines = [[blank] * self.columns for _ in range(self.rows)]
        self._x = self._y = 0
        self._attributes: set[str] = set()
        self._colours = {"3": "", "4": ""}
        self._link = ";"

    def _move(self, arguments: str, final: str) -> None:
        numbers = [int(part) if part.isdigit() else 0 for part in arguments.split(";")]
        first = max(1, numbers[0])
        if final in "Hf":
            self._y, self._x = first - 1, max(1, numbers[1] if len(numbers) > 1 else 1) - 1
        elif final in "ABCD":
            down, right = {"A": (-1, 0), "B": (1, 0), "C": (0, 1), "D": (0, -1)}[final]
            self._y, self._x = max(0, self._y + down * first), max(0, self._x + right * first)
        elif final == "J" or (final == "h" and arguments == "?1049"):
            self._clear()
        elif final == "K" and self._y < self.rows:
            self._lines[self._y][self._x :] = [(" ", ())] * max(0, self.columns - self._x)
        elif final == "m":
            self._style(arguments)

    def _style(self, arguments: str) -> None:
        parameters = arguments.split(";")
        while parameters:
            first = parameters.pop(0)
            if first in ("", "0"):
                self._attributes, self._colours = set(), {"3": "", "4": ""}
            elif first in ("38", "48"):
                count = 4 if parameters[0] == "2" else 2
                self._colours[first[0]], parameters = ";".join([first, *parameters[:count]]), parameters[count:]
            elif first in ("39", "49"):
                self._colours[first[0]] = ""
            elif first[0] in "34" and len(first) == 2:
                self._colours[first[0]] = first
            else:
                self._attributes.add(first)

    def _control(self, control: str) -> None:
        if control == "\r":
            self._x = 0
        elif control == "\n":
            self._y += 1

    def _write(self, text: str) -> None:
        for letter in text:
            width = cell_len(letter)
            if not width:
                self._combine(letter)
            elif self._y < self.rows and width <= self.columns - self._x:
                self._put(letter, width)
            self._x += width

    def _combine(self, letter: str) -> None:
        at = self._x - 1
        while at > 0 and not self._lines[self._y][at][0]:
            at -= 1
        before, style = self._lines[self._y][at]
        self._lines[self._y][at] = (before + letter, style)

    def _put(self, letter: str, width: int) -> None:
        """Write a character; the halves of wide characters that it cuts become blank."""
        line = self._lines[self._y]
        style = (*sorted(self._attributes), *filter(None, self._colours.values()), self._link.rstrip(";"))
        end = self._x + width
        if not line[self._x][0] and self._x:
            line[self._x - 1] = (" ", line[self._x - 1][1])
        if end < self.columns and not line[end][0]:
            line[end] = (" ", line[end][1])
        line[self._x : end] = [(letter, tuple(filter(None, style))), *[("", tuple(filter(None, style)))] * (width - 1)]
