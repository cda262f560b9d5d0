"""Detection of the graphics protocol of the terminal, before the app starts: later Textual reads all answers.

After any error, or without a fast answer, images are drawn in half cells.
"""

from __future__ import annotations

import base64
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass

from workbench.console.terminal_env import detect_terminal
from workbench.console.terminal_query import read_answer, unbuffered_input
from workbench.images.kitty import FILE_PREFIX
from workbench.images.viewport import Canvas

# A query that only terminals with Kitty graphics answer, one for the size of a cell, and last the query of the device
# attributes, which nearly all terminals answer: no other answer comes after it.
_QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"
_KITTY_OK = re.compile(rb"\x1b_Gi=31;OK\x1b\\")
_FILE_QUESTION = "\x1b_Gi=32,s=1,v=1,a=q,t=t,f=24;{path}\x1b\\"
"""A terminal that has Kitty graphics, and reads files of this machine, answers that it could read this one."""
_FILE_OK = re.compile(rb"\x1b_Gi=32;OK\x1b\\")
_CELL_QUESTION = "\x1b[16t"
_ATTRIBUTES = re.compile(rb"\x1b\[\?([0-9;]*)c")
_CELL = re.compile(rb"\x1b\[6;([0-9]{1,4});([0-9]{1,4})t")
_SIXEL = b"4"
_PATIENCE = 0.25
_MAX_ANSWER_S = 0.07
"""A terminal that answers later is far away, or busy."""
USUAL_CELL = (10, 20)
_answered: dict[str, tuple[int, int]] = {}
"""The cell size that the terminal answered last."""
_reads_files = False
_NO_GRAPHICS = {"", "dumb", "linux", "vt100", "vt220"}


@dataclass(frozen=True, slots=True)
class TerminalAnswer:
    kitty: bool = False
    """Kitty's graphics protocol."""
    files: bool = False
    """The terminal reads Kitty's images from files: it runs on this machine."""
    sixel: bool = False
    cell: tuple[int, int] | None = None
    """Width and height of a cell in pixels."""
    seconds: float = 0.0
    """Duration of the answer."""


def choose_protocol(setting: str) -> str:
    """Return how images are drawn: kitty, sixel, halfcell or none. Must run before `App.run()`.

    - `none` and `halfcell`: as set, without a query.
    - stdin or stdout is no terminal, or it has 0x0 cells or no graphics (TERM=dumb, linux ...): half cells.
    - `kitty` and `sixel`: as set, in tmux too; the terminal is queried for the size of its cells and for files.
    - `auto` over SSH or in screen: half cells, which need a tenth of the bytes.
    - `auto` in tmux: Kitty if tmux passes it on to a terminal with Kitty's placeholders; else half cells.
    - `auto` elsewhere: query the terminal. Sixel is preferred to Kitty, since terminals with both (WezTerm, Konsole)
      lack Kitty's placeholders. Without an answer within 70 ms: half cells.
    """
    if setting in {"none", "halfcell"}:
        return setting
    try:
        if not _is_terminal():
            return "halfcell"
        if setting == "auto":
            return detect(os.environ)
        if not detect_terminal(os.environ).multiplexer:
            _remember(ask_terminal(_PATIENCE))
        return setting
    except Exception:  # termios.error, a closed stream, Windows
        return "halfcell"


def detect(environ: os._Environ[str] | dict[str, str]) -> str:
    """Return the protocol of `auto` in this environment."""
    terminal = detect_terminal(environ)
    if terminal.remote or terminal.multiplexer:
        passes_kitty = terminal.passthrough and terminal.draws and not terminal.remote
        return "kitty" if passes_kitty else "halfcell"
    answer = ask_terminal(_PATIENCE)
    _remember(answer)
    if answer.seconds > _MAX_ANSWER_S:
        return "halfcell"
    if answer.sixel:
        return "sixel"
    return "kitty" if answer.kitty else "halfcell"


def _is_terminal() -> bool:
    if os.environ.get("TERM", "") in _NO_GRAPHICS or sys.__stdin__ is None or sys.__stdout__ is None:
        return False
    if not (sys.__stdin__.isatty() and sys.__stdout__.isatty()):
        return False
    size = os.get_terminal_size(sys.__stdout__.fileno())
    return size.columns > 0 and size.lines > 0


def ask_terminal(patience: float) -> TerminalAnswer:
    """Query the terminal and wait at most `patience` seconds for the answer. Keys pressed meanwhile are lost."""
    assert sys.__stdout__ is not None
    with unbuffered_input() as fd, tempfile.NamedTemporaryFile(prefix=FILE_PREFIX) as pixel:
        pixel.write(b"\0\0\0")
        pixel.flush()
        start = time.monotonic()
        path = base64.b64encode(os.fsencode(pixel.name)).decode("ascii")
        sys.__stdout__.write(_FILE_QUESTION.format(path=path) + _QUESTION)
        sys.__stdout__.flush()
        reply = read_answer(fd, _ATTRIBUTES, start + patience)
        seconds = time.monotonic() - start
    attributes = _ATTRIBUTES.search(reply)
    sixel = attributes is not None and _SIXEL in attributes[1].split(b";")
    match = _CELL.search(reply)
    cell = (int(match[2]), int(match[1])) if match else None
    kitty, files = (pattern.search(reply) is not None for pattern in (_KITTY_OK, _FILE_OK))
    return TerminalAnswer(kitty=kitty, files=files, sixel=sixel, cell=cell, seconds=seconds)


def _remember(answer: TerminalAnswer) -> None:
    global _reads_files  # noqa: PLW0603  # of the one terminal of this process
    _reads_files = answer.files and not detect_terminal(os.environ).remote
    remember_cell(answer.cell)


def reads_files() -> bool:
    """Return whether the terminal reads Kitty's images from files."""
    return _reads_files


def cell_pixels() -> tuple[int, int]:
    """Return (width, height) of a cell in pixels: by the window size, the answer of the terminal, or 10 x 20."""
    return _sane(_from_window()) or _sane(_answered.get("cell")) or USUAL_CELL


def remember_cell(cell: tuple[int, int] | None) -> None:
    """Store the cell size that the terminal answered, for terminals whose window size has no pixels."""
    if cell is not None:
        _answered["cell"] = cell


def cell_question() -> str:
    """Return what to write to a terminal for the size of its cells, after its font may have changed.

    "": the size of its window has it, or it did not answer before.
    """
    return "" if _sane(_from_window()) or "cell" not in _answered else _CELL_QUESTION


def _sane(cell: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return None for an impossible cell size: some terminals report one pixel, or the size of the screen."""
    if cell is None:
        return None
    width, height = cell
    return cell if 3 <= width <= 200 and 1 <= height / width <= 4 else None


def _from_window() -> tuple[int, int] | None:
    try:
        import fcntl  # noqa: PLC0415  # not on Windows
        import struct  # noqa: PLC0415
        import termios  # noqa: PLC0415

        assert sys.__stdout__ is not None
        window = fcntl.ioctl(sys.__stdout__.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        rows, columns, width, height = struct.unpack("HHHH", window)
        return width // columns, height // rows
    except (ImportError, OSError, ValueError, AssertionError, ZeroDivisionError):
        return None


def canvas(columns: int, rows: int, protocol: str) -> Canvas:
    """Return a canvas of so many cells with the dots of `protocol`."""
    return Canvas(columns, rows, dots_of_cell(protocol), cell_pixels())


def dots_of_cell(protocol: str) -> tuple[int, int]:
    """Return how many dots a cell has with `protocol`, across and down."""
    return cell_pixels() if protocol in {"kitty", "sixel"} else (1, 2)


def picture_box(columns: int, rows: int, protocol: str) -> tuple[int, int]:
    """Return the size in pixels to which an image for so many cells is decoded (in half cells: twice the dots)."""
    if protocol in {"kitty", "sixel"}:
        width, height = cell_pixels()
        return max(1, columns * width), max(1, rows * height)
    return max(1, columns * 2), max(1, rows * 4)
