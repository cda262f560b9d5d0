"""Tests of Karpathy splits, Flickr token files, and annotations without ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from curation_db.importing.pipeline import make_plan
from curation_db.importing.rows import InputError


def karpathy(*images: dict[str, Any], dataset: str = "coco") -> dict[str, Any]:
    return {"images": list(images), "dataset": dataset}


def sentences(first: int, *texts: str) -> list[dict[str, Any]]:
    return [
        {"tokens": text.lower().split(), "raw": text, "imgid": 0, "sentid": first + n} for n, text in enumerate(texts)
    ]


@pytest.fixture
def split_file() -> dict[str, Any]:
    """The images and captions of the fixture `coco` as a Karpathy file, and one more image."""
    folder, named = "train2014", "COCO_train2014_{:012}.jpg"
    rider = sentences(101, "a woman riding a horse in a field", "no hat on the rider")
    # fmt: off
    return karpathy(
        {"filepath": folder, "filename": named.format(9), "cocoid": 9, "imgid": 0, "split": "train",
         "sentids": [101, 102], "sentences": rider},
        {"filepath": folder, "filename": named.format(25), "cocoid": 25, "imgid": 1, "split": "val",
         "sentids": [103], "sentences": sentences(103, "two giraffes")},
        {"filepath": folder, "filename": named.format(30), "cocoid": 30, "imgid": 2, "split": "restval",
         "sentids": [104], "sentences": sentences(104, "a bowl without fruit")},
    )
    # fmt: on


@pytest.mark.parametrize("own_first", [True, False])
def test_images_and_captions_match_those_of_coco(
    importer: Any, coco: Callable[..., Any], split_file: dict[str, Any], own_first: bool
) -> None:
    own, other = importer.write("captions_train2014.json", coco()), importer.write("dataset_coco.json", split_file)
    first, second = (importer.run(path) for path in ((own, other) if own_first else (other, own)))
    assert {first.format, second.format} == {"coco", "karpathy"}
    assert (first.source, second.source) == ("coco", "coco")
    assert (first.flawless, second.flawless) == (True, True)
    assert second.unchanged >= 5
    assert importer.rows("SELECT key, file_name FROM image ORDER BY id") == [
        ("9", "COCO_train2014_000000000009.jpg"),
        ("25", "COCO_train2014_000000000025.jpg"),
        ("30", "COCO_train2014_000000000030.jpg"),
    ]
    assert importer.rows("SELECT key FROM caption ORDER BY key") == [("101",), ("102",), ("103",), ("104",)]


@pytest.mark.parametrize("indent", [None, 2])
def test_karpathy_is_detected_in_one_line_and_in_many(
    importer: Any, split_file: dict[str, Any], indent: int | None
) -> None:
    report = importer.run(importer.write("x.json", json.dumps(split_file, indent=indent)))
    assert (report.format, report.images, report.captions) == ("karpathy", 3, 4)
    extra = importer.rows("SELECT extra FROM image WHERE key = '25'")[0][0]
    assert json.loads(extra) == {"filepath": "train2014", "split": "val"}


def test_only_the_given_splits_are_imported(importer: Any, split_file: dict[str, Any]) -> None:
    path = importer.write("dataset_coco.json", split_file)
    assert importer.run(path, splits=("val",)).captions == 1
    assert importer.run(path, splits=("val", "restval")).captions == 1
    assert importer.rows("SELECT key FROM image ORDER BY id") == [("25",), ("30",)]
    with pytest.raises(InputError, match="--split is only for Karpathy files"):
        make_plan(importer.write("a.csv", "image,caption\na.jpg,a dog\n"), splits=("val",))


def test_images_of_other_data_sets_use_their_names_as_keys(importer: Any) -> None:
    content = karpathy(
        {"filename": "1000092795.jpg", "imgid": 0, "split": "train", "sentences": sentences(0, "two men")},
        {"filepath": "more", "filename": "b.jpg", "imgid": 1, "split": "test", "sentences": sentences(1, "a dog")},
    )
    report = importer.run(importer.write("dataset_flickr30k.json", content))
    assert (report.source, report.captions) == ("dataset_flickr30k", 2)
    assert importer.rows("SELECT key, file_name FROM image ORDER BY id") == [
        ("1000092795.jpg", "1000092795.jpg"),
        ("more/b.jpg", "more/b.jpg"),
    ]


def test_only_malformed_entries_are_refused(importer: Any, split_file: dict[str, Any]) -> None:
    first, second, third = split_file["images"]
    first["sentences"] += [{"sentid": 7}, "a text", {"raw": "no number"}, {"raw": "odd", "sentid": []}]
    second["sentences"] = "two giraffes"
    del third["filename"]
    report = importer.run(importer.write("dataset_coco.json", split_file))
    assert (report.images, report.captions) == (1, 3)
    assert [(each.where, each.message.partition(":")[0]) for each in importer.rejects] == [
        ("images[0]", "sentences[2]"),
        ("images[0]", "sentences[3]"),
        ("images[0]", "sentences[5]"),
        ("images[1]", "expected a list of sentences"),
        ("images[2]", "no field 'filename'"),
    ]


def test_a_token_file_of_flickr_is_read(importer: Any) -> None:
    rows = '10.jpg#0\tTwo men , no hats .\n10.jpg#1\tA "dog" .\r\n\n11.jpg#0\t\nhello\n12.jpg#0\ta cat\n'
    path = importer.write("results_20130124.token", rows)
    report = importer.run(path, source="flickr30k")
    assert (report.format, report.images, report.captions) == ("flickr", 3, 3)
    assert [(each.where, each.reason) for each in importer.rejects] == [
        ("line 5", "malformed"),
        ("line 4", "empty-text"),
    ]
    assert importer.rows("SELECT key, text FROM caption ORDER BY id") == [
        ("10.jpg#0", "Two men , no hats ."),
        ("10.jpg#1", 'A "dog" .'),
        ("12.jpg#0", "a cat"),
    ]
    assert importer.run(path, source="flickr30k").unchanged == 6
    assert importer.run(importer.write("Flickr8k.token.txt", "a.jpg#0\ta dog\n")).format == "flickr"


# -- COCO's shape without ids of annotations


@pytest.mark.parametrize("blank", [{}, {"id": None}])
def test_annotations_without_ids_are_imported(importer: Any, blank: dict[str, None]) -> None:
    content = {
        "images": [{"id": n, "file_name": f"img{n}.jpg"} for n in (1, 2, 3)],
        "annotations": [
            {**blank, "image_id": 1, "caption": "a dog", "updated_caption": "a dog with no hat"},
            {**blank, "image_id": 2, "caption": "a cat", "updated_caption": "a cat with no hat"},
            {**blank, "image_id": 2, "caption": "a cow", "updated_caption": "a cow with no hat"},
        ],
    }
    path = importer.write("noannid.json", content)
    report = importer.run(path)
    assert (report.images, report.captions, report.candidates, report.flawless) == (3, 3, 3, True)
    assert len(set(importer.rows("SELECT key FROM candidate"))) == 3
    assert importer.rows(
        "SELECT c.text, p.text FROM candidate c JOIN caption p ON p.id = c.caption_id ORDER BY c.id"
    ) == [
        ("a dog with no hat", "a dog"),
        ("a cat with no hat", "a cat"),
        ("a cow with no hat", "a cow"),
    ]
    assert importer.run(path).new == 0
    plain = {**content, "annotations": [{**blank, "image_id": 3, "caption": text} for text in ("a bus", "a car")]}
    report = importer.run(importer.write("plain.json", plain), source="noannid")
    assert (report.format, report.captions, report.flawless) == ("coco", 2, True)


def test_an_annotation_with_an_invalid_id_or_no_image_is_refused(importer: Any, coco: Callable[..., Any]) -> None:
    rows = [{"id": [], "image_id": 9, "caption": "x"}, {"caption": "y"}, {"image_id": 9}, 7]
    report = importer.run(importer.write("a.json", coco(annotations=[{"image_id": 9, "caption": "z"}, *rows])))
    assert report.captions == 1
    assert importer.reasons == ["bad-value", "no-field", "no-field", "malformed"]


def test_objects_without_ids_are_counted(importer: Any, coco: Callable[..., Any]) -> None:
    things = [{"image_id": 9, "category_id": 1}] * 2 + [{"id": 4, "image_id": 9, "category_id": 1}] * 2
    content = coco(annotations=things, categories=[{"id": 1, "name": "dog"}])
    report = importer.run(importer.write("instances.json", content))
    assert (report.format, importer.reasons) == ("instances", ["duplicate"])
    assert importer.rows("SELECT category, count FROM image_object") == [("dog", 3)]
