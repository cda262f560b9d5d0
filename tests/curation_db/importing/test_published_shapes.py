"""Small files of the shapes in which SugarCrepe, ContextNegBench and VALSE are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from curation_db.importing.image_check import ImageChecker


def sugarcrepe(*rows: tuple[str, str, str]) -> dict[str, Any]:
    """By number: the picture's file, its caption, and the hard negative."""
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


def test_sugarcrepe_makes_a_candidate_of_each_row_and_comes_once(desk: Any) -> None:
    path = desk.file("add_att.json", ADD)
    report = desk.take(path)
    assert (report.format, report.images, report.candidates, report.rejected) == ("sugarcrepe", 2, 3, {})
    assert report.unsought_pictures == report.images
    assert desk.rows("SELECT count(*), count(caption_id) FROM candidate") == [(3, 3)]
    assert desk.rows("SELECT text FROM candidate ORDER BY id")[0] == ("A dog and no cat on a bench.",)
    assert desk.take(path).new == 0


def test_two_sugarcrepe_files_share_their_pictures(desk: Any) -> None:
    reports = [
        desk.take(desk.file(f"{name}.json", told)) for name, told in (("add_att", ADD), ("replace_obj", REPLACE))
    ]
    assert [report.images for report in reports] == [2, 1]
    assert desk.rows("SELECT count(DISTINCT key), count(*) FROM image") == [(3, 3)]
    assert desk.rows("SELECT count(*) FROM candidate") == [(5,)]


def test_contextnegbench_has_several_candidates_a_row_and_finds_its_pictures(desk: Any, tmp_path: Path) -> None:
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

    report = desk.take(tmp_path / "annotations.jsonl", source="contextneg", pictures=ImageChecker(locate))
    assert (report.images, report.captions, report.candidates, report.flawless) == (2, 2, 3, True)
    assert report.columns["candidate"] == "hard_negative_captions"
    assert desk.rows("SELECT DISTINCT width, height FROM image") == [(64, 48)]


def test_valse_is_a_picture_a_caption_and_a_foil_by_name(desk: Any) -> None:
    told = {
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
    report = desk.take(desk.file("valse_existence.json", told))
    assert (report.images, report.captions, report.candidates) == (2, 2, 2)
    assert desk.rows("SELECT c.text, d.text FROM candidate d JOIN caption c ON c.id = d.caption_id ORDER BY d.id") == [
        ("There are no people.", "There are people."),
        ("There is a dog.", "There is no dog."),
    ]
