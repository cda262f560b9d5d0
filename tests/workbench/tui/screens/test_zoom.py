"""Tests of Zoom with keys and mouse; what is drawn is compared with the image."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.segment import Segment
from support.curating import lines, running, shown, until
from support.workspaces import Case, press, settled
from textual.app import App, ComposeResult
from textual.containers import Container
from textual.events import Key

from workbench.images.decode import Thumbnail, load_full
from workbench.tui.bindings import bind
from workbench.tui.screens.base.zooming_screen import ZoomingScreen
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.help import HelpScreen, KeyList
from workbench.tui.widgets import zoom_view
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.tui.widgets.lines.answer_lines import AnswerLines
from workbench.tui.widgets.lines.key_hints import KeyHints
from workbench.tui.widgets.picture import PicturePane
from workbench.tui.widgets.zoom_view import ZoomView
from workbench.workspace.keymap import ActionMap, KeyScope

HOSTILE = "\x1b]0;owned\x07[red]not a dog[/][/x][@click=app.quit]\u202e.png"
SIZE = (60, 22)
"""60 x 20 cells for the image: 60 x 40 half-cells."""


class PlainZoom(ZoomingScreen):
    """A screen with nothing but the image and its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.actions = ActionMap()
        bind(self, self.actions, KeyScope.CARD_ZOOM)

    def compose(self) -> ComposeResult:
        yield Container(id="main")
        yield ActionLine(id="done")
        yield AnswerLines(self.actions, id="answers")
        yield KeyHints(self.actions, KeyScope.CARD_ZOOM, id="keys")


class ZoomApp(App[None]):
    """An app without a record."""


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Return an image of 600 x 400 pixels in which neighbours differ."""
    path = tmp_path / "noise.png"
    Image.merge("RGB", [Image.effect_noise((600, 400), 90) for _ in range(3)]).save(path)
    return path


def dots(app: App[Any]) -> Image.Image:
    """Return the half-cells of the pane without the background."""
    pane = app.screen.query_one(ZoomView).pane
    place = pane._place()
    image = Image.new("RGB", (place.width, place.height * 2))
    for y in range(place.height):
        strip = pane.render_lines(pane.size.region)[place.y + y].crop(place.x, place.right)
        cells = [(segment, letter) for segment in strip for letter in segment.text]
        for x, (segment, letter) in enumerate(cells):
            _two_dots(image, x, y * 2, segment, letter)
    return image


def _two_dots(image: Image.Image, x: int, y: int, segment: Segment, letter: str) -> None:
    style = segment.style
    assert style is not None
    assert style.color is not None
    assert style.bgcolor is not None
    assert letter in " ▀"
    image.putpixel((x, y), tuple(style.color.get_truecolor()))
    image.putpixel((x, y + 1), tuple(style.bgcolor.get_truecolor()))


def line_text(app: App[Any]) -> str:
    return app.screen.query_one(ActionLine).render().plain


async def drawn(pilot: Any, words: str) -> None:
    """Wait until the status line has these words and the requested view is drawn."""

    def there() -> bool:
        return words in line_text(pilot.app) and bool(pilot.app.screen.query_one(ZoomView).is_drawn)

    await until(pilot, there)


async def opened(
    pilot: Any, path: Path | None, *, name: str = "", protocol: str = "halfcell", first: Thumbnail | None = None
) -> ZoomView:
    screen = PlainZoom()
    await pilot.app.push_screen(screen)
    await screen.mount_zoom(protocol)
    screen.show_zoom(True)
    assert screen._zoom is not None
    screen._zoom.show(path, name or (path.name if path is not None else ""), first=first, text=None)
    await pilot.pause()
    return screen._zoom


async def test_zooming_shows_detail_and_the_scale(noise: Path) -> None:
    picture = Image.open(noise).convert("RGB")
    small = picture.resize((60, 40), Image.Resampling.LANCZOS)
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        view = await opened(pilot, noise, first=Thumbnail(small, None, (600, 400)))
        await drawn(pilot, "noise.png · 600x400 px · 10 %")
        await until(pilot, lambda: view._image is not None and view._image.size == (600, 400))
        assert dots(app).size == (60, 40)
        await pilot.press("1")
        await drawn(pilot, "100 %")
        assert dots(app).tobytes() == picture.crop((270, 180, 330, 220)).tobytes()
        await pilot.press("h", "up")  # a fifth of the screen each
        await drawn(pilot, "100 %")
        assert dots(app).tobytes() == picture.crop((258, 172, 318, 212)).tobytes()
        await pilot.press("right", "j", "plus", "equals_sign")
        await drawn(pilot, "200 %")
        assert dots(app).resize((30, 20), Image.Resampling.BOX).size == (30, 20)
        await pilot.press("minus", "underscore", "0")
        await drawn(pilot, "10 %")
        assert view.viewport is not None
        assert view.viewport.fits


async def test_the_wheel_zooms_and_dragging_pans(noise: Path) -> None:
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        view = await opened(pilot, noise)
        await drawn(pilot, "10 %")
        await pilot._post_mouse_events([zoom_view.events.MouseScrollUp], PicturePane, offset=(30, 10))
        await drawn(pilot, "17 %")
        await pilot._post_mouse_events([zoom_view.events.MouseScrollDown], PicturePane, offset=(30, 10))
        await drawn(pilot, "10 %")
        await pilot.press("1")
        await drawn(pilot, "100 %")
        assert view.viewport is not None
        before = view.viewport.box
        await pilot.mouse_down(PicturePane, offset=(30, 10))
        await pilot.hover(PicturePane, offset=(25, 12))
        await pilot.mouse_up(PicturePane, offset=(25, 12))
        assert view.viewport.box == (before[0] + 5, before[1] - 4, before[2] + 5, before[3] - 4)
        await pilot.hover(PicturePane, offset=(5, 5))
        assert view.viewport.box[0] == before[0] + 5


async def test_a_hostile_name_is_only_text(noise: Path) -> None:
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, noise, name=HOSTILE)
        await drawn(pilot, "[red]not a dog[/]")
        assert line_text(app).isprintable()


async def test_a_resize_keeps_the_view(noise: Path) -> None:
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        view = await opened(pilot, noise)
        await drawn(pilot, "10 %")
        await pilot.resize_terminal(120, 42)
        await drawn(pilot, "20 %")
        await pilot.press("1", "l")
        await drawn(pilot, "100 %")
        centre = view.viewport.centre if view.viewport else None
        await pilot.resize_terminal(*SIZE)
        await until(pilot, lambda: bool(view.viewport and view.viewport.canvas.columns == 60))
        await drawn(pilot, "100 %")
        assert view.viewport is not None
        assert view.viewport.centre == centre
        assert dots(app).size == (60, 40)


async def test_problems_of_the_image_are_shown(tmp_path: Path) -> None:
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, tmp_path / "gone.png")
        await until(pilot, lambda: "the image is missing: gone.png" in lines(app))  # type: ignore[arg-type]
        await pilot.press("plus", "minus", "0", "1", "left")
        assert "the image is missing: gone.png" in lines(app)  # type: ignore[arg-type]


async def test_slow_decoding_shows_a_message_and_can_be_cancelled(noise: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(zoom_view, "load_full", lambda *_, **__: go_on.wait(60) and load_full(noise))
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, noise)
        await until(pilot, lambda: "loading …" in lines(app))  # type: ignore[arg-type]
        await pilot.press("plus")
        await pilot.app.pop_screen()
        go_on.set()
        await pilot.pause()


async def test_held_keys_draw_only_the_last_view(noise: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[float] = []
    real: Callable[..., Image.Image] = zoom_view.drawn
    monkeypatch.setattr(zoom_view, "drawn", lambda image, lens: created.append(lens.scale) or real(image, lens))
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        view = await opened(pilot, noise)
        await drawn(pilot, "10 %")
        for _ in range(40):
            view.step(1)
            view.pan(1, 0)
        await drawn(pilot, "3200 %")
        assert len(created) < 20
        assert created[-1] == 32.0


async def test_zoom_opens_from_the_card_with_help_palette_and_user_defined_keys(
    make_workspace: Any, open_app: Any
) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace, app={"actions": ActionMap({"zoom-in": "t"})})
    async with running(app) as pilot:
        await settled(pilot)
        await pilot.press("i")
        await drawn(pilot, "001.png · 160x120 px")
        before = line_text(app)
        assert "t larger" in lines(app)
        assert "smaller" in lines(app)
        assert "· 0 fit · 1 100 % · ← ↓ ↑ → or drag: move" in before, "the keys that are not in the line of keys"
        await pilot.press("t")
        await until(pilot, lambda: line_text(app) != before)
        await pilot.press("h", "b", "comma")  # "h" moves; the keys of the screens do not apply
        assert isinstance(app.screen, CurateScreen)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        shown_keys = str(app.screen.query_one(KeyList).render())
        assert "One screen pixel for each image pixel" in shown_keys
        assert "Reject with the reason of your last rejection" in shown_keys
        assert "All settings" not in shown_keys
        await pilot.press("escape")
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert "larger  (t)" in titles
        assert "accept  (a)" in titles
        assert not any(title.startswith("browse") for title in titles)
        await pilot.press("f2", "i")
        await until(pilot, lambda: not app.screen.is_zoomed)
        assert "CONCEPT" in lines(app)
        assert workspace.events() == []


async def test_one_decides_while_zooming_and_zoom_stays_for_the_next_cards(make_workspace: Any, open_app: Any) -> None:
    cases = [Case(text=f"a woman not wearing hat {n}", concept=f"hat {n}") for n in range(6)]
    workspace = make_workspace(cases=cases)
    app = open_app(workspace)
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "i")
        await drawn(pilot, "001.png")
        assert "a accept   x reject   e edit   u unsure   space skip   esc leave zoom   ? help" in lines(app)
        await press(pilot, "a")
        await until(pilot, lambda: "002.png" in app.screen.query_one(ZoomView).line)  # the next card is zoomed, too
        assert "wearing hat 1" in lines(app)
        await press(pilot, "f", "x")
        assert "⚑ flagged" in lines(app)
        for reason in ("p present", "r rest false", "b bad image", "esc cancel"):
            assert reason in lines(app)
        assert "a accept" not in lines(app)
        assert app.screen.query_one(ZoomView).pane.region.bottom <= 21  # nothing covers the image
        await press(pilot, "a", "z", "p")  # while the reason is asked, other keys have no effect
        assert "✗ rejected: present · z undo" in line_text(app)
        await until(pilot, lambda: "003.png" in app.screen.query_one(ZoomView).line)
        await press(pilot, "u", "space", "full_stop")
        assert shown(app) == 6
        await press(pilot, "z")
        await until(pilot, lambda: "wearing hat 4" in lines(app))
        assert app.screen.is_zoomed
        await press(pilot, "left_square_bracket")
        await until(pilot, lambda: "skipped" in lines(app))
        await press(pilot, "escape")
        assert not app.screen.is_zoomed
        assert "YOU DECIDED" in lines(app)
        assert shown(app) == 4
    assert [(n, kind) for n, kind, _ in workspace.events()] == [
        (1, "accept"),
        (2, "flag"),
        (2, "reject"),
        (3, "unsure"),
        (4, "skip"),
        (5, "reject"),
        (5, "undo"),
    ]
    assert workspace.rows("SELECT DISTINCT zoomed FROM event WHERE kind IN ('accept', 'reject')") == [(1,)]


async def test_fast_keys_while_zooming_decide_one_card_each(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(4)
    app = open_app(workspace)
    async with running(app, (60, 20)) as pilot:
        await settled(pilot)
        for key in ("i", "a", "x", "p", "z", "z", "x", "g", "escape", "a"):  # in one read
            app.post_message(Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: len(workspace.events()) == 6)
        await until(pilot, lambda: shown(app) == 3)
        assert not app.screen.is_zoomed
    assert workspace.events() == [
        (1, "accept", None),
        (2, "reject", "present"),
        (2, "undo", None),
        (1, "undo", None),
        (1, "reject", "gratuitous"),
        (2, "accept", None),
    ]


async def test_the_image_before_is_never_shown_with_the_next_text(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow decoding of one image must not replace the next one, which is on the screen by then."""
    go_on = threading.Event()
    real = zoom_view.load_full

    def slow(path: Path | None, **options: Any) -> Thumbnail:
        if path is not None and path.name == "001.png":
            go_on.wait(60)
        return real(path, **options)

    monkeypatch.setattr(zoom_view, "load_full", slow)
    app = open_app(make_workspace(2))
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "i", "a")
        view = app.screen.query_one(ZoomView)
        assert app.screen.shown.thumbnail.image is not None
        await until(pilot, lambda: view.is_drawn and "002.png" in view.line)
        before = view._image
        go_on.set()
        for _ in range(5):
            await pilot.pause()
        assert view._image is before
        assert "002.png" in view.line


async def test_cue_and_warnings_of_a_long_text_are_below_the_image(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(cases=[Case(text="a word " * 250 + "without a hat")])
    app = open_app(workspace)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "i")
        for size in ((80, 24), (60, 20)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: "… without a hat" in lines(app))
            assert "⚠" in lines(app)
            assert "a accept" in lines(app)
