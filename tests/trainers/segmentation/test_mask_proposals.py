"""Mask proposals of a tiny SAM model through the pipeline of transformers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.segmentation import HEIGHT, WIDTH, draw_image
from support.segmentation_models import make_sam

from trainers.errors import ModelRefused
from trainers.segmentation.mask_proposals import load_proposer
from trainers.segmentation.proposal_settings import ProposalSettings

ANY = ProposalSettings(points_per_side=3, pred_iou_thresh=-100, stability_score_thresh=0, crops_nms_thresh=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sam(tmp_path_factory.mktemp("models") / "sam")


@pytest.fixture
def image(tmp_path: Path) -> Image.Image:
    draw_image(tmp_path / "image.png")
    return Image.open(tmp_path / "image.png")


def test_masks_have_the_size_of_the_image(folder: Path, image: Image.Image) -> None:
    masks = load_proposer(str(folder), settings=ANY).propose(image)
    assert masks.shape[1:] == (HEIGHT, WIDTH)
    assert len(masks) > 1
    assert masks.any(axis=(1, 2)).all()
    again = load_proposer(str(folder), settings=ANY).propose(image)
    assert np.array_equal(masks, again)


def test_no_mask_is_good_enough(folder: Path, image: Image.Image) -> None:
    masks = load_proposer(str(folder), settings=replace(ANY, pred_iou_thresh=1e6)).propose(image)
    assert masks.shape == (0, HEIGHT, WIDTH)


def test_settings_and_weights_are_described(folder: Path, tmp_path: Path) -> None:
    ours = load_proposer(str(folder), settings=ANY).describe()
    assert ours == load_proposer(str(folder), settings=ANY).describe()
    assert ours["points_per_side"] == 3
    other = load_proposer(str(make_sam(tmp_path / "other", seed=9)), settings=ANY).describe()
    assert ours["proposer"] != other["proposer"]


def test_missing_weights_are_one_line_with_the_command_that_gets_them() -> None:
    with pytest.raises(ModelRefused) as error:
        load_proposer()
    assert (
        error.value.message == "there are no weights of the mask generation model facebook/sam-vit-base on this machine"
    )
    assert error.value.hint.startswith("get them with: hf download facebook/sam-vit-base")
