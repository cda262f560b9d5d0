"""What the terminal can draw, asked once before the app starts: Textual reads every answer after that.

Nothing here may fail or wait long: whatever goes wrong, pictures are drawn in half cells. textual-image asks
the terminal again when it is imported (137 ms and up to 0.3 s), so it is imported only where it will be used.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
from dataclasses import dataclass

from workbench.console.terminal_env import detect_terminal
from workbench.console.terminal_query import read_answer
from workbench.images.viewport import Canvas

# One question that only a terminal with Kitty graphics answers, one for the size of a cell, then one (its attributes)
# that nearly all answer: once that is here, no other will come.
_QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"
_KITTY_OK = re.compile(rb"\x1b_Gi=31;OK\x1b\\")
_ATTRIBUTES = re.compile(rb"\x1b\[\?([0-9;]*)c")
_CELL = re.compile(rb"\x1b\[6;([0-9]{1,4});([0-9]{1,4})t")
_SIXEL = b"4"
_PATIENCE = 0.25
# textual-image waits 0.1 s for each of its answers, and what comes later reaches Textual as key presses.
_PROMPT_ENOUGH = 0.07
USUAL_CELL = (10, 20)
_answered: dict[str, tuple[int, int]] = {}
"""What the terminal said when it was asked: there is one, and it can be asked only before the app runs."""
_NO_GRAPHICS = {"", "dumb", "linux", "vt100", "vt220"}


@dataclass(frozen=True, slots=True)
class TerminalAnswer:
    """What a terminal said of itself."""

    kitty: bool = False
    """Kitty's graphics protocol."""
    sixel: bool = False
    """DEC's sixels."""
    cell: tuple[int, int] | None = None
    """Width and height of a cell in pixels."""
    seconds: float = 0.0
    """How long the answer took."""


def choose_protocol(setting: str) -> str:
    """How pictures are drawn here: kitty, sixel, halfcell or none. Must run before `App.run()`.

    - `none` and `halfcell` are what they say, and the terminal is not asked.
    - No terminal at both ends, one of 0x0 cells, or a plain one (TERM=dumb, linux ...): half cells.
    - `kitty` and `sixel` are taken at the person's word, in tmux too.
    - `auto` over SSH or in screen: half cells, a tenth of the bytes, and always there.
    - `auto` in tmux: Kitty where tmux lets it through to a terminal known to draw it; else half cells.
    - `auto` elsewhere asks. Sixel is taken before Kitty: terminals that say both (WezTerm, Konsole) lack the
      Kitty placeholders that textual-image needs. No answer, or one slower than 70 ms: half cells.
    """
    if setting in {"none", "halfcell"}:
        return setting
    try:
        wanted = "halfcell" if not _is_terminal() else detect(os.environ) if setting == "auto" else setting
        return wanted if wanted in {"kitty", "sixel"} and _prepare() else "halfcell"
    except Exception:  # termios.error, a closed stream, Windows: a picture in half cells beats no app
        return "halfcell"


def detect(environ: os._Environ[str] | dict[str, str]) -> str:
    """What `auto` means in this environment."""
    around = detect_terminal(environ)
    if around.remote or around.multiplexer:
        through = around.passthrough and around.draws and not around.remote
        return "kitty" if through else "halfcell"
    answer = ask_terminal(_PATIENCE)
    remember_cell(answer.cell)
    if answer.seconds > _PROMPT_ENOUGH:
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
    return size.columns > 0 and size.lines > 0  # 0x0 makes textual-image divide by zero


def ask_terminal(patience: float) -> TerminalAnswer:
    """Ask, and wait for the answer at most `patience` seconds. Keys pressed meanwhile are lost."""
    import termios  # noqa: PLC0415  # not on Windows
    import tty  # noqa: PLC0415

    assert sys.__stdin__ is not None
    assert sys.__stdout__ is not None
    fd = sys.__stdin__.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd, termios.TCSANOW)
    try:
        start = time.monotonic()
        sys.__stdout__.write(_QUESTION)
        sys.__stdout__.flush()
        said = read_answer(fd, _ATTRIBUTES, start + patience)
        seconds = time.monotonic() - start
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)
    attributes = _ATTRIBUTES.search(said)
    sixel = attributes is not None and _SIXEL in attributes[1].split(b";")
    told = _CELL.search(said)
    cell = (int(told[2]), int(told[1])) if told else None
    return TerminalAnswer(kitty=_KITTY_OK.search(said) is not None, sixel=sixel, cell=cell, seconds=seconds)


def _prepare() -> bool:
    """Import textual-image, which asks for the size of a cell; whether it is usable."""
    import termios  # noqa: PLC0415  # not on Windows

    try:
        importlib.import_module("textual_image.widget")
    except Exception:  # among others ZeroDivisionError and UnicodeDecodeError from odd terminals
        return False
    if os.environ.get("TMUX"):
        _speak_through_tmux()
    assert sys.__stdin__ is not None
    termios.tcflush(sys.__stdin__.fileno(), termios.TCIFLUSH)  # an answer too late would be taken for keys
    return True


def _speak_through_tmux() -> None:
    """Wrap what textual-image sends to the terminal, which tmux would keep to itself.

    Only the frames of its messages hold escapes, so wrapping them is wrapping all of it.
    """
    messages = importlib.import_module("textual_image.renderable.tgp")
    messages._TGP_MESSAGE_START = "\x1bPtmux;\x1b\x1b_G"  # type: ignore[attr-defined]
    messages._TGP_MESSAGE_END = "\x1b\x1b\\\x1b\\"  # type: ignore[attr-defined]


def cell_pixels() -> tuple[int, int]:
    """Width and height of a cell in pixels, as the terminal says now, or said when it was asked; else a usual one."""
    return _sane(_from_window()) or _sane(_answered.get("cell")) or USUAL_CELL


def remember_cell(cell: tuple[int, int] | None) -> None:
    """What a terminal answered that does not say with its size how many pixels it has."""
    if cell is not None:
        _answered["cell"] = cell


def _sane(cell: tuple[int, int] | None) -> tuple[int, int] | None:
    """None for what no font looks like: some terminals tell one pixel a cell, or the screen's size."""
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
        told = fcntl.ioctl(sys.__stdout__.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        rows, columns, width, height = struct.unpack("HHHH", told)
        return width // columns, height // rows
    except (ImportError, OSError, ValueError, AssertionError, ZeroDivisionError):
        return None


def canvas(columns: int, rows: int, protocol: str) -> Canvas:
    """So many cells to draw on, with the dots that `protocol` draws with."""
    cell = cell_pixels()
    return Canvas(columns, rows, cell if protocol in {"kitty", "sixel"} else (1, 2), cell)


def picture_box(columns: int, rows: int, protocol: str) -> tuple[int, int]:
    """How many pixels a picture in `columns` x `rows` cells is worth (in half cells: twice what shows)."""
    if protocol in {"kitty", "sixel"}:
        width, height = cell_pixels()
        return max(1, columns * width), max(1, rows * height)
    return max(1, columns * 2), max(1, rows * 4)
