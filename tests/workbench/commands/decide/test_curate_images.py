"""Images in the terminal's own graphics: what `negwb curate` sends to a pseudo-terminal."""

from __future__ import annotations

import base64
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageFilter
from support.sixels import SIXELS, decoded, psnr
from support.terminal import Terminal
from support.workspaces import Case, build

from workbench.images.kitty import FILE_PREFIX

pytestmark = pytest.mark.long
KITTY = re.compile(rb"\x1b_Ga=(.),(?:d=I,)?i=(\d+)[^;\x1b]*;?([A-Za-z0-9+/=]*)")
QUIET_SECONDS = 1.0
"""Longer than an image takes from one sequence to the next."""
BLINKING = 300
"""More bytes than a blinking cursor takes in this time."""


class GraphicTerminal(Terminal):
    """A terminal with images; its cells have 10 x 20 pixels."""

    def __init__(self, root: Path, protocol: str, *, answer: str) -> None:
        negwb = Path(sys.executable).with_name("negwb")
        command = [negwb, "-w", root, "curate", "-a", "ana", "--order", "oldest", "--images", protocol]
        super().__init__(command, cell=(10, 20), TMUX="", STY="", SSH_CONNECTION="", SSH_TTY="")
        self.wait_for(b"\x1b[16t")
        self.send(answer)
        self.wait_for(b"NEGATED")
        self._read_to = 0

    def after(self, keys: str, text: bytes) -> bytes:
        """Press keys; return what was sent from then on until `text` was there and nothing more came."""
        self._read_to = len(self.output)
        self.press(keys)
        self.wait_for(lambda: text in self.output[self._read_to :])
        return self.rest()

    def rest(self) -> bytes:
        """Return what was sent since the last key, once no more comes than a blinking cursor."""
        length = -BLINKING
        while len(self.output) - length >= BLINKING:
            length = len(self.output)
            time.sleep(QUIET_SECONDS)
        return bytes(self.output[self._read_to :])


def workspace(root: Path) -> Path:
    built = build(root, [Case(), Case(), Case(text="a rider without a hat")])
    built.store.close()
    y_gradient = Image.linear_gradient("L").resize((640, 427))
    for number, turned in enumerate((0, 90, 180), 1):
        shades = [y_gradient, y_gradient.rotate(turned), y_gradient.transpose(Image.Transpose.FLIP_TOP_BOTTOM)]
        Image.merge("RGB", shades).save(built.root / "pictures" / f"{number:03}.png")
    return built.root


def test_sixels_are_sent_once_per_image_and_fit_the_font(tmp_path: Path) -> None:
    root = workspace(tmp_path / "ws")
    with GraphicTerminal(root, "sixel", answer="\x1b[?62;4c") as app:
        (first,) = SIXELS.finditer(app.rest())
        shown = decoded(first[0].decode())
        wanted = Image.open(root / "pictures" / "001.png").resize(shown.size, Image.Resampling.LANCZOS)
        assert shown.size == (530, 360)
        assert psnr(shown, wanted) > 30
        assert psnr(*(each.filter(ImageFilter.GaussianBlur(2)) for each in (shown, wanted))) > 36
        flagged = app.after("f", "⚑".encode())
        assert len(SIXELS.findall(flagged)) == 0
        assert len(flagged) < 1_000
        assert len(SIXELS.findall(app.after("n", b"note"))) == 0  # half cells behind the dialog
        assert len(SIXELS.findall(app.after("\x1b", b"\x1bP"))) == 1
        accepted = app.after("a", b"accepted")
        (second,) = SIXELS.findall(accepted)
        assert len(accepted) - len(second) < 20_000
        assert "▀".encode() not in accepted  # it was encoded ahead
        app._read_to = len(app.output)
        app.resize(120, 36, (8, 16))
        app.wait_for(lambda: len(SIXELS.findall(app.output[app._read_to :])) == 1)
        (smaller,) = SIXELS.finditer(app.rest())
        assert decoded(smaller[0].decode()).size == (53 * 8, 18 * 16)
        app.press("q")
        assert app.end() == 0


def test_kitty_reads_files_stores_each_image_once_and_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with GraphicTerminal(
        workspace(tmp_path / "ws"), "kitty", answer="\x1b_Gi=32;OK\x1b\\\x1b_Gi=31;OK\x1b\\\x1b[?62c"
    ) as app:
        first = KITTY.findall(app.rest())
        assert [action for action, _, _ in first] == [b"t", b"p"]
        path = Path(base64.b64decode(first[0][2]).decode())
        assert path.parent == temporary
        assert path.name.startswith(FILE_PREFIX)
        assert len(path.read_bytes()) == 640 * 427 * 3
        path.unlink()  # as the terminal does
        assert KITTY.findall(app.after("n", b"note")) == []
        assert KITTY.findall(app.after("\x1b", "\U0010eeee".encode())) == []  # stored, only its cells are drawn
        accepted = app.after("a", b"accepted")
        assert [action for action, _, _ in KITTY.findall(accepted)] == [b"t", b"p"]
        assert len(accepted) < 20_000
        app._read_to = len(app.output)
        app.kill(signal.SIGTERM)
        removed = [number for action, number, _ in KITTY.findall(app.output[app._read_to :]) if action == b"d"]
    assert len(removed) == 2
    assert list(temporary.iterdir()) == []


def test_kitty_on_another_machine_gets_the_pixels_in_the_output(tmp_path: Path) -> None:
    with GraphicTerminal(workspace(tmp_path / "ws"), "kitty", answer="\x1b_Gi=31;OK\x1b\\\x1b[?62c") as app:
        sent = app.rest()
        assert b"f=100" in sent
        assert b"t=t,f=24;" in sent  # only the question
        assert len(re.findall(rb"\x1b_Ga=t,", sent)) == 1
        app.press("q")
        assert app.end() == 0
