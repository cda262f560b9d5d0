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

# One question that only a terminal with Kitty graphics answers, then one (its attributes) that nearly all
# answer: once the second answer is here, no first will come.
_QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c"
_KITTY_OK = re.compile(rb"\x1b_Gi=31;OK\x1b\\")
_ATTRIBUTES = re.compile(rb"\x1b\[\?([0-9;]*)c")
_SIXEL = b"4"
_PATIENCE = 0.25
_PATIENCE_REMOTE = 0.8
# textual-image waits 0.1 s for each of its answers, and what comes later reaches Textual as key presses.
_PROMPT_ENOUGH = 0.07
_NO_GRAPHICS = {"", "dumb", "linux", "vt100", "vt220"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a terminal said of itself."""

    kitty: bool = False
    """Kitty's graphics protocol."""
    sixel: bool = False
    """DEC's sixels."""
    seconds: float = 0.0
    """How long the answer took."""


def choose_protocol(setting: str) -> str:
    """How pictures are drawn here: kitty, sixel, halfcell or none. Must run before `App.run()`.

    - `none` and `halfcell` are what they say, and the terminal is not asked.
    - No terminal at both ends, one of 0x0 cells, or a plain one (TERM=dumb, linux ...): half cells.
    - `kitty` and `sixel` are taken at the person's word, in tmux too.
    - `auto` in tmux or screen: half cells, because passing graphics through them is off unless configured.
    - `auto` elsewhere asks. Sixel is taken before Kitty: terminals that say both (WezTerm, Konsole) lack the
      Kitty placeholders that textual-image needs. Over SSH sixels are too many bytes a picture, so: Kitty or
      half cells. No answer, or one slower than 70 ms: half cells.
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
    multiplexed = environ.get("TMUX") or environ.get("STY")
    if multiplexed or environ.get("TERM", "").startswith(("tmux", "screen")):
        return "halfcell"
    remote = bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))
    answer = ask_terminal(_PATIENCE_REMOTE if remote else _PATIENCE)
    if answer.seconds > _PROMPT_ENOUGH:
        return "halfcell"
    if answer.sixel:
        return "halfcell" if remote else "sixel"
    return "kitty" if answer.kitty else "halfcell"


def _is_terminal() -> bool:
    if os.environ.get("TERM", "") in _NO_GRAPHICS or sys.__stdin__ is None or sys.__stdout__ is None:
        return False
    if not (sys.__stdin__.isatty() and sys.__stdout__.isatty()):
        return False
    size = os.get_terminal_size(sys.__stdout__.fileno())
    return size.columns > 0 and size.lines > 0  # 0x0 makes textual-image divide by zero


def ask_terminal(patience: float) -> Answer:
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
        said = _read_answer(fd, start + patience)
        seconds = time.monotonic() - start
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)
    attributes = _ATTRIBUTES.search(said)
    sixel = attributes is not None and _SIXEL in attributes[1].split(b";")
    return Answer(kitty=_KITTY_OK.search(said) is not None, sixel=sixel, seconds=seconds)


def _read_answer(fd: int, deadline: float) -> bytes:
    import select  # noqa: PLC0415

    said = b""
    while not _ATTRIBUTES.search(said) and len(said) < 4096:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            break
        piece = os.read(fd, 1024)
        if not piece:
            break
        said += piece
    return said


def _prepare() -> bool:
    """Import textual-image, which asks for the size of a cell; whether it is usable."""
    import termios  # noqa: PLC0415  # not on Windows

    try:
        importlib.import_module("textual_image.widget")
    except Exception:  # among others ZeroDivisionError and UnicodeDecodeError from odd terminals
        return False
    assert sys.__stdin__ is not None
    termios.tcflush(sys.__stdin__.fileno(), termios.TCIFLUSH)  # an answer too late would be taken for keys
    return True


def cell_pixels() -> tuple[int, int]:
    """Width and height of a cell in pixels, or a usual 10x20 where the terminal does not say."""
    try:
        import fcntl  # noqa: PLC0415  # not on Windows
        import struct  # noqa: PLC0415
        import termios  # noqa: PLC0415

        assert sys.__stdout__ is not None
        told = fcntl.ioctl(sys.__stdout__.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        rows, columns, width, height = struct.unpack("HHHH", told)
        return (width // columns or 10, height // rows or 20)
    except (ImportError, OSError, ValueError, AssertionError, ZeroDivisionError):
        return (10, 20)


def picture_box(columns: int, rows: int, protocol: str) -> tuple[int, int]:
    """How many pixels a picture in `columns` x `rows` cells is worth (in half cells: twice what shows)."""
    if protocol in {"kitty", "sixel"}:
        width, height = cell_pixels()
        return max(1, columns * width), max(1, rows * height)
    return max(1, columns * 2), max(1, rows * 4)
