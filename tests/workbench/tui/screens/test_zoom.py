"""Tests of Zoom with keys and mouse; what is drawn is compared with the image."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.segment import Segment
from support.curating import lines, running, until
from support.workspaces import settled
from textual.app import App, ComposeResult
from textual.widgets import Static

from workbench.images.decode import Thumbnail, load_full
from workbench.tui.screens import zoom
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.help import HelpScreen
from workbench.tui.screens.zoom import ZoomScreen
from workbench.tui.widgets.picture import PicturePane
from workbench.workspace.keymap import ActionMap

HOSTILE = "\x1b]0;owned\x07[red]not a dog[/][/x][@click=app.quit]\u202e.png"
SIZE = (60, 22)
"""60 x 20 cells for the image: 60 x 40 half-cells."""


class ZoomApp(App[None]):
    """An app for the zoom screen."""

    def compose(self) -> ComposeResult:
        yield Static("home")


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Return an image of 600 x 400 pixels in which neighbours differ."""
    path = tmp_path / "noise.png"
    Image.merge("RGB", [Image.effect_noise((600, 400), 90) for _ in range(3)]).save(path)
    return path


def dots(app: App[Any]) -> Image.Image:
    """Return the half-cells of the pane without the background."""
    pane = app.screen.query_one(PicturePane)
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
    strip = app.screen.query_one("#zoom-line", Static).render_line(0)
    return "".join(segment.text for segment in strip).strip()


async def drawn(pilot: Any, words: str) -> None:
    """Wait until the status line has these words and the requested view is drawn."""

    def there() -> bool:
        screen = pilot.app.screen
        done = screen._shown is not None and screen._shown == (screen.viewport, screen._image)
        return words in line_text(pilot.app) and done and not screen._drawing

    await until(pilot, there)


async def opened(pilot: Any, path: Path | None, **content: Any) -> ZoomScreen:
    screen = ZoomScreen(path, content.pop("protocol", "halfcell"), **content)
    pilot.app.push_screen(screen)
    await pilot.pause()
    return screen


async def test_zooming_shows_detail_and_the_scale(noise: Path) -> None:
    picture = Image.open(noise).convert("RGB")
    small = picture.resize((60, 40), Image.Resampling.LANCZOS)
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, noise, first=Thumbnail(small, None, (600, 400)))
        await drawn(pilot, "noise.png · 600 × 400 · 10 %")
        await until(pilot, lambda: screen._image is not None and screen._image.size == (600, 400))
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
        assert screen.viewport is not None
        assert screen.viewport.fits


async def test_the_wheel_zooms_and_dragging_pans(noise: Path) -> None:
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, noise)
        await drawn(pilot, "10 %")
        await pilot._post_mouse_events([zoom.events.MouseScrollUp], PicturePane, offset=(30, 10))
        await drawn(pilot, "17 %")
        await pilot._post_mouse_events([zoom.events.MouseScrollDown], PicturePane, offset=(30, 10))
        await drawn(pilot, "10 %")
        await pilot.press("1")
        await drawn(pilot, "100 %")
        assert screen.viewport is not None
        before = screen.viewport.box
        await pilot.mouse_down(PicturePane, offset=(30, 10))
        await pilot.hover(PicturePane, offset=(25, 12))
        await pilot.mouse_up(PicturePane, offset=(25, 12))
        assert screen.viewport.box == (before[0] + 5, before[1] - 4, before[2] + 5, before[3] - 4)
        await pilot.hover(PicturePane, offset=(5, 5))
        assert screen.viewport.box[0] == before[0] + 5
        assert app.screen is screen


@pytest.mark.parametrize("key", ["escape", "i", "q"])
async def test_the_zoom_screen_closes_by_several_keys(noise: Path, key: str) -> None:
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, noise, name=HOSTILE)
        await drawn(pilot, "[red]not a dog[/]")
        assert line_text(app).isprintable()
        await pilot.press("a", "x", "z")
        assert len(app.screen_stack) == 2
        await pilot.press(key, key)
        assert len(app.screen_stack) == 1


async def test_a_resize_keeps_the_view(noise: Path) -> None:
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, noise)
        await drawn(pilot, "10 %")
        await pilot.resize_terminal(120, 42)
        await drawn(pilot, "20 %")
        await pilot.press("1", "l")
        await drawn(pilot, "100 %")
        centre = screen.viewport.centre if screen.viewport else None
        await pilot.resize_terminal(*SIZE)
        await until(pilot, lambda: bool(screen.viewport and screen.viewport.canvas.columns == 60))
        await drawn(pilot, "100 %")
        assert screen.viewport is not None
        assert screen.viewport.centre == centre
        assert dots(app).size == (60, 40)


async def test_problems_of_the_image_are_shown(tmp_path: Path) -> None:
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, tmp_path / "gone.png")
        await until(pilot, lambda: "the image is missing: gone.png" in lines(app))  # type: ignore[arg-type]
        await pilot.press("plus", "minus", "0", "1", "left", "escape")
        assert len(app.screen_stack) == 1


async def test_slow_decoding_shows_a_message_and_can_be_cancelled(noise: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(zoom, "load_full", lambda *_, **__: go_on.wait(5) and load_full(noise))
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, noise)
        await until(pilot, lambda: "loading …" in lines(app))  # type: ignore[arg-type]
        await pilot.press("plus", "escape")
        assert len(app.screen_stack) == 1
        go_on.set()
        await pilot.pause()


async def test_held_keys_draw_only_the_last_view(noise: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[float] = []
    real: Callable[..., Image.Image] = zoom.drawn
    monkeypatch.setattr(zoom, "drawn", lambda image, lens: created.append(lens.scale) or real(image, lens))
    app = ZoomApp()
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, noise)
        await drawn(pilot, "10 %")
        for _ in range(40):
            screen.action_step(1)
            screen.action_pan(1, 0)
        await drawn(pilot, "3200 %")
        assert len(created) < 20
        assert created[-1] == 32.0


async def test_zoom_opens_from_the_card_with_help_palette_and_user_defined_keys(
    make_workspace: Any, open_app: Any
) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace, app={"actions": ActionMap({"zoom-in": "z"})})
    async with running(app) as pilot:
        await settled(pilot)
        await pilot.press("i")
        await drawn(pilot, "001.png · 160 × 120")
        before = line_text(app)
        await pilot.press("z", "a", "u")
        await until(pilot, lambda: line_text(app) != before)
        assert workspace.events() == []
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert "One screen pixel for each image pixel" in lines(app)
        await pilot.press("escape")
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert "larger  (z)" in titles
        await pilot.press("f2", "i")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        await asyncio.sleep(0)
        assert workspace.events() == []
