"""Tests of image sizes: as displayed, with EXIF orientation, without decoding pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile, ImageOps

from curation_db.image_paths import display_size, find_image_file
from curation_db.importing.image_check import ImageChecker, header_size

FORMATS = ["JPEG", "PNG", "WEBP", "TIFF"]


def turned(path: Path, orientation: int, kind: str) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48)).save(path, format=kind, exif=exif)
    return path


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_displayed_image(
    tmp_path: Path, orientation: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = turned(tmp_path / "a", orientation, kind)
    with Image.open(path) as opened:
        shown = ImageOps.exif_transpose(opened).size
    assert shown == ((48, 64) if orientation > 4 else (64, 48))
    with Image.open(path) as opened:
        assert display_size(opened) == shown
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)  # decoding would fail
    with path.open("rb") as file:
        assert header_size(file, "a") == shown


def test_a_png_file_without_exif_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    with (tmp_path / "a.png").open("rb") as file:
        assert header_size(file, "a.png") == (64, 48)


def test_malformed_exif_is_ignored(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with (tmp_path / "a.jpg").open("rb") as file:
        assert header_size(file, "a.jpg") == (64, 48)


def test_an_import_stores_the_size(importer: Any, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    turned(root / "a.jpg", 6, "JPEG")
    turned(root / "b.jpg", 1, "JPEG")
    importer.run(root, checker=ImageChecker(lambda _source, name: find_image_file([root], name)))
    assert importer.rows("SELECT key, width, height FROM image ORDER BY key") == [("a.jpg", 48, 64), ("b.jpg", 64, 48)]


@pytest.mark.parametrize(("size", "source"), [((64, 48), "photos"), ((48, 64), "photos"), ((64, 64), "again")])
def test_a_size_without_exif_orientation_matches_the_same_image(
    importer: Any, size: tuple[int, int], source: str
) -> None:
    def listing(width: int, height: int) -> dict[str, Any]:
        images = [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}]
        return {"images": images, "annotations": [{"id": 1, "image_id": 1, "caption": "a dog"}]}

    importer.run(importer.write("photos.json", listing(48, 64)))
    assert importer.run(importer.write("again.json", listing(*size))).source == source
