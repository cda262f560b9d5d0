"""Images for models: a failure code gives the reason, independent of the message."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from curation_db.image_decoding import ImageProblem
from workbench.generation.engines.image_input import ImageUnavailable, load_image_file
from workbench.generation.engines.requests import RequestFailure
from workbench.images.decode import load_full, load_thumbnail


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 60).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def test_a_missing_file_and_a_bad_file_have_different_codes(tmp_path: Path) -> None:
    bad = tmp_path / "the picture is missing.jpg"
    bad.write_text("no image")
    expected = [
        (None, ImageProblem.MISSING, RequestFailure.PICTURE_MISSING),
        (tmp_path / "gone.jpg", ImageProblem.MISSING, RequestFailure.PICTURE_MISSING),
        (bad, ImageProblem.NOT_AN_IMAGE, RequestFailure.PICTURE_BAD),
        (tmp_path, ImageProblem.NOT_A_FILE, RequestFailure.PICTURE_BAD),
    ]
    for path, cause, failure in expected:
        assert load_thumbnail(path, (32, 32)).cause is cause
        with pytest.raises(ImageUnavailable) as raised:
            load_image_file(path, 32)
        assert raised.value.failure is failure


def test_a_truncated_image_is_not_given_to_models(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    whole = jpeg()
    path.write_bytes(whole)
    assert not load_thumbnail(path, (32, 32)).cut_off
    assert load_image_file(path, 32).size == (32, 32)
    path.write_bytes(whole[: len(whole) * 3 // 4])
    for shown in (load_thumbnail(path, (32, 32)), load_full(path)):
        assert shown.image is not None
        assert shown.cut_off
    with pytest.raises(ImageUnavailable) as raised:
        load_image_file(path, 32)
    assert raised.value.failure is RequestFailure.PICTURE_BAD
