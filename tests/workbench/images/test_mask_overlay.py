"""Masks in images: the true one is outlined, the predicted one hatched, and each is recognisable without its colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.segmentation import HEIGHT, WIDTH, columns

from benchmarks.segmentation.masks import mask_text
from workbench.images.boxes import OTHER, RIGHT
from workbench.images.mask_overlay import MaskView, picture_with_masks


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.new("RGB", (WIDTH, HEIGHT), (120, 120, 120)).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


def facts(true: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    return {
        "size": [HEIGHT, WIDTH],
        "true": mask_text(true),
        "predicted": mask_text(predicted),
        "intersection": 0,
        "union": 1,
        "nan": False,
    }


RED, BLUE = columns("red", 1), columns("blue", 1)
BOTH = facts(RED, BLUE)


def drawn(path: Path, mask: dict[str, Any], view: MaskView = MaskView.BOTH) -> np.ndarray:
    picture = picture_with_masks(path, (320, 240), mask, view=view, name="grey")
    assert picture.image is not None
    return np.asarray(picture.image)


def pixels(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.asarray((image == colour).all(axis=2))


def large(mask: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.kron(mask, np.ones((image.shape[0] // HEIGHT, image.shape[1] // WIDTH), dtype=bool))


def test_true_mask_is_an_outline_and_the_predicted_one_is_hatched(path: Path) -> None:
    image = drawn(path, BOTH)
    outline, hatch = pixels(image, RIGHT), pixels(image, OTHER)
    true, predicted = large(RED, image), large(BLUE, image)
    assert (true | ~outline).all()
    assert (predicted | ~hatch).all()
    inside_true, inside_predicted = (
        image[12 * 8 - 16 : 12 * 8, 8 * 8 : 10 * 8],
        image[12 * 8 : 20 * 8, 24 * 8 : 32 * 8],
    )
    assert (inside_true == (120, 120, 120)).all()  # an outline leaves the middle free
    share = pixels(inside_predicted, OTHER).mean()
    assert 0.1 < share < 0.6  # hatching covers a part of the middle


def test_masks_can_be_told_apart_without_colour(path: Path) -> None:
    image = drawn(path, facts(RED, RED))
    grey = np.asarray(Image.fromarray(image).convert("L")).astype(int)
    only_outline = np.asarray(Image.fromarray(drawn(path, BOTH, MaskView.TRUE)).convert("L")).astype(int)
    middle = np.s_[8 * 8 : 13 * 8, 7 * 8 : 13 * 8]
    assert np.ptp(only_outline[middle]) == 0
    assert np.ptp(grey[middle]) > 60


def test_views_leave_one_mask_out(path: Path) -> None:
    assert not pixels(drawn(path, BOTH, MaskView.TRUE), OTHER).any()
    assert not pixels(drawn(path, BOTH, MaskView.PREDICTED), RIGHT).any()


def test_mask_at_the_edge_of_the_image_has_a_closed_outline(path: Path) -> None:
    image = drawn(path, facts(np.ones((HEIGHT, WIDTH), dtype=bool), np.zeros((HEIGHT, WIDTH), dtype=bool)))
    outline = pixels(image, RIGHT)
    assert outline[0].all()
    assert outline[-1].all()
    assert outline[:, 0].all()
    assert outline[:, -1].all()
    assert not pixels(image, OTHER).any()


@pytest.mark.parametrize("text", ["", "0", "nonsense~"])
def test_damaged_mask_is_left_out(path: Path, text: str) -> None:
    image = drawn(path, {**BOTH, "predicted": text})
    assert not pixels(image, OTHER).any()
    assert pixels(image, RIGHT).any()


def test_image_of_another_size_has_no_masks_and_says_so(path: Path) -> None:
    picture = picture_with_masks(path, (320, 240), {**BOTH, "size": [HEIGHT, WIDTH + 1]}, name="grey")
    assert picture.image is not None
    assert picture.note == "the masks do not fit the image"
    assert not pixels(np.asarray(picture.image), RIGHT).any()


def test_missing_image_is_a_problem(tmp_path: Path) -> None:
    assert picture_with_masks(tmp_path / "none.png", (320, 240), BOTH, name="none").problem
