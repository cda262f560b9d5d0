"""Zoom and pan: the view stays inside the image, and the pixel below the pointer stays in place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from workbench.images.viewport import LADDER, Canvas, Viewport, drawn

HALF = Canvas(60, 20)
"""60 x 40 half-cells."""
IMAGE_SIZES = st.tuples(st.integers(1, 20_000), st.integers(1, 20_000))
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


@given(IMAGE_SIZES, CANVASES, MOVES)
def test_any_moves_leave_the_view_inside_the_image(
    image: tuple[int, int], canvas: Canvas, moves: list[tuple[object, ...]]
) -> None:
    viewport = Viewport.fitting(image, canvas)
    for name, *arguments in moves:
        viewport = getattr(viewport, str(name))(*arguments)
        left, top, right, bottom = viewport.box
        assert 0 <= left < right <= image[0] + 1e-6
        assert 0 <= top < bottom <= image[1] + 1e-6
        columns, rows = viewport.cells
        assert 1 <= columns <= viewport.canvas.columns
        assert 1 <= rows <= viewport.canvas.rows
        assert (right - left) * viewport.scale <= viewport.canvas.size[0] * (1 + 1e-9)


def test_the_first_view_shows_the_whole_image_as_large_as_possible() -> None:
    viewport = Viewport.fitting((120, 20), HALF)
    assert (viewport.scale, viewport.box, viewport.cells, viewport.fits) == (0.5, (0, 0, 120, 20), (60, 5), True)
    assert Viewport.fitting((30, 40), HALF).cells == (30, 20)


def test_cells_of_another_shape_keep_the_aspect_ratio() -> None:
    assert Viewport.fitting((100, 100), Canvas(60, 20, (1, 2), (10, 20))).cells == (40, 20)
    assert Viewport.fitting((100, 100), Canvas(60, 20, (1, 2), (10, 15))).cells == (30, 20)
    assert Viewport.fitting((100, 100), Canvas(60, 20, (10, 15), (10, 15))).cells == (30, 20)


def test_zoom_steps_through_the_ladder_and_back_to_the_whole_image() -> None:
    viewport = Viewport.fitting((640, 480), HALF)
    fit, scales = viewport.scale, []
    for _ in range(30):
        viewport = viewport.stepped(1)
        scales.append(viewport.scale)
    assert scales[:4] == [0.1, 0.17, 0.25, 0.33]
    assert viewport.scale == LADDER[-1]
    for _ in range(30):
        viewport = viewport.stepped(-1)
    assert (viewport.scale, viewport.fits, viewport.box) == (fit, True, (0, 0, 640, 480))


def test_a_small_image_zooms_out_to_its_real_size() -> None:
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


def test_another_canvas_keeps_the_centre() -> None:
    viewport = Viewport.fitting((600, 400), HALF)
    assert viewport.on(Canvas(30, 10)).fits
    zoomed = viewport.scaled(2.0).panned(20, 20)
    assert (zoomed.on(Canvas(30, 10)).centre, zoomed.on(Canvas(30, 10)).scale) == (zoomed.centre, 2.0)


def test_zoom_shows_the_pixels_of_the_image() -> None:
    image = Image.effect_noise((600, 400), 90).convert("RGB")
    viewport = Viewport.fitting(image.size, HALF).scaled(1.0)
    box = tuple(round(edge) for edge in viewport.box)
    assert drawn(image, viewport).tobytes() == image.crop(box).tobytes()  # one half-cell per pixel
    large = drawn(image, viewport.scaled(8.0))
    assert large.getpixel((0, 0)) == large.getpixel((3, 3))  # pixels are squares
    assert large.size == (60, 40)


def test_an_image_reduced_in_memory_is_drawn_at_its_real_size() -> None:
    whole = Image.linear_gradient("L").convert("RGB")
    half = whole.reduce(2)
    viewport = Viewport.fitting(whole.size, HALF).scaled(1.0)
    one, other = drawn(whole, viewport), drawn(half, viewport)
    assert one.size == other.size
    assert max(abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True)) <= 3
