"""A minimal terminal emulator: the text on the screen, from the bytes that a full-screen app writes."""

from __future__ import annotations

import codecs
import re

from rich.cells import cell_len

_PIECE = re.compile(
    r"\x1b\[(?P<arguments>[0-?]*)[ -/]*(?P<final>[@-~])"  # cursor movement, erasing, colours
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles
    r"|\x1b[P_^X](?:[^\x1b]|\x1b[^\\])*\x1b\\"  # graphics
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # modes of one letter
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
)


class ScreenReader:
    """A grid of characters without colours; accepts bytes in pieces of any length."""

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
        return "\n".join("".join(line).rstrip() for line in self._lines)

    def feed(self, data: bytes) -> None:
        """Process the next bytes of the program."""
        written = self._rest + self._decoder.decode(data)
        at = 0
        while at < len(written) and (piece := _PIECE.match(written, at)):
            at = piece.end()
            if (final := piece["final"]) is not None:
                self._move(piece["arguments"], final)
            elif (control := piece["control"]) is not None:
                self._control(control)
            elif (text := piece["text"]) is not None:
                self._write(text)
        self._rest = written[at:]  # an incomplete sequence

    def _clear(self) -> None:
        self._lines = [[" "] * self.columns for _ in range(self.rows)]
        self._x = self._y = 0

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
            self._lines[self._y][self._x :] = [" "] * max(0, self.columns - self._x)

    def _control(self, control: str) -> None:
        if control == "\r":
            self._x = 0
        elif control == "\n":
            self._y += 1

    def _write(self, text: str) -> None:
        for letter in text:
            width = cell_len(letter)
            if self._y < self.rows and 0 < width <= self.columns - self._x:
                self._lines[self._y][self._x : self._x + width] = [letter, *[""] * (width - 1)]
            self._x += width
