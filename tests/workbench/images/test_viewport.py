"""The arithmetic of zoom and pan: never outside the picture, the pixel below the pointer stays, shapes are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from workbench.images.viewport import LADDER, Canvas, Viewport, drawn

HALF = Canvas(60, 20)
"""60 x 40 dots."""
PICTURES = st.tuples(st.integers(1, 20_000), st.integers(1, 20_000))
CANVASES = st.builds(
    Canvas,
    st.integers(1, 300),
    st.integers(1, 100),
    st.sampled_from([(1, 2), (10, 20), (9, 21)]),
    st.sampled_from([(10, 20), (9, 21), (8, 12)]),
)
MOVES = st.lists(
    st.one_of(
        st.sampled_from([("stepped", 1), ("stepped", -1), ("scaled", 1.0), ("fitted",)]),
        st.tuples(st.just("panned"), st.floats(-500, 500), st.floats(-500, 500)),
        st.tuples(st.just("stepped"), st.sampled_from([1, -1]), st.tuples(st.floats(0, 300), st.floats(0, 200))),
        st.tuples(st.just("on"), CANVASES),
    ),
    max_size=12,
)


@given(PICTURES, CANVASES, MOVES)
def test_whatever_is_done_a_part_of_the_picture_is_seen(
    picture: tuple[int, int], room: Canvas, moves: list[tuple[object, ...]]
) -> None:
    viewport = Viewport.fitting(picture, room)
    for name, *told in moves:
        viewport = getattr(viewport, str(name))(*told)
        left, top, right, bottom = viewport.box
        assert 0 <= left < right <= picture[0] + 1e-6
        assert 0 <= top < bottom <= picture[1] + 1e-6
        columns, rows = viewport.cells
        assert 1 <= columns <= viewport.canvas.columns
        assert 1 <= rows <= viewport.canvas.rows
        assert (right - left) * viewport.scale <= viewport.canvas.size[0] * (1 + 1e-9)


def test_at_first_all_of_it_as_large_as_it_fits() -> None:
    viewport = Viewport.fitting((120, 20), HALF)
    assert (viewport.scale, viewport.box, viewport.cells, viewport.fits) == (0.5, (0, 0, 120, 20), (60, 5), True)
    assert Viewport.fitting((30, 40), HALF).cells == (30, 20)


def test_cells_of_another_shape_keep_the_pictures_shape() -> None:
    assert Viewport.fitting((100, 100), Canvas(60, 20, (1, 2), (10, 20))).cells == (40, 20)
    assert Viewport.fitting((100, 100), Canvas(60, 20, (1, 2), (10, 15))).cells == (30, 20)
    assert Viewport.fitting((100, 100), Canvas(60, 20, (10, 15), (10, 15))).cells == (30, 20)


def test_in_and_out_stops_at_round_numbers_and_at_all_of_it() -> None:
    viewport = Viewport.fitting((640, 480), HALF)
    fit, seen = viewport.scale, []
    for _ in range(30):
        viewport = viewport.stepped(1)
        seen.append(viewport.scale)
    assert seen[:4] == [0.1, 0.17, 0.25, 0.33]
    assert viewport.scale == LADDER[-1]
    for _ in range(30):
        viewport = viewport.stepped(-1)
    assert (viewport.scale, viewport.fits, viewport.box) == (fit, True, (0, 0, 640, 480))


def test_a_small_picture_goes_down_to_its_own_pixels() -> None:
    viewport = Viewport.fitting((10, 10), HALF)
    assert viewport.scale == 4
    for _ in range(9):
        viewport = viewport.stepped(-1)
    assert (viewport.scale, viewport.cells) == (1.0, (10, 5))


def test_the_pixel_below_the_pointer_stays() -> None:
    viewport, at = Viewport.fitting((600, 400), HALF).scaled(1.0), (12.0, 30.0)

    def below(view: Viewport) -> tuple[float, float]:
        return view.box[0] + at[0] / view.scale, view.box[1] + at[1] / view.scale

    assert below(viewport.stepped(1, at)) == pytest.approx(below(viewport))
    assert below(viewport.stepped(1, at).stepped(1, at)) == pytest.approx(below(viewport))


def test_panning_ends_at_the_edge() -> None:
    viewport = Viewport.fitting((600, 400), HALF).scaled(1.0)
    assert viewport.panned(5, -3).box == (275, 177, 335, 217)
    assert viewport.panned(-10_000, 10_000).box == (0, 360, 60, 400)


def test_another_canvas_shows_the_same_middle() -> None:
    viewport = Viewport.fitting((600, 400), HALF)
    assert viewport.on(Canvas(30, 10)).fits
    near = viewport.scaled(2.0).panned(20, 20)
    assert (near.on(Canvas(30, 10)).centre, near.on(Canvas(30, 10)).scale) == (near.centre, 2.0)


def test_detail_appears_that_the_small_picture_does_not_have() -> None:
    picture = Image.effect_noise((600, 400), 90).convert("RGB")
    viewport = Viewport.fitting(picture.size, HALF).scaled(1.0)
    box = tuple(round(edge) for edge in viewport.box)
    assert drawn(picture, viewport).tobytes() == picture.crop(box).tobytes()  # dot for pixel
    large = drawn(picture, viewport.scaled(8.0))
    assert large.getpixel((0, 0)) == large.getpixel((3, 3))  # pixels are squares
    assert large.size == (60, 40)


def test_a_picture_kept_at_a_part_of_its_detail_is_seen_at_its_real_size() -> None:
    whole = Image.linear_gradient("L").convert("RGB")
    half = whole.reduce(2)
    viewport = Viewport.fitting(whole.size, HALF).scaled(1.0)
    one, other = drawn(whole, viewport), drawn(half, viewport)
    assert one.size == other.size
    assert max(abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True)) <= 3
