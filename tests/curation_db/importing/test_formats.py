"""Every format's rows arrive in the record as what they are; formats are content by content."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curation_db.importing.detect import detect
from curation_db.importing.formats import Format
from curation_db.importing.image_check import ImageChecker
from curation_db.importing.rows import InputError, coco_key
from curation_db.importing.tables.columns import parse_mapping, texts_in_cell

Coco = Callable[..., dict[str, Any]]


def test_coco_captions(importer: Any, coco: Coco) -> None:
    report = importer.run(importer.write("captions.json", coco()))
    assert (report.format, report.source, report.images, report.captions) == ("coco", "coco", 2, 3)
    assert report.flawless
    assert importer.rows("SELECT key, file_name, width, height, extra FROM image ORDER BY id") == [
        ("9", "COCO_train2014_000000000009.jpg", 640, 480, '{"license":3}'),
        ("25", "COCO_train2014_000000000025.jpg", 640, 426, None),
    ]
    assert importer.rows(
        "SELECT c.key, i.key, text, cue FROM caption c JOIN image i ON i.id = image_id ORDER BY c.id"
    ) == [
        ("101", "9", "a woman riding a horse in a field", None),
        ("102", "9", "no hat on the rider", "no"),
        ("103", "25", "two giraffes", None),
    ]
    assert importer.rows("SELECT name, licenses FROM source") == [("coco", '[{"id": 3, "name": "Attribution"}]')]


def test_annotations_before_the_images(importer: Any, coco: Coco) -> None:
    content = coco()
    turned = {name: content[name] for name in ("annotations", "images", "info")}
    assert importer.run(importer.write("captions.json", turned)).captions == 3
    assert importer.rejects == []


def test_annotations_of_stored_images(importer: Any, coco: Coco) -> None:
    importer.run(importer.write("images.json", coco(annotations=[])))
    assert importer.run(importer.write("captions.json", {"annotations": coco()["annotations"]})).captions == 3


def test_instances_count_objects(importer: Any, coco: Coco) -> None:
    marks = [(9, 1, 0), (9, 1, 0), (9, 1, 1), (9, 2, 0), (25, 2, 0)]
    annotations = [
        {"segmentation": {"counts": [1, 2]}, "iscrowd": crowd, "image_id": image, "category_id": kind, "id": number}
        for number, (image, kind, crowd) in enumerate(marks)
    ]
    categories = [{"id": 1, "name": "horse"}, {"id": 2, "name": "person"}]
    path = importer.write("instances.json", coco(annotations=annotations, categories=categories))
    report = importer.run(path)
    assert (report.format, report.objects) == ("instances", 3)
    assert importer.rows(
        "SELECT i.key, category, count FROM image_object JOIN image i ON i.id = image_id ORDER BY 1 DESC, 2"
    ) == [("9", "horse", 3), ("9", "person", 1), ("25", "person", 1)]


def test_captions_and_instances_share_images(importer: Any, coco: Coco) -> None:
    importer.run(importer.write("captions.json", coco()))
    annotations = [{"image_id": 9, "category_id": 1, "id": 1}]
    report = importer.run(
        importer.write("i.json", coco(annotations=annotations, categories=[{"id": 1, "name": "horse"}]))
    )
    assert (report.images, report.objects) == (0, 1)


@pytest.mark.parametrize("last", [False, True])
def test_licences_are_written_once_and_completely(
    importer: Any, coco: Coco, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    """A list of licences that is read in several runs is written at once."""
    monkeypatch.setattr("curation_db.importing.json_stream.RUN", 2)
    content = coco(licenses=[{"id": n} for n in range(5)])
    if last:
        content["licenses"] = content.pop("licenses")
    with importer.store.write() as connection:
        connection.exec_driver_sql("CREATE TABLE seen(licenses TEXT)")
        connection.exec_driver_sql(
            "CREATE TRIGGER see UPDATE ON source BEGIN INSERT INTO seen VALUES (new.licenses); END"
        )
    importer.run(importer.write("a.json", content))
    importer.run(importer.write("b.json", coco(licenses=[{"id": 7}])))
    assert importer.rows("SELECT licenses FROM seen") == [(json.dumps(content["licenses"]),)]
    assert importer.rows("SELECT licenses FROM source") == [(json.dumps(content["licenses"]),)]


def _negationclip(coco: Coco, **more: Any) -> dict[str, Any]:
    row = {
        "image_id": 9,
        "id": 101,
        "caption": "a woman riding a horse in a field",
        "updated_caption": "a woman not wearing a hat riding a horse in a field",
    }
    return coco(annotations=[{**row, **more}])


def test_negationclip_has_captions_and_candidates(importer: Any, coco: Coco) -> None:
    report = importer.run(importer.write("n.json", _negationclip(coco, score=0.5)))
    assert (report.format, report.captions, report.candidates) == ("negationclip", 1, 1)
    (row,) = importer.rows(
        """SELECT d.key, d.text, pipeline, generator, concept, concept_confidence, negation_type, d.extra, c.key, state
           FROM candidate d JOIN caption c ON c.id = caption_id JOIN candidate_state s ON s.candidate_id = d.id"""
    )
    assert row[0:4] == ("negationclip/101", "a woman not wearing a hat riding a horse in a field", "P1", "negationclip")
    assert row[4] == "hat"
    assert 0 < row[5] <= 1
    assert row[7:] == ('{"score":0.5}', "101", "open")


def test_the_type_of_text_ids_is_stored(importer: Any, coco: Coco) -> None:
    content = _negationclip(coco, id="101", image_id="9")
    content["images"][0]["id"] = "9"
    importer.run(importer.write("n.json", content))
    assert json.loads(importer.rows("SELECT extra FROM candidate")[0][0]) == {"id": "101", "image_id": "9"}
    assert json.loads(importer.rows("SELECT extra FROM image")[0][0]) == {"license": 3, "id": "9"}


def test_sugarcrepe_shares_images_with_coco(importer: Any, coco: Coco) -> None:
    importer.run(importer.write("captions.json", coco()))
    row = {"filename": "000000000009.jpg", "caption": "no hat on the rider", "negative_caption": "a hat on the rider"}
    report = importer.run(importer.write("swap_obj.json", {"0": row, "7": {**row, "caption": "another"}}))
    assert (report.format, report.images, report.captions, report.candidates) == ("sugarcrepe", 0, 1, 2)
    assert importer.rows(
        "SELECT d.key, c.key, pipeline, generator FROM candidate d JOIN caption c ON c.id = caption_id ORDER BY d.id"
    )[0] == ("sugarcrepe-swap_obj/0", "102", "import", "sugarcrepe-swap_obj")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json"])
def test_tables(importer: Any, suffix: str) -> None:
    rows = [
        {"n": "1", "where": "a/b.png", "says": "a dog, running", "negated": "a dog without a leash", "what": "leash"},
        {"n": "2", "where": "c.png", "says": 'a "cat"', "negated": "", "what": ""},
    ]
    mapping = parse_mapping(["id=n", "image=where", "caption=says", "candidate=negated", "concept=what"])
    report = importer.run(importer.write(f"set.{suffix}", _table(rows, suffix)), mapping=mapping)
    assert (report.format, report.source, report.images, report.captions, report.candidates) == (suffix, "set", 2, 2, 1)
    assert importer.rows("SELECT key, file_name FROM image ORDER BY id") == [("a/b.png", "a/b.png"), ("c.png", "c.png")]
    assert importer.rows("SELECT key, text FROM caption ORDER BY id") == [("1", "a dog, running"), ("2", 'a "cat"')]
    assert importer.rows("SELECT key, concept, concept_confidence, generator FROM candidate") == [
        ("set/1", "leash", 1.0, "set")
    ]


def _table(rows: list[dict[str, str]], suffix: str) -> str:
    import csv
    import io

    if suffix == "json":
        return json.dumps(rows)
    if suffix == "jsonl":
        return "\n".join(json.dumps(row) for row in rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys(), delimiter="\t" if suffix == "tsv" else ",")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("cell", ['["a dog", "no dog"]', "['a dog', \"no dog\"]"])
def test_a_cell_may_hold_a_list(importer: Any, cell: str) -> None:
    import csv
    import io

    out = io.StringIO()
    csv.writer(out).writerows([["filepath", "captions", "x"], ["a.jpg", cell, "1"]])
    report = importer.run(importer.write("retrieval.csv", out.getvalue()))
    assert report.columns == {"image": "filepath", "caption": "captions"}
    assert importer.rows("SELECT text FROM caption ORDER BY id") == [("a dog",), ("no dog",)]


def test_lists_are_parsed_and_never_evaluated() -> None:
    assert texts_in_cell("[__import__('os')]") == ["[__import__('os')]"]
    assert texts_in_cell("[a dog]") == ["[a dog]"]
    assert texts_in_cell("[1, 2]") == ["[1, 2]"]
    assert texts_in_cell("[" * 5_000 + "]" * 5_000) == ["[" * 5_000 + "]" * 5_000]
    assert texts_in_cell(None) == []


def test_unknown_columns_are_stored(importer: Any) -> None:
    row = {"image_path": "a.png", "caption": "x", "hard_negatives": ["not x", "never x"], "score": 1, "z": None}
    importer.run(importer.write("a.jsonl", json.dumps(row)))
    assert importer.rows("SELECT extra FROM candidate") == [('{"score":1,"z":null}',)] * 2


@pytest.mark.parametrize(
    ("table", "says"),
    [("a,b\n1,2\n", "image"), ("image,b\n1,2\n", "text"), ("image,caption\n1,2\n", "no column 'nope'")],
)
def test_a_table_without_image_or_text_columns_is_an_error(importer: Any, table: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        importer.run(importer.write("a.csv", table), mapping=parse_mapping(["concept=nope"]) if "nope" in says else {})


def test_a_mapping_for_coco_is_an_error(importer: Any, coco: Coco) -> None:
    with pytest.raises(InputError, match="no columns"):
        importer.run(importer.write("c.json", coco()), mapping=parse_mapping(["caption=title"]))


@pytest.mark.parametrize("pair", ["image", "nope=a", "image="])
def test_mappings_are_checked(pair: str) -> None:
    with pytest.raises(InputError):
        parse_mapping([pair])


def test_folder_of_images(importer: Any) -> None:
    root = importer.folder / "photos"
    (root / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.jpg", "c.png"):
        Image.new("RGB", (7, 5)).save(root / name)
    (root / "a.txt").write_text("a black picture\n\nstill no colour\n")
    (root / "sub/b.txt").write_bytes(b"gut\nschlecht \xe9\n")
    (root / "lonely.txt").write_text("where is it")
    report = importer.run(root, checker=ImageChecker(lambda _source, name: root / (name or "")))
    assert (report.source, report.images, report.captions) == ("photos", 3, 3)
    assert importer.rows("SELECT key, width, height FROM image ORDER BY key")[-1] == ("sub/b.jpg", 7, 5)
    assert sorted(importer.reasons) == ["encoding", "no-picture"]


def test_suffixes_in_a_folder_may_have_any_case(importer: Any) -> None:
    for name in ("c.png", "d.JPG", "e.PNG"):
        Image.new("RGB", (7, 5)).save(importer.write(f"photos/{name}", b""))
    for name in ("c.TXT", "d.Txt", "e.txt", "lonely.TXT"):
        importer.write(f"photos/{name}", f"of {name}")
    importer.run(importer.folder / "photos")
    assert importer.rows("SELECT text FROM caption ORDER BY id") == [("of c.TXT",), ("of d.Txt",), ("of e.txt",)]
    assert [(each.where, str(each.reason)) for each in importer.rejects] == [("lonely.TXT", "no-picture")]


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.json", '{"info": {}, "images": [], "annotations": [{"caption": "a", "id": 1}]}', Format.COCO),
        ("a", '{"annotations":[],"images":[]}', Format.COCO),
        ("a", '{"annotations":[{"segmentation": {"size": [1]}, "category_id": 1}]}', Format.INSTANCES),
        (
            "a",
            '{"annotations":[{"caption": "\\"category_id\\": 1", "id": 1, "updated_caption": ""}]}',
            Format.NEGATIONCLIP,
        ),
        ("a", '{"0": {"filename": "a", "caption": "", "negative_caption": ""}}', Format.SUGARCREPE),
        ("a", '{"0": {"image_file": "a", "caption": ""}}', Format.JSON),
        ("a", '[{"image": "a", "caption": ""}]', Format.JSON),
        ("a", '{"image": "a", "caption": ""}\n{"image": "a", "caption": ""}\n', Format.JSONL),
        ("a", '{"image": "a", "caption": ""}', Format.JSONL),
        ("a", '{"image": "a", "captions": ["a"], "negatives": ["b"]}', Format.JSONL),
        ("a", '{"image": "a", "caption": "b", "meta": {"x": 1}}', Format.JSONL),
        ("a.csv", "image,caption\n", Format.CSV),
        ("a.tsv", "image\tcaption\n", Format.TSV),
        ("a.txt", "image\tcaption\n", Format.TSV),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_formats_are_detected_by_content(tmp_path: Path, name: str, content: str, form: Format, encoding: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    assert detect(path) is form


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"hello", b"{", b'{"a": 1,'])
def test_unknown_formats_are_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InputError):
        detect(path)


def test_coco_keys() -> None:
    assert coco_key("000000085329.jpg") == "85329"
    assert coco_key("train2014/COCO_train2014_000000085329.jpg") == "85329"
    assert coco_key("dog.jpg") is None
    assert coco_key("v7w_2315427.jpg") is None
