"""Masks: run lengths, COCO's text, and polygons against values of COCO's own mask API (pycocotools 2.0.11)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.segmentation.masks import (
    MOST_PIXELS,
    coco_polygons_mask,
    counts_from_text,
    counts_of,
    mask_from_text,
    mask_of,
    mask_text,
    points_mask,
    rle_text,
)

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
MASKS = SIZES.flatmap(lambda size: arrays(np.bool_, size))

PUBLISHED = (
    "0g05b08J4M2N2NA^O1`0OCO=0E090H080IO68DH;>@C>a0_O_O`0j0OWOF<:CM72I24NL43JM92FN;1ENKO72L0LO91J0MO92INO0NO122OO0M031O"
    "000NO31OO11MO40N011MO41MO21L06OL021L06OL021L06OL021L060J040L060J040L060J040L060J040L060J040L060J040L060KO31L060KO"
    "31L06OL021L06OL021L06OL021MO41MO21MO40N100NO310O00M0310O00NO1220NO92IONO91KOMO72M0<1EO:2GN63KM34OLM73JF<;=1G_O_Ob0"
    "=AC`07EH=1IO71H090F0:1DO>1_O1b0>2N2N3L6H]O"
)
"""The example in the README of github.com/armengot/COCOtoolsFORK: 50 rows, 70 columns."""
AREA, BOX = 2346, [0, 0, 70, 50]
"""Its area and bounding box by pycocotools."""
MIDDLE_ROW = "0000011111100001111111111111111111111111111111111111111000011111100000"
"""Its row 25 by pycocotools."""


def test_run_lengths_go_down_the_columns_and_begin_outside() -> None:
    mask = np.array([[0, 1, 1], [0, 0, 1]], dtype=bool)
    assert counts_of(mask) == [2, 1, 1, 2]
    assert counts_of(~mask) == [0, 2, 1, 1, 2]
    assert counts_of(np.zeros((2, 3), dtype=bool)) == [6]
    assert counts_of(np.ones((2, 3), dtype=bool)) == [0, 6]


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ([0, 6, 1, 3], "061M"),
        ([0, 6, 1], "061"),
        ([0, 6, 1, 1], "061K"),
        ([0, 6, 1, 5], "061O"),
        ([0, 6, 1, 6], "0610"),
        ([0, 1, 1, 2, 1, 3, 1, 4, 1], "011101010"),
        ([0, 1024], "0PP1"),
    ],
)
def test_text_of_run_lengths_is_that_of_coco(counts: list[int], text: str) -> None:
    assert rle_text(counts) == text
    assert counts_from_text(text) == counts


def test_published_text_is_decoded() -> None:
    mask = mask_from_text(PUBLISHED, (50, 70))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert int(mask.sum()) == AREA
    assert [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1] == BOX
    assert "".join(str(int(pixel)) for pixel in mask[25]) == MIDDLE_ROW
    assert mask_text(mask) == PUBLISHED


@given(MASKS)
def test_mask_survives_both_encodings(mask: np.ndarray) -> None:
    size = (mask.shape[0], mask.shape[1])
    assert (mask_of(counts_of(mask), size) == mask).all()
    assert (mask_from_text(mask_text(mask), size) == mask).all()


@given(st.text(alphabet=[chr(code) for code in range(40, 120)], max_size=40), SIZES)
def test_any_text_is_decoded_or_refused(text: str, size: tuple[int, int]) -> None:
    try:
        mask = mask_from_text(text, size)
    except ValueError:
        return
    assert mask.shape == size


@pytest.mark.parametrize("text", ["0", "P", "0é", "0" * 3 + "~", "OO", "PPPPPPPPPP1"])
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"run length|pixels"):
        mask_from_text(text, (2, 3))


@pytest.mark.parametrize("size", [(0, 3), (3, -1), (MOST_PIXELS, 2)])
def test_impossible_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="size of an image"):
        mask_of([0], size)


@pytest.mark.parametrize(
    ("polygons", "text", "area"),
    [
        (
            [[10.5, 3.25, 25.75, 8.0, 20.0, 22.5, 6.25, 18.0]],
            "U61j03L5L3L4010O00010O00010O000O2M2M3N3L3N^5",
            236,
        ),
        ([[2, 2, 9, 2, 9, 9, 2, 9], [5, 5, 14, 5, 14, 14, 5, 14]], "n17g000005K000003M00000000g`0", 114),
        (
            [[-3, 4.5, 12, -2, 40, 20.2, 18, 44]],
            "38f02M3N1N3N2N2M3N2N2Nj3OWL1O001O1O1O1O001O1O1O1O001O1O1O0OD",
            717,
        ),
    ],
)
def test_polygons_are_drawn_as_by_coco(polygons: list[list[float]], text: str, area: int) -> None:
    mask = coco_polygons_mask(polygons, (30, 32))
    assert mask_text(mask) == text
    assert int(mask.sum()) == area


def test_polygon_of_coco_outside_the_image_is_empty() -> None:
    assert not coco_polygons_mask([[100, 100, 110, 100, 110, 110]], (30, 32)).any()


@pytest.mark.parametrize("polygon", [[1, 2, 3, 4], [1, 2, 3, 4, 5], [1, 2, 3, 4, float("nan"), 6], [1e12] * 6])
def test_invalid_polygon_of_coco_is_refused(polygon: list[float]) -> None:
    with pytest.raises(ValueError, match="polygon"):
        coco_polygons_mask([polygon], (30, 32))


def test_points_of_phrasecut_include_their_outline() -> None:
    mask = points_mask([[(1.9, 1.2), (4.0, 1.0), (4.7, 3.0), (1.0, 3.9)], [(0, 0)]], (6, 7))
    expected = np.zeros((6, 7), dtype=bool)
    expected[1:4, 1:5] = True
    assert (mask == expected).all()


def test_points_that_are_no_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="polygon"):
        points_mask([[(0, 0), (float("inf"), 2)]], (6, 7))
