"""The cells that a frame sends: they give the same screen as the whole frame, and no more than needed is sent."""

from __future__ import annotations

import io
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment
from rich.style import Style
from support.curating import running
from support.examples import examples
from support.screen import ScreenReader
from support.workspaces import press, settled
from textual.strip import Strip

from workbench.tui.frame_diff import GRAPHIC, CellStrip, DrawnScreen, PlacedStrip
from workbench.tui.screens.curate import CurateScreen

WIDTH, HEIGHT = 12, 3
TRUE = ColorSystem.TRUECOLOR
_CONSOLE = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", legacy_windows=False)

STYLES = st.sampled_from(
    [
        None,
        Style(),
        Style(bold=True),
        Style(bold=True, underline=True),
        Style(color="#ff0000"),
        Style(color="#ff0000", bgcolor="#102030"),
        Style(bgcolor="#102030", italic=True),
        Style(color="red", strike=True),
        Style(color="default", bgcolor="default"),
        Style(link="https://example.org"),
    ]
)
TEXTS = st.text(st.sampled_from("aab  ▀·é狗犬🙂"), max_size=8)
LINES = st.lists(st.tuples(TEXTS, STYLES), max_size=5)
FRAMES = st.lists(st.lists(LINES, min_size=HEIGHT, max_size=HEIGHT), min_size=1, max_size=5)


def line(parts: list[tuple[str, Style | None]], kind: type[Strip] = Strip) -> Strip:
    strip = Strip([Segment(text, style) for text, style in parts if text])
    return kind(strip.adjust_cell_length(WIDTH), WIDTH)


def whole(strips: list[Strip]) -> bytes:
    """Return a frame as Textual sends it."""
    return "".join(f"\x1b[{y + 1};1H{strip.render(_CONSOLE)}" for y, strip in enumerate(strips)).encode()


def placed(strips: list[Strip]) -> list[PlacedStrip]:
    return [PlacedStrip(0, y, strip) for y, strip in enumerate(strips)]


@settings(max_examples=examples(60), deadline=None)
@given(FRAMES, st.data())
def test_the_changed_cells_give_the_same_screen_as_whole_frames(
    frames: list[list[list[tuple[str, Style | None]]]], data: st.DataObject
) -> None:
    reader, reference, drawn = ScreenReader(WIDTH, HEIGHT), ScreenReader(WIDTH, HEIGHT), DrawnScreen()
    for frame in frames:
        strips = [line(parts, data.draw(st.sampled_from([Strip, CellStrip]))) for parts in frame]
        sent = placed(strips)
        if data.draw(st.booleans()):  # in pieces, as the compositor cuts lines at the edges of widgets
            cut = data.draw(st.integers(1, WIDTH - 1))
            pieces = [(y, strip.divide([cut, WIDTH])) for y, strip in enumerate(strips)]
            sent = [PlacedStrip(x, y, part) for y, parts in pieces for x, part in zip((0, cut), parts, strict=True)]
            strips = [Strip.join(parts) for _, parts in pieces]
        if data.draw(st.booleans()):
            drawn.forget()
        reader.feed(drawn.draw(sent, (WIDTH, HEIGHT), TRUE).encode())
        reference.feed(whole(strips))
        assert reader.cells == reference.cells
        assert drawn.draw(sent, (WIDTH, HEIGHT), TRUE) == ""  # nothing is sent twice


def test_one_changed_letter_sends_one_letter() -> None:
    drawn, size = DrawnScreen(), (40, 1)
    red = Style(color="#ff0000")
    for number in (10_001, 10_002):
        strip = Strip([Segment("a man with no hat next to bus "), Segment(str(number), red), Segment("     ")], 40)
        sent = drawn.draw([PlacedStrip(0, 0, strip)], size, TRUE)
    assert sent == "\x1b[1;35H\x1b[38;2;255;0;0m2\x1b[39m"


def test_neighbours_in_a_picture_share_colours() -> None:
    cells = [Segment("▀", Style(color=f"#0000{n:02x}", bgcolor="#102030")) for n in (1, 1, 2)]
    sent = DrawnScreen().draw([PlacedStrip(0, 0, Strip(cells, 3))], (3, 1), TRUE)
    assert sent == "\x1b[1;1H\x1b[38;2;0;0;1;48;2;16;32;48m▀▀\x1b[38;2;0;0;2m▀\x1b[39;49m"


def test_another_size_sends_everything() -> None:
    drawn = DrawnScreen()
    for width in (3, 4, 3):
        assert "abc" in drawn.draw([PlacedStrip(0, 0, Strip([Segment("abc")], 3))], (width, 1), TRUE)


def test_neighbours_of_characters_of_doubtful_width_are_sent_again() -> None:
    drawn = DrawnScreen()
    for joined, expected in (("a", "x a y"), ("👩‍🚀", "👩‍🚀"), ("b ", "x b  y")):
        strip = Strip([Segment(f"x {joined} y")]).adjust_cell_length(8)
        sent = drawn.draw([PlacedStrip(0, 0, strip)], (8, 1), TRUE)
        assert expected in sent
    assert "y" in sent


def test_a_combining_character_of_the_next_segment_stays_with_its_base() -> None:
    strip = Strip([Segment("e", Style(bold=True)), Segment("\u0301 x")], 3)
    assert "e\u0301" in DrawnScreen().draw([PlacedStrip(0, 0, strip)], (3, 1), TRUE)


def sixel_lines(number: int, data: str, text: str = "ab") -> list[PlacedStrip]:
    covered = Segment("  ", Style.from_meta({GRAPHIC: number}))
    overlay = Segment(data, None, [(ControlType.CURSOR_FORWARD, 0)])
    return [
        PlacedStrip(0, 0, Strip([covered, Segment(text)], 4)),
        PlacedStrip(0, 1, Strip([covered, overlay, Segment(text)], 4)),
    ]


def test_a_graphic_is_sent_once_and_again_when_a_cell_of_it_was_sent() -> None:
    drawn, size = DrawnScreen(), (4, 2)
    assert drawn.draw(sixel_lines(1, "<one>"), size, TRUE).endswith("<one>")
    assert drawn.draw(sixel_lines(1, "<one>"), size, TRUE) == ""
    beside = drawn.draw(sixel_lines(1, "<one>", "xy"), size, TRUE)
    assert "<one>" not in beside
    assert "xy" in beside
    other = drawn.draw(sixel_lines(2, "<two>", "xy"), size, TRUE)
    assert re.sub(r"\x1b\[[\d;]*H", "|", other) == "|  |  <two>"  # blanks erase the first one
    covered = [PlacedStrip(0, 0, Strip([Segment("menu")], 4))]
    assert "<two>" not in drawn.draw(covered, size, TRUE)
    assert drawn.draw(sixel_lines(2, "<two>", "xy")[:1], size, TRUE).endswith("<two>")  # the part that was covered


async def test_a_card_of_the_same_picture_sends_little_and_a_redraw_everything(
    make_workspace: Any, open_app: Any
) -> None:
    app = open_app(make_workspace(3))
    sent: list[str] = []
    show = app._display

    def display(screen: Any, update: Any) -> None:
        if isinstance(update, Control) or update is None:
            return show(screen, update)
        sent.append(app.changed_cells(screen, update).render_segments(_CONSOLE))
        return show(screen, update)

    app._display = display
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, CurateScreen)
        app.action_redraw()
        await settled(pilot)
        reader = ScreenReader(80, 24)
        first = "".join(sent)
        sent.clear()
        await press(pilot, "a")
        changed = "".join(sent)
        sent.clear()
        await press(pilot, "ctrl+l")
        again = "".join(sent)
        for part in (first, changed):
            reader.feed(part.encode())
        whole_screen = ScreenReader(80, 24)
        whole_screen.feed(again.encode())
        assert reader.cells == whole_screen.cells
        assert len(again) > 2_000 > len(changed)


@given(st.lists(st.tuples(st.sampled_from(["a", "▀▀", " ", "éb"]), STYLES), min_size=1, max_size=6), FRAMES)
@settings(max_examples=examples(60))
def test_a_strip_that_is_sent_as_a_whole_gives_the_same_screen(
    parts: list[tuple[str, Style | None]], frames: list[list[list[tuple[str, Style | None]]]]
) -> None:
    reader, expected, drawn = ScreenReader(WIDTH, HEIGHT), ScreenReader(WIDTH, HEIGHT), DrawnScreen()
    for frame in [*frames, frames[0]]:
        strips = [line(each) for each in frame]
        strips[1] = line(parts, CellStrip)
        reader.feed(drawn.draw(placed(strips), (WIDTH, HEIGHT), TRUE).encode())
        other = [line(each) for each in reversed(frame)]
        reader.feed(drawn.draw(placed(other), (WIDTH, HEIGHT), TRUE).encode())
        reader.feed(drawn.draw(placed(strips), (WIDTH, HEIGHT), TRUE).encode())
        expected.feed(whole([Strip(strip) for strip in strips]))
        assert reader.cells == expected.cells


def test_a_prepared_strip_is_sent_as_a_whole_only_if_nearly_all_of_it_differs() -> None:
    drawn, size = DrawnScreen(), (20, 1)
    red, blue = Style(color="#ff0000"), Style(color="#0000ff")
    first, second = (CellStrip([Segment("▀" * 20, style)], 20) for style in (red, blue))
    drawn.draw([PlacedStrip(0, 0, first)], size, TRUE)
    assert drawn.draw([PlacedStrip(0, 0, second)], size, TRUE) == f"\x1b[1;1H{second.written(TRUE)}"
    part = CellStrip([Segment("▀" * 10, red), Segment("▀" * 10, blue)], 20)
    assert drawn.draw([PlacedStrip(0, 0, part)], size, TRUE).count("▀") == 10
    wide = CellStrip([Segment("狗" * 10, red)], 20)
    assert wide.written(TRUE) == ""


def test_a_prepared_strip_that_is_cut_or_replaces_combined_characters_is_not_sent_as_a_whole() -> None:
    red = Style(color="#ff0000")
    strip = CellStrip([Segment("▀" * 6, red)], 6)
    cut = DrawnScreen().draw([PlacedStrip(4, 0, strip)], (8, 1), TRUE)
    assert cut.count("▀") == 4
    drawn, size = DrawnScreen(), (8, 1)
    drawn.draw([PlacedStrip(0, 0, Strip([Segment("xxxxxe\u0301xx")], 8))], size, TRUE)
    after = drawn.draw([PlacedStrip(0, 0, strip)], size, TRUE)
    assert after != f"\x1b[1;1H{strip.written(TRUE)}"
    assert "x" in after  # beside the combined character, whose width terminals do not agree on
