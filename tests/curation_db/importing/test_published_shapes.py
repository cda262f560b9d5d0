"""Tests with small files in the published formats of SugarCrepe, ContextNegBench and VALSE."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from curation_db.importing.image_check import ImageChecker


def sugarcrepe(*rows: tuple[str, str, str]) -> dict[str, Any]:
    """Return a SugarCrepe file from image files, captions and hard negatives."""
    names = ("filename", "caption", "negative_caption")
    return {str(number): dict(zip(names, row, strict=True)) for number, row in enumerate(rows)}


ADD = sugarcrepe(
    ("000000085329.jpg", "A dog on a bench.", "A dog and no cat on a bench."),
    ("000000085329.jpg", "A dog sits.", "A dog sits without a leash."),
    ("000000312552.jpg", "A red bus.", "A red bus that is not red."),
)
REPLACE = sugarcrepe(
    ("000000312552.jpg", "A red bus.", "A red tram."),
    ("000000000285.jpg", "A bear in the grass.", "A cow in the grass."),
)


def test_each_sugarcrepe_row_becomes_one_candidate(importer: Any) -> None:
    path = importer.write("add_att.json", ADD)
    report = importer.run(path)
    assert (report.format, report.images, report.candidates, report.rejected) == ("sugarcrepe", 2, 3, {})
    assert report.unsought_pictures == report.images
    assert importer.rows("SELECT count(*), count(caption_id) FROM candidate") == [(3, 3)]
    assert importer.rows("SELECT text FROM candidate ORDER BY id")[0] == ("A dog and no cat on a bench.",)
    assert importer.run(path).new == 0


def test_two_sugarcrepe_files_share_their_images(importer: Any) -> None:
    reports = [
        importer.run(importer.write(f"{name}.json", content))
        for name, content in (("add_att", ADD), ("replace_obj", REPLACE))
    ]
    assert [report.images for report in reports] == [2, 1]
    assert importer.rows("SELECT count(DISTINCT key), count(*) FROM image") == [(3, 3)]
    assert importer.rows("SELECT count(*) FROM candidate") == [(5,)]


def test_contextnegbench_has_several_candidates_per_row(importer: Any, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = []
    for number, negatives in enumerate((["a blue circle"], ["no circle", "a circle that is not red"])):
        name = f"images/attribute_{number:06d}.png"
        Image.new("RGB", (64, 48)).save(tmp_path / name)
        # fmt: off
        rows.append({
            "attributes": {"colors": ["red"]}, "correct_caption": "a red circle", "hard_negative_captions": negatives,
            "image_id": f"attribute_{number:06d}", "image_path": name, "metadata": {"noise": "clean"},
        })
        # fmt: on
    (tmp_path / "annotations.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")

    def locate(_source: str, name: str | None) -> Path | None:
        path = tmp_path / (name or "")
        return path if path.is_file() else None

    report = importer.run(tmp_path / "annotations.jsonl", source="contextneg", checker=ImageChecker(locate))
    assert (report.images, report.captions, report.candidates, report.flawless) == (2, 2, 3, True)
    assert report.columns["candidate"] == "hard_negative_captions"
    assert importer.rows("SELECT DISTINCT width, height FROM image") == [(64, 48)]


def test_valse_rows_have_an_image_a_caption_and_a_foil(importer: Any) -> None:
    content = {
        f"existence_visual7w_{number}": {
            "dataset": "visual7w",
            "image_file": f"v7w_{number}.jpg",
            "caption": caption,
            "foil": foil,
            "linguistic_phenomena": "existence",
            "classes_foil": [2, 1],
            "mturk": {"caption": 3, "foil": 0, "other": 0},
        }
        for number, (caption, foil) in enumerate(
            [("There are no people.", "There are people."), ("There is a dog.", "There is no dog.")]
        )
    }
    report = importer.run(importer.write("valse_existence.json", content))
    assert (report.images, report.captions, report.candidates) == (2, 2, 2)
    assert importer.rows(
        "SELECT c.text, d.text FROM candidate d JOIN caption c ON c.id = d.caption_id ORDER BY d.id"
    ) == [
        ("There are no people.", "There are people."),
        ("There is a dog.", "There is no dog."),
    ]
