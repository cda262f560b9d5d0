"""The card and the lines around it: question, action line, panel, copying, the same reason again, $EDITOR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image
from support.curating import SIZE, field_text, lines, running, shown, until
from support.workspaces import Case, WorkspaceFixture, press, settled
from textual import events
from textual.geometry import Region, Size
from textual.screen import Screen

from workbench.errors import UsageError
from workbench.images import terminal_graphics
from workbench.tui import app as app_module
from workbench.tui.rendering.card_lines import QUESTIONS
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.terminal_parser import CellSizeReport
from workbench.tui.widgets import picture
from workbench.tui.widgets.card import picture_box
from workbench.tui.widgets.card.card import CardView
from workbench.tui.widgets.card.side_panel import PanelView, SidePanel, guideline_lines
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.choices import PanelChoice
from workbench.workspace.settings.settings import read_settings


@pytest.mark.parametrize(("size", "question"), [((120, 36), 0), ((80, 24), 1), ((60, 20), 2)])
async def test_the_negated_caption_comes_first_in_a_box_with_the_question(
    make_workspace: Any, open_app: Any, size: tuple[int, int], question: int
) -> None:
    app = open_app(make_workspace(1))
    async with running(app, size) as pilot:
        await settled(pilot)
        assert QUESTIONS[question] in lines(app)
        on_screen = lines(app).splitlines()
        label, text, caption = (
            next(n for n, line in enumerate(on_screen) if part in line) for part in ("NEGATED", "«", "CAPTION")
        )
        assert label < text < caption
        assert (field_text(app, "caption").split()[-1] in on_screen[caption]) is (size[0] >= 100)


async def test_the_line_above_the_keys_shows_the_last_decision_for_a_moment(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app(make_workspace(4))
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        line = app.screen.query_one(ActionLine)
        await press(pilot, "a")
        assert line.text == "✓ accepted · z undo"
        assert lines(app).splitlines()[-2].strip() == line.text
        await press(pilot, "x", "p")
        assert line.text == "✗ rejected: present · z undo"
        await press(pilot, "z")
        assert line.text == "undone: ✗ reject (present) of card 2"
        await press(pilot, "Z")
        assert line.text == "redone: ✗ reject (present) of card 2"
        await press(pilot, "f", "z")
        assert line.text == "undone: flag of card 3"
        await press(pilot, "z", "z", "z")
        assert line.text == "nothing to undo"
        monkeypatch.setattr(ActionLine.show, "__defaults__", (0.01,))
        await press(pilot, "u")
        await until(pilot, lambda: line.text == "")


async def test_a_period_rejects_with_the_reason_of_the_last_rejection(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(4)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "full_stop")
        assert workspace.events() == []
        assert "no reason to repeat" in lines(app)
        await press(pilot, "x", "s", "a", "full_stop")
        assert workspace.events() == [(1, "reject", "scope"), (2, "accept", None), (3, "reject", "scope")]
        await press(pilot, "x", "full_stop", "escape")  # only reasons answer the question
    assert len(workspace.events()) == 3


@pytest.mark.parametrize("key", ["t", "i", "p", "escape"])
async def test_y_copies_a_part_of_the_card(make_workspace: Any, open_app: Any, key: str) -> None:
    workspace = make_workspace(cases=[Case(text="a dog\x1b]52;c;AAAA\x07 without a [hat]")])
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, CurateScreen)
        await press(pilot, "y", "a", "x", "z")  # no other key applies while the question is open
        assert "the path of the image" in lines(app)
        await press(pilot, key)
        assert "the path of the image" not in lines(app)
        card = app.screen.shown
        assert card is not None
        copied = {"t": card.card.text, "i": "1", "p": str(card.path), "escape": ""}[key]
        assert app.clipboard == copied
        assert "\x1b" not in copied
        assert shown(app) == 1
    assert workspace.events() == []


async def test_the_choice_of_the_panel_is_kept_for_each_annotator(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    settings = workspace.root / "negwb.toml"
    settings.write_text(f"# mine\n{settings.read_text()}[curate]\norder = 'oldest'  # first in, first out\n")

    def panels() -> Mapping[str, PanelChoice]:
        return read_settings(settings).curate.panels

    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "G")
        await until(pilot, lambda: panels() == {"ana": "guidelines"})
        await press(pilot, "G", "G", "G", "G", "G")
        await until(pilot, lambda: panels() == {"ana": "captions"})
    app.session.close()
    assert "# mine" in settings.read_text()
    assert "# first in, first out" in settings.read_text()
    chosen = panels()["ana"]
    app = open_app(workspace, "ana", app={"workspace": Workspace(workspace.root), "panel": chosen})
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        await until(pilot, lambda: "other captions" in lines(app))
        settings.write_text("[curate.panels]\nana = 'all'\n")
        await press(pilot, "G")
        await until(pilot, lambda: any("ana = 'all'" in each.message for each in app._notifications))
    with pytest.raises(UsageError, match="ana = 'all'"):
        panels()


async def test_the_panel_shows_decisions_guidelines_and_captions_in_turn(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(4)
    app = open_app(workspace)
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        panel = app.screen.query_one(SidePanel)
        assert panel.display  # below the image, which leaves it room
        await press(pilot, "a", "x", "p")
        await until(pilot, lambda: "✗ present: " in lines(app))
        rows = [line[:20].strip("│ ") for line in lines(app).splitlines() if line.startswith(("│ ✓ ", "│ ✗ "))]
        assert [row[0] for row in rows] == ["✗", "✓"]
        await press(pilot, "z")
        await until(pilot, lambda: "✗ present: " not in lines(app))
        await press(pilot, "G")
        await until(pilot, lambda: "Each card asks" in lines(app))
        await press(pilot, "G")
        await until(pilot, lambda: panel.border_title == PanelView.CAPTIONS)
        await press(pilot, "G")
        await until(pilot, lambda: not panel.display)
        await press(pilot, "G")
        await until(pilot, lambda: panel.display and panel.border_title == PanelView.DECISIONS)


SHAPES = {"3:2": (640, 427), "16:9": (640, 360), "2:3": (427, 640), "3:1": (960, 320), "small": (90, 45)}


def draw_shapes(workspace: WorkspaceFixture, *shapes: str) -> None:
    """Give the images of the workspace these shapes, in order."""
    for number, shape in enumerate(shapes, 1):
        Image.new("RGB", SHAPES[shape], (90, 140, 60)).save(workspace.root / "pictures" / f"{number:03}.png")


def regions(app: Any) -> dict[str, Region]:
    parts = ("#picture-box", "#picture", "#panel", "#text-box", "#keys")
    return {part: app.screen.query_one(part).region for part in parts}


async def test_a_wide_image_stands_above_the_text_and_equal_shapes_move_nothing(
    make_workspace: Any, open_app: Any
) -> None:
    workspace = make_workspace(5)
    draw_shapes(workspace, "16:9", "16:9", "3:2", "2:3", "small")
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        wide = regions(app)
        assert wide["#picture-box"].bottom <= wide["#text-box"].y
        assert wide["#picture"].size == (68, 19)
        assert wide["#panel"].x == wide["#picture-box"].right
        assert "68x38 dots of 640x360 px" in lines(app)
        await press(pilot, "a")
        await settled(pilot)
        assert regions(app) == wide  # the content changes, not the layout
        await press(pilot, "x")
        on_screen = lines(app)
        assert "NEGATED" in on_screen  # the reasons leave the question in view
        assert "cancel the rejection" in on_screen
        await press(pilot, "p")
        await settled(pilot)
        beside = regions(app)
        assert beside["#picture-box"].right <= beside["#text-box"].x
        assert beside["#picture-box"].height == 18 + 2  # the height of the image
        assert beside["#panel"].y == beside["#picture-box"].bottom
        assert "53x36 dots of 640x427 px" in lines(app)
        await press(pilot, "a")
        await settled(pilot)
        assert not app.screen.query_one("#panel").display
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "25x38 dots of 427x640 px" in lines(app))
        await press(pilot, "a")
        await settled(pilot)
        assert "image 90x45 px: i zooms" in lines(app)
        assert regions(app)["#picture-box"].bottom <= regions(app)["#text-box"].y


async def test_a_low_screen_shows_the_warnings_below_a_wide_image(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    draw_shapes(workspace, "3:1")
    app = open_app(workspace)
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        on_screen = lines(app)
        assert regions(app)["#picture-box"].bottom <= regions(app)["#text-box"].y
        for part in ("«", "CAPTION", "CONCEPT", "they disagree", "CHECKS", "? help"):
            assert part in on_screen


def test_guidelines_are_joined_by_paragraph() -> None:
    text = guideline_lines("# Rules\n\nOne **bold**\nline.\n\n- first\n- second\n| a | b |")
    assert text.plain.splitlines() == ["Rules", "", "One bold line.", "", "- first", "- second", "| a | b |"]


async def test_a_small_image_names_the_key_that_zooms(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    path = workspace.root / "pictures" / "001.png"
    for size, is_small in (((31, 32), True), ((60, 60), False)):
        Image.new("RGB", size).save(path)
        app = open_app(workspace)
        async with running(app) as pilot:
            await settled(pilot)
            assert (f"image {size[0]}x{size[1]} px: i zooms" in lines(app)) is is_small


async def test_without_a_terminal_of_its_own_no_editor_opens(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        for variable in ("VISUAL", "EDITOR"):
            monkeypatch.delenv(variable, raising=False)
        await press(pilot, "E")
        assert "no editor is set" in lines(app)
        monkeypatch.setenv("EDITOR", "true")
        await press(pilot, "E")
        assert "an editor needs a terminal of its own" in lines(app)
    assert workspace.events() == []


async def test_a_resize_event_about_an_earlier_size_changes_nothing(make_workspace: Any, open_app: Any) -> None:
    """Otherwise two sizes in the queue cause layouts without end."""
    app = open_app(make_workspace(1))
    async with running(app) as pilot:
        await settled(pilot)
        for size in (Size(80, 25), Size(*SIZE), Size(80, 25)):
            app.screen.post_message(events.Resize(size, size, size))
        await pilot.pause()
        assert app.screen._compositor.size == SIZE
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: app.screen._compositor.size == (80, 24))


async def test_zoom_keeps_the_negated_caption_in_view(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(1))
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "i")
        await until(pilot, lambda: "a woman «not wearing hat number 0»" in lines(app))
        assert app.screen.query_one("#zoom-sentence")


async def test_acts_change_the_content_of_the_card_and_not_the_layout(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app(make_workspace(cases=[Case(text=f"a dog with no {'very ' * n}old hat") for n in range(12)]))
    layouts: list[Screen[Any]] = []
    lay_out = Screen._refresh_layout

    def counted(screen: Screen[Any], *arguments: Any, **options: Any) -> None:
        layouts.append(screen)
        lay_out(screen, *arguments, **options)

    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "x", "escape", "a")  # the first question and the first decision
        await until(pilot, lambda: "✓ a dog" in lines(app))
        monkeypatch.setattr(Screen, "_refresh_layout", counted)
        for keys in ("a", "xp", "u", "xs", "f", "z", "Z", "a", "xg"):
            await press(pilot, *keys)
        assert len(layouts) < 3
        layouts.clear()
        view = app.screen.query_one(CardView)
        monkeypatch.setattr(CardView, "refresh", lambda *_, **__: pytest.fail("an equal card is drawn again"))
        ready = app.screen.shown
        assert ready is not None
        app.screen._paint(ready)
        assert not view.is_stale


async def test_a_change_of_the_session_while_the_screen_is_removed_has_no_effect(
    make_workspace: Any, open_app: Any
) -> None:
    app = open_app(make_workspace(2))
    async with running(app) as pilot:
        await settled(pilot)
        screen = app.screen
        screen._pruning = True  # what Textual does first when it removes a screen
        await screen.query_one("#banner").remove()
        app.on_prefetch_changed()
        assert not screen.is_whole
        screen._pruning = False


async def test_a_font_of_another_shape_lays_the_card_out_again(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal_graphics, "_from_window", lambda: None)  # as where the window has no size in pixels
    monkeypatch.setattr(terminal_graphics, "_answered", {"cell": (10, 20)})
    workspace = make_workspace(1)
    draw_shapes(workspace, "3:2")
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        assert "53x36 dots" in lines(app)
        written: list[str] = []
        monkeypatch.setattr(app._driver, "write", written.append)
        app.post_message(events.Resize(Size(*SIZE), Size(*SIZE)))
        await until(pilot, lambda: "\x1b[16t" in written)
        app.post_message(CellSizeReport(10, 30))
        await until(pilot, lambda: "85x38 dots" in lines(app))  # cells are higher, so there is more room above


async def test_a_terminal_with_16_colours_is_named_on_the_card(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (app_module, picture, picture_box):
        monkeypatch.setattr(module, "has_sixteen_colours", lambda app: True)
    app = open_app(make_workspace(1))
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        assert "16 colours: set COLORTERM" in lines(app)
        assert any("images cannot be judged" in each.message for each in app._notifications)
        await pilot.resize_terminal(120, 36)
        await until(pilot, lambda: "16 colours cannot be judged: COLORTERM=truecolor" in lines(app))


async def test_the_panel_has_no_scroll_bar_for_few_decisions_after_a_resize(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(3))
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a")
        panel = app.screen.query_one(SidePanel)
        before = panel.size.height
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: 0 < panel.size.height < before and not panel.show_vertical_scrollbar)
