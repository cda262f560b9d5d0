"""Tests with published files, if they are available."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation_db.importing.image_check import ImageChecker


@pytest.mark.parametrize(("name", "rows"), [("add_att", 692), ("replace_obj", 1652)])
def test_sugarcrepe(importer: Any, shared_data: Path, name: str, rows: int) -> None:
    path = shared_data / "sugarcrepe" / f"{name}.json"
    report = importer.run(path)
    assert (report.candidates, report.rejected, report.unsought_pictures) == (rows, {}, report.images)
    assert importer.rows("SELECT count(*), count(caption_id) FROM candidate") == [(rows, rows)]
    assert importer.run(path).new == 0


def test_both_sugarcrepe_files_share_their_images(importer: Any, shared_data: Path) -> None:
    reports = [importer.run(shared_data / "sugarcrepe" / f"{name}.json") for name in ("add_att", "replace_obj")]
    assert sum(report.images for report in reports) == importer.rows("SELECT count(DISTINCT key) FROM image")[0][0]


def test_contextnegbench_with_its_images(importer: Any, shared_data: Path) -> None:
    root = shared_data / "contextnegbench_lite"

    def locate(_source: str, name: str | None) -> Path | None:
        path = root / (name or "")
        return path if path.is_file() else None

    report = importer.run(root / "annotations.jsonl", source="contextneg", checker=ImageChecker(locate))
    assert (report.images, report.captions, report.candidates, report.flawless) == (15, 15, 21, True)
    assert report.columns["candidate"] == "hard_negative_captions"
    assert importer.rows("SELECT DISTINCT width, height FROM image") == [(224, 224)]


def test_valse_existence(importer: Any, shared_data: Path) -> None:
    report = importer.run(shared_data / "valse_existence.json")
    assert (report.images, report.captions, report.candidates) == (534, 534, 534)
