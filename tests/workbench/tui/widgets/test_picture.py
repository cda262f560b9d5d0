"""Tests of the image pane, cell by cell, and of the choice of protocol."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from rich._palettes import STANDARD_PALETTE
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from support.sixels import decoded
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.strip import Strip
from textual.widgets import Static
from textual.worker import WorkerCancelled

from curation_db.enums import PictureShown
from tests.support.curating import LONGEST_WAIT_S
from workbench.images import terminal_graphics
from workbench.images.decode import Thumbnail
from workbench.images.terminal_graphics import TerminalAnswer, choose_protocol, picture_box
from workbench.tui.frame_diff import GRAPHIC
from workbench.tui.widgets import picture
from workbench.tui.widgets.picture import Encoded, PicturePane, half_cells

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
HOSTILE = "\x1b]0;owned\x07[red]not a dog[/][/x][@click=app.quit]\u202e.png"


def four_colours(width: int = 80, height: int = 80) -> Image.Image:
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(WHITE, (width // 2, height // 2, width, height))
    return image


def thumbnail(image: Image.Image | None = None, problem: str | None = None) -> Thumbnail:
    return Thumbnail(image, problem, image.size if image else None)


class PaneApp(App[None]):
    """A pane of 40x10 cells with text beside it."""

    CSS = "Horizontal { height: 10 } PicturePane { width: 40; height: 10; }"

    def __init__(self, protocol: str = "halfcell") -> None:
        super().__init__()
        self.pane = PicturePane(protocol)

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self.pane
            yield Static("beside")


def lines(pane: PicturePane) -> list[Strip]:
    return pane.render_lines(pane.size.region)


def cell(pane: PicturePane, x: int, y: int) -> Segment:
    """Return the cell at (x, y)."""
    (segment,) = lines(pane)[y].crop(x, x + 1)
    return segment


def colours(pane: PicturePane, x: int, y: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the upper and the lower pixel of a cell."""
    style = cell(pane, x, y).style
    assert style is not None
    assert style.color is not None
    assert style.bgcolor is not None
    return tuple(style.color.get_truecolor()), tuple(style.bgcolor.get_truecolor())


def extent(pane: PicturePane) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the cells that are not background."""
    background = tuple(pane.background_colors[1].rgb)
    picked = [
        (x, y)
        for y in range(pane.size.height)
        for x in range(pane.size.width)
        if (style := cell(pane, x, y).style) is not None
        and style.bgcolor is not None
        and tuple(style.bgcolor.get_truecolor()) != background
    ]
    columns, rows = [x for x, _ in picked], [y for _, y in picked]
    return min(columns), min(rows), max(columns) + 1, max(rows) + 1


def text(pane: PicturePane) -> str:
    return " ".join("".join(segment.text for segment in strip).strip() for strip in lines(pane)).strip()


def written(app: App[None]) -> str:
    """Return the bytes that a full repaint sends to the terminal."""
    update = app.screen._compositor.render_update(full=True)
    assert update is not None
    return str(update.render_segments(app.console))


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < deadline:
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


class TestHalfCells:
    def test_a_cell_shows_two_pixels(self) -> None:
        image = Image.new("RGB", (2, 4), RED)
        image.putpixel((1, 0), GREEN)
        image.putpixel((0, 3), BLUE)
        first, second = half_cells(image, 2, 2)
        assert [s.text for s in first] == [" ", "▀"]
        assert [s.text for s in second] == ["▀", " "]
        assert first.cell_length == second.cell_length == 2

    def test_equal_cells_are_one_segment(self) -> None:
        assert [len(list(strip)) for strip in half_cells(four_colours(), 40, 20)] == [2] * 20

    async def test_known_colours_at_known_cells(self) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)):
            app.pane.show(thumbnail(four_colours()))
            assert extent(app.pane) == (10, 0, 30, 10)
            assert colours(app.pane, 11, 1) == (RED, RED)
            assert colours(app.pane, 28, 1) == (GREEN, GREEN)
            assert colours(app.pane, 11, 8) == (BLUE, BLUE)
            assert colours(app.pane, 28, 8) == (WHITE, WHITE)

    @pytest.mark.parametrize(
        ("size", "wanted"),
        [((800, 160), (0, 3, 40, 7)), ((100, 800), (19, 0, 21, 10)), ((1, 5000), (19, 0, 20, 10)), ((1, 1), None)],
    )
    async def test_the_aspect_ratio_is_kept(self, size: tuple[int, int], wanted: tuple[int, ...] | None) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)):
            app.pane.show(thumbnail(Image.new("RGB", size, RED)))
            assert extent(app.pane) == (wanted or (10, 0, 30, 10))

    async def test_another_size_is_drawn_again(self) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)) as pilot:
            app.pane.show(thumbnail(four_colours()))
            app.pane.styles.width = 10
            await pilot.pause()
            assert extent(app.pane) == (0, 2, 10, 7)
            app.pane.styles.height = 2
            await pilot.pause()
            assert extent(app.pane) == (3, 0, 7, 2)

    async def test_an_image_is_drawn_once_per_size(self, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn: list[object] = []
        monkeypatch.setattr(picture, "half_cells", lambda *content: drawn.append(content) or half_cells(*content))
        app = PaneApp()
        async with app.run_test(size=(60, 20)) as pilot:
            created = thumbnail(four_colours())
            for _ in range(3):
                app.pane.show(created)
                await pilot.pause()
            assert len(drawn) == 1
            app.pane.show(thumbnail(four_colours()))
            await pilot.pause()
            assert len(drawn) == 2

    @pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
    async def test_the_image_is_surrounded_by_the_theme_colour(self, theme: str) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)) as pilot:
            app.pane.show(thumbnail(four_colours()))
            app.theme = theme
            await pilot.pause()
            assert extent(app.pane) == (10, 0, 30, 10)
            around = cell(app.pane, 2, 2).style
            assert around is not None
            assert around.bgcolor is not None
            assert tuple(around.bgcolor.get_truecolor()) == tuple(app.screen.background_colors[1].rgb)

    async def test_a_border_does_not_shift_the_cells(self) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)) as pilot:
            app.pane.styles.border = ("round", "white")
            app.pane.show(thumbnail(four_colours()))
            await pilot.pause()
            assert colours(app.pane, 13, 1) == (RED, RED)
            assert cell(app.pane, 0, 0).text == "╭"


class TestText:
    @pytest.mark.parametrize("protocol", ["halfcell", "kitty", "sixel", "none"])
    async def test_a_problem_is_shown_as_text(self, protocol: str) -> None:
        app = PaneApp(protocol)
        async with app.run_test(size=(60, 20), notifications=True):
            app.pane.show(thumbnail(problem=f"the image is missing: {HOSTILE}"), alt="not this")
            expected = text(app.pane)
            assert "[red]not a dog[/][/x]" in expected.replace(" ", "").replace("notadog", "not a dog")
            assert "[@click=app.quit]" in expected
            assert expected.isprintable()
            assert "not this" not in expected

    async def test_alt_text_is_shown_without_an_image(self) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)):
            app.pane.show(None, alt="loading [b]…")
            assert text(app.pane) == "loading [b]…"
            app.pane.show(None)
            assert text(app.pane) == ""

    async def test_images_can_be_turned_off(self) -> None:
        app = PaneApp("none")
        async with app.run_test(size=(60, 20)):
            app.pane.show(thumbnail(four_colours()), alt="a dog.png")
            assert text(app.pane) == "a dog.png"

    async def test_the_pane_switches_between_image_and_text(self) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)) as pilot:
            app.pane.show(thumbnail(four_colours()))
            await pilot.pause()
            app.pane.show(thumbnail(problem="gone"))
            await pilot.pause()
            assert text(app.pane) == "gone"
            app.pane.show(thumbnail(four_colours()))
            await pilot.pause()
            assert colours(app.pane, 11, 1) == (RED, RED)

    async def test_a_pane_of_size_zero_draws_nothing(self) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)) as pilot:
            app.pane.show(thumbnail(four_colours()))
            for width, height in ((0, 5), (5, 0), (1, 1)):
                app.pane.styles.width, app.pane.styles.height = width, height
                await pilot.pause()


def marked(_protocol: str, _image: Image.Image, columns: int, rows: int, _stored: object = None) -> Encoded:
    return Encoded([Strip([Segment("k" * columns)], columns)] * rows, "\x1bPq#sixel\x1b\\")


class TestGraphics:
    async def test_half_cells_are_shown_until_the_graphics_are_ready(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(picture, "encode", marked)
        app = PaneApp("kitty")
        async with app.run_test(size=(60, 20)):
            app.pane.show(thumbnail(four_colours()))
            assert colours(app.pane, 11, 1) == (RED, RED)
            await until(lambda: cell(app.pane, 11, 1).text == "k")
            app.pane.show(thumbnail(four_colours()))
            assert cell(app.pane, 11, 1).text == " "  # another image: no pixels of the previous one

    async def test_only_the_last_of_several_images_is_encoded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The test ends the delay before encoding itself, since a busy machine may take longer between images."""
        sent: list[Image.Image] = []
        waited: list[float] = []
        settled = asyncio.Event()

        async def settle(seconds: float) -> None:
            waited.append(seconds)
            await settled.wait()

        monkeypatch.setattr(picture, "encode", lambda *content: sent.append(content[1]) or marked(*content))
        monkeypatch.setattr(picture, "asyncio", SimpleNamespace(sleep=settle, to_thread=asyncio.to_thread))
        app = PaneApp("kitty")
        async with app.run_test(size=(60, 20)) as pilot:
            images = [four_colours() for _ in range(5)]
            for shown, image in enumerate(images, 1):
                app.pane.show(thumbnail(image))
                await pilot.pause()
                await until(lambda number=shown: len(waited) >= number)
            assert sent == []
            settled.set()
            await until(lambda: cell(app.pane, 11, 1).text == "k")
            with contextlib.suppress(WorkerCancelled):
                await app.workers.wait_for_complete()
            assert len(sent) == 1
            assert sent[0] is images[-1]
            assert set(waited) == {picture.SETTLE_SECONDS}

    async def test_sixels_are_written_with_the_last_row_and_removed_for_a_modal(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(picture, "encode", marked)
        app = PaneApp("sixel")

        def overlaid() -> list[int]:
            return [y for y, strip in enumerate(lines(app.pane)) if any("#sixel" in s.text for s in strip)]

        async with app.run_test(size=(60, 20)) as pilot:
            app.pane.show(thumbnail(Image.new("RGB", (80, 20), RED)))
            await until(lambda: bool(overlaid()))
            assert overlaid() == [6]
            assert any("\x1b[3;1H\x1bPq#sixel" in s.text for s in lines(app.pane)[6])
            assert lines(app.pane)[6].cell_length == 40
            assert "#sixel" in written(app)
            app.pane.hide_for_modal()
            await pilot.pause()
            assert overlaid() == []
            assert "#sixel" not in written(app)
            assert colours(app.pane, 2, 5) == (RED, RED)
            app.pane.restore()
            await pilot.pause()
            assert overlaid() == [6]

    async def test_a_failed_encoding_keeps_half_cells(self) -> None:
        assert picture.encode("kitty", four_colours(), 5_000, 5_000) is None
        assert picture.encode("sixel", four_colours(), 0, 0) is None

    def test_the_real_encoders(self) -> None:
        sixels = picture.encode("sixel", four_colours(), 8, 4)
        assert sixels is not None
        assert decoded(sixels.overlay).size == (80, 80)
        assert [strip.cell_length for strip in sixels.strips] == [8] * 4
        again = picture.encode("sixel", four_colours(), 8, 4)
        assert again is not None
        styles = [segment.style for each in (sixels, again) for strip in each.strips for segment in strip]
        assert len({style.meta[GRAPHIC] for style in styles if style is not None}) == 2
        kitty = picture.encode("kitty", four_colours(), 8, 4)
        assert kitty is not None
        assert kitty.overlay == ""
        assert [sum(c == "\U0010eeee" for s in strip for c in s.text) for strip in kitty.strips] == [8] * 4

    @pytest.mark.parametrize("protocol", ["kitty", "sixel"])
    async def test_a_prepared_image_is_shown_at_once(self, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(picture, "encode", marked)
        app = PaneApp(protocol)
        async with app.run_test(size=(60, 20)):
            created = thumbnail(four_colours())
            app.pane.prepare(created, 20, 10)
            monkeypatch.setattr(picture, "encode", lambda *_: pytest.fail("encoded again"))
            app.pane.show(created)
            assert cell(app.pane, 11, 1).text == "k"
            assert app.pane.shown_as is PictureShown.PIXELS

    async def test_prepared_half_cells_are_not_computed_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)):
            created = thumbnail(four_colours())
            app.pane.prepare(created, 20, 10)
            app.pane.prepare(thumbnail(problem="broken"), 20, 10)
            monkeypatch.setattr(picture, "half_cells", lambda *_: pytest.fail("computed again"))
            app.pane.show(created)
            assert colours(app.pane, 11, 1) == (RED, RED)

    async def test_a_font_of_another_size_encodes_the_image_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cell_size = [(10, 20)]
        monkeypatch.setattr(picture, "cell_pixels", lambda: cell_size[0])
        app = PaneApp("sixel")

        def size_of_sixels() -> tuple[int, int] | None:
            controls = [s.text for strip in lines(app.pane) for s in strip if "\x1bP" in s.text]
            return decoded(controls[0][controls[0].index("\x1bP") : -2]).size if controls else None

        async with app.run_test(size=(60, 20)):
            app.pane.show(thumbnail(four_colours()))
            await until(lambda: size_of_sixels() == (200, 200))
            cell_size[0] = (8, 16)
            await until(lambda: size_of_sixels() == (160, 160))


class TestSixteenColours:
    async def test_the_image_is_mixed_of_the_colours_of_the_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        app = PaneApp()
        monkeypatch.setattr(picture, "has_sixteen_colours", lambda app: True)
        grey = Image.new("RGB", (80, 80), (128, 128, 128))
        async with app.run_test(size=(60, 20)):
            app.pane.show(thumbnail(grey))
            dots = [part for y in range(10) for x in range(10, 30) for part in colours(app.pane, x, y)]
        named = {tuple(STANDARD_PALETTE[number]) for number in range(16)}
        assert set(dots) <= named
        assert len(set(dots)) > 1  # the nearest colour alone would be 15 % too dark
        assert abs(sum(sum(dot) / 3 for dot in dots) / len(dots) - 128) < 6
        strips = half_cells(grey, 4, 2, picture.sixteen_colours())
        sent = "".join(strip.render(Console(color_system="standard")) for strip in strips)
        assert "38;" not in sent


class TestNoColor:
    """NO_COLOR removes the colours of text, not those of images."""

    @pytest.fixture(autouse=True)
    def no_color(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_COLOR", "1")

    async def test_the_image_has_its_colours(self) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)):
            app.pane.styles.background = "#400000"
            app.pane.show(thumbnail(four_colours()))
            assert colours(app.pane, 11, 1) == (RED, RED)
            assert colours(app.pane, 28, 1) == (GREEN, GREEN)
            for x in (0, 39):  # beside the image
                style = cell(app.pane, x, 1).style
                assert style is not None
                assert style.bgcolor is not None
                assert len(set(style.bgcolor.get_truecolor())) == 1

    async def test_kitty_placeholders_keep_the_colour_that_encodes_the_image_id(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = Style(color="#123456")
        created = Encoded([Strip([Segment("\U0010eeee" * 20, name)], 20)] * 10)
        monkeypatch.setattr(picture, "encode", lambda *_: created)
        app = PaneApp("kitty")
        async with app.run_test(size=(60, 20)):
            app.pane.show(thumbnail(four_colours()))
            await until(lambda: cell(app.pane, 15, 1).text == "\U0010eeee")
            assert cell(app.pane, 15, 1).style == name

    async def test_a_text_has_no_colour(self) -> None:
        app = PaneApp()
        async with app.run_test(size=(60, 20)):
            app.pane.styles.color = "#ff0000"
            app.pane.show(thumbnail(problem="it is no picture"))
            assert "it is no picture" in text(app.pane)
            styles = [segment.style for strip in lines(app.pane) for segment in strip if segment.text.strip()]
            assert styles
            for style in styles:
                assert style is not None
                assert style.color is not None
                assert len(set(style.color.get_truecolor())) == 1


class TestChoice:
    @pytest.mark.parametrize("setting", ["auto", "kitty", "sixel", "halfcell", "none"])
    def test_without_a_terminal(self, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(terminal_graphics, "ask_terminal", lambda _: pytest.fail("asked"))
        monkeypatch.setattr(sys, "__stdin__", None)
        assert choose_protocol(setting) == ("none" if setting == "none" else "halfcell")

    @pytest.mark.parametrize(
        ("environ", "answer", "chosen"),
        [
            ({}, TerminalAnswer(), "halfcell"),
            ({}, TerminalAnswer(kitty=True), "kitty"),
            ({}, TerminalAnswer(sixel=True), "sixel"),
            ({}, TerminalAnswer(kitty=True, sixel=True), "sixel"),
            ({}, TerminalAnswer(kitty=True, seconds=0.09), "halfcell"),
            ({"SSH_CONNECTION": "a 1 b 2"}, TerminalAnswer(kitty=True), "halfcell"),
            ({"SSH_CONNECTION": "a 1 b 2"}, TerminalAnswer(sixel=True), "halfcell"),
            ({"SSH_TTY": "/dev/pts/1"}, TerminalAnswer(kitty=True, sixel=True), "halfcell"),
            ({"TMUX": "/tmp/tmux,1,0"}, TerminalAnswer(kitty=True), "halfcell"),
            ({"STY": "1.pts"}, TerminalAnswer(sixel=True), "halfcell"),
            ({"TERM": "tmux-256color"}, TerminalAnswer(sixel=True), "halfcell"),
            ({"TERM": "xterm-kitty"}, TerminalAnswer(kitty=True), "kitty"),
        ],
    )
    def test_auto_chooses_the_best_protocol(
        self, environ: dict[str, str], answer: TerminalAnswer, chosen: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(terminal_graphics, "ask_terminal", lambda _: answer)
        assert terminal_graphics.detect(environ) == chosen

    @pytest.mark.parametrize("environ", [{}, {"TMUX": "/tmp/tmux,1,0"}])
    def test_a_set_protocol_does_not_depend_on_the_answer(
        self, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[float] = []
        for name in ("TMUX", "STY", "SSH_CONNECTION", "SSH_TTY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(terminal_graphics, "_is_terminal", lambda: True)
        monkeypatch.setattr(terminal_graphics, "ask_terminal", lambda _: asked.append(1) or TerminalAnswer())
        monkeypatch.setattr("workbench.console.terminal_env._ask_tmux", lambda _: "")
        assert [choose_protocol(s) for s in ("kitty", "sixel")] == ["kitty", "sixel"]
        assert len(asked) == (0 if environ else 2)

    def test_a_failure_falls_back_to_half_cells(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(terminal_graphics, "_is_terminal", lambda: 1 / 0)
        assert choose_protocol("auto") == "halfcell"

    def test_boxes(self) -> None:
        assert picture_box(46, 22, "halfcell") == (92, 88)
        assert min(picture_box(46, 22, "kitty")) > 88
        assert picture_box(0, 0, "none") == (1, 1)


CHOOSE = """
import sys, time
from workbench.images import terminal_graphics
from workbench.images.terminal_graphics import choose_protocol
start = time.monotonic()
chosen = choose_protocol(sys.argv[1])
seconds = round(time.monotonic() - start, 2)
print("chose", chosen, "in", seconds, "files", terminal_graphics.reads_files(), file=sys.stderr)
"""


class Pty:
    """A terminal for `choose_protocol`, with a size and answers to some queries."""

    def __init__(self, setting: str, size: tuple[int, ...], answers: dict[bytes, bytes], **env: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size))
        stored = {k: v for k, v in os.environ.items() if k not in {"TMUX", "STY", "SSH_CONNECTION", "SSH_TTY"}}
        self._stop, self._answers = threading.Event(), answers
        thread = threading.Thread(target=self._answer)
        thread.start()
        start = time.monotonic()
        try:
            # fmt: off
            done = subprocess.run(
                [sys.executable, "-c", CHOOSE, setting],
                stdin=slave, stdout=slave, stderr=subprocess.PIPE, env={**stored, "TERM": "xterm-256color", **env},
                cwd=Path(__file__).parents[3], timeout=60, text=True, check=False,
            )
            # fmt: on
        finally:
            self.seconds = time.monotonic() - start
            self._stop.set()
            thread.join()
            os.close(slave)
            os.close(self.master)
        self.output = done.stderr.strip().split("\n")[-1]
        self.chosen = self.output.split()[1] if done.returncode == 0 else self.output

    def _answer(self) -> None:
        asked = b""
        while not self._stop.is_set():
            if not select.select([self.master], [], [], 0.02)[0]:
                continue
            with contextlib.suppress(OSError):
                asked += os.read(self.master, 4096)
            for question, answer in self._answers.items():
                if question in asked:
                    os.write(self.master, answer)
                    asked = asked.replace(question, b"", 1)


DA1 = {b"\x1b[c": b"\x1b[?62;22c"}
SIXEL = {b"\x1b[c": b"\x1b[?62;4;22c", b"\x1b[16t": b"\x1b[6;20;10t"}
KITTY = {b"AAAA\x1b\\\x1b[16t\x1b[c": b"\x1b_Gi=31;OK\x1b\\\x1b[?62c", **DA1}
FILES = {b"AAAA\x1b\\\x1b[16t\x1b[c": b"\x1b_Gi=32;OK\x1b\\\x1b_Gi=31;OK\x1b\\\x1b[?62c"}


class TestPseudoTerminal:
    def test_kitty(self) -> None:
        done = Pty("auto", (36, 120, 1200, 720), KITTY)
        assert done.chosen == "kitty", done.output
        assert done.output.endswith("files False")

    @pytest.mark.parametrize(("environ", "files"), [({}, True), ({"SSH_TTY": "/dev/pts/1"}, False)])
    def test_a_terminal_that_reads_files(self, environ: dict[str, str], files: bool) -> None:
        done = Pty("kitty", (36, 120, 1200, 720), FILES, **environ)
        assert done.output.endswith(f"files {files}"), done.output

    def test_sixel_and_not_over_ssh(self) -> None:
        assert Pty("auto", (36, 120, 0, 0), SIXEL).chosen == "sixel"
        assert Pty("auto", (36, 120, 0, 0), SIXEL, SSH_CONNECTION="a 1 b 2").chosen == "halfcell"

    def test_a_plain_terminal(self) -> None:
        assert Pty("auto", (36, 120, 0, 0), DA1).chosen == "halfcell"

    @pytest.mark.parametrize("setting", ["auto", "kitty", "sixel"])
    def test_no_size(self, setting: str) -> None:
        assert Pty(setting, (0, 0, 0, 0), KITTY).chosen == "halfcell"

    @pytest.mark.parametrize(("setting", "chosen"), [("auto", "halfcell"), ("sixel", "sixel")])
    def test_a_silent_terminal(self, setting: str, chosen: str) -> None:
        done = Pty(setting, (36, 120, 0, 0), {})
        assert done.chosen == chosen, done.output
        assert float(done.output.split()[3]) < 3

    def test_garbage_answers(self) -> None:
        done = Pty("auto", (36, 120, 0, 0), {b"\x1b[c": b"\xff\xfe\x1b[?x\x1b_Gi=31;" * 50})
        assert done.chosen == "halfcell", done.output
