"""Cards whose lines were computed before they are shown, and regions that are drawn without Textual's compositor."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import lines, running, shown, until
from support.workspaces import Case, press, settled
from textual.geometry import Offset, Region
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style

from workbench.tui.frame_diff import PlacedStrip, changed_strips
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.themes import LIGHT
from workbench.tui.widgets.card.card import CardView
from workbench.tui.widgets.card.edit_dock import CaptionArea, EditDock
from workbench.tui.widgets.card.field import TrackedText


def cases(count: int) -> list[Case]:
    return [Case(text=f"a dog with no {'very ' * (9 * n)}old hat number {n}") for n in range(count)]


def styled(strips: list[Strip]) -> list[list[tuple[str, Any]]]:
    """Return the texts and styles of lines."""
    return [[(part.text, part.style) for part in strip.simplify()] for strip in strips]


def whole(view: CardView) -> Region:
    return Region(0, 0, *view.outer_size)


def ordinary(view: CardView) -> list[list[tuple[str, Any]]]:
    """Return the lines as Textual renders them."""
    return styled(TrackedText.render_lines(view, whole(view)))


async def prepared(pilot: Any, view: CardView) -> None:
    """Wait until the next card is prepared for the present screen."""
    screen = pilot.app.screen

    def is_ready() -> bool:
        upcoming = screen.session.upcoming()
        return bool(upcoming) and view._prepared_for(upcoming[0], screen._card_options(upcoming[0])) is not None

    await until(pilot, is_ready)


@pytest.mark.parametrize("size", [(120, 36), (80, 24), (60, 20)])
async def test_a_prepared_card_looks_as_any_other(make_workspace: Any, open_app: Any, size: tuple[int, int]) -> None:
    app = open_app(make_workspace(cases=cases(5)))
    async with running(app, size) as pilot:
        await settled(pilot)
        view = app.screen.query_one(CardView)
        for act in ("a", "u", "z", "xp"):
            await prepared(pilot, view)
            await press(pilot, *act)
            assert view._drawable is not None, act
            assert styled(view.render_lines(whole(view))) == ordinary(view)
            part = Region(3, 1, 20, 5)
            assert styled(view.render_lines(part)) == styled(TrackedText.render_lines(view, part))


async def test_prepared_lines_give_way_to_questions_selections_scrolling_and_other_themes(
    make_workspace: Any, open_app: Any
) -> None:
    app = open_app(make_workspace(cases=cases(8)[5:]))
    async with running(app, (60, 20)) as pilot:
        await settled(pilot)
        view = app.screen.query_one(CardView)
        await prepared(pilot, view)
        await press(pilot, "a")
        before = styled(view.render_lines(whole(view)))
        await press(pilot, "x")
        assert "reject because" in lines(app)
        await press(pilot, "escape")
        assert styled(view.render_lines(whole(view))) == before
        view.scroll_lines(1)
        assert styled(view.render_lines(whole(view))) == ordinary(view) != before
        view.scroll_to_top()
        app.screen.selections = {view: Selection(Offset(0, 0), Offset(5, 2))}
        assert styled(view.render_lines(whole(view))) == ordinary(view) != before
        app.screen.selections = {}
        dark = view._get_style("bold $accent")
        app.theme = LIGHT.name
        await settled(pilot)
        assert view._get_style("bold $accent") == Style.parse("bold $accent") != dark
        assert styled(view.render_lines(whole(view))) == ordinary(view) != before


async def test_an_equal_card_with_another_state_is_not_drawn_from_old_lines(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(cases=cases(3)))
    async with running(app) as pilot:
        await settled(pilot)
        view = app.screen.query_one(CardView)
        await prepared(pilot, view)
        await press(pilot, "a", "f")
        assert "⚑ flagged" in lines(app)
        await press(pilot, "left_square_bracket")
        assert shown(app) == 1
        assert "a new decision replaces it" in lines(app)


def drawn(strips: list[PlacedStrip]) -> dict[tuple[int, int], str]:
    """Return the characters of strips by place."""
    return {(x + at, y): letter for x, y, strip in strips for at, letter in enumerate(strip.text)}


@pytest.mark.parametrize("keys", ["", "e", "x", "i"])
async def test_changed_regions_are_drawn_as_by_the_compositor(make_workspace: Any, open_app: Any, keys: str) -> None:
    app = open_app(make_workspace(3))
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, *keys)
        screen: CurateScreen = app.screen
        await until(pilot, lambda: keys != "e" or screen.query_one(EditDock).region.height > 0)
        compositor = screen._compositor
        frame = drawn([PlacedStrip(0, y, strip) for y, strip in enumerate(compositor.render_strips())])
        widgets = list(compositor.visible_widgets)
        for regions in (
            *({widget.region} for widget in widgets),
            {Region(50, 0, 20, 36), Region(0, 10, 120, 3), Region(2, 2, 5, 5), Region(2, 2, 3, 1)},
            {Region(-5, -5, 20, 10), Region(110, 30, 40, 40)},
        ):
            compositor._dirty_regions = set(regions)
            strips = changed_strips(compositor)
            if compositor.size.region in regions:
                assert strips is None
                continue
            assert strips is not None
            assert not compositor._dirty_regions
            cells = drawn(strips)
            shown_parts = [region.intersection(compositor.size.region) for region in regions]
            assert cells.keys() == {(x, y) for part in shown_parts for x in part.column_range for y in part.line_range}
            assert cells == {place: frame[place] for place in cells}


async def test_a_change_of_the_focus_draws_the_fields_and_not_the_screen(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(3))
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "e")
        screen: CurateScreen = app.screen
        await until(pilot, lambda: isinstance(screen.focused, CaptionArea) and not screen._repaint_required)
        screen.set_focus(None)
        assert not screen._repaint_required
        await until(pilot, lambda: not screen.query_one(CaptionArea).has_focus)
