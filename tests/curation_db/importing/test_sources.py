"""Tests that no text is stored with a wrong image: equal ids in two data sets, two images with one id."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from curation_db.importing.rows import InputError, may_be_same_image

Coco = Callable[..., dict[str, Any]]
TEXTS = (
    "SELECT s.name, i.file_name, c.text FROM {} c JOIN image i ON i.id = c.image_id JOIN source s ON s.id = i.source_id"
)


def one_image(name: str, text: str, *, key: int = 1, number: int = 5, **more: Any) -> dict[str, Any]:
    """Return a NegationCLIP file with one image."""
    annotation = {"id": number, "image_id": key, "caption": text, "updated_caption": f"{text} with no hat"}
    return {"images": [{"id": key, "file_name": name, **more}], "annotations": [annotation]}


def instances(*names: str) -> dict[str, Any]:
    """Return an instances file: a dog in each image; images are numbered from 1."""
    return {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names, 1)],
        "annotations": [{"id": n, "image_id": n, "category_id": 3} for n, _ in enumerate(names, 1)],
        "categories": [{"id": 3, "name": "dog"}],
    }


# -- two sets


def test_two_data_sets_with_equal_ids_get_two_sources(importer: Any) -> None:
    importer.run(importer.write("a.json", one_image("kitchen.jpg", "a kitchen")))
    report = importer.run(importer.write("b.json", one_image("beach.jpg", "a beach", number=7001)))
    assert (report.source, report.flawless) == ("b", True)
    rows = [("a", "kitchen.jpg", "a kitchen with no hat"), ("b", "beach.jpg", "a beach with no hat")]
    assert importer.rows(TEXTS.format("candidate")) == rows


def test_two_data_sets_with_equal_file_names_get_two_sources(importer: Any) -> None:
    importer.run(importer.write("x/set.json", one_image("kitchen.jpg", "a kitchen")))
    other = importer.write("y/set.json", one_image("beach.jpg", "a beach", number=7001))
    assert importer.run(other).source == "set-2"
    again = importer.run(other)
    assert (again.source, again.new, again.flawless) == ("set-2", 0, True), "the source is found by its images"
    assert importer.rows(TEXTS.format("caption"))[1] == ("set-2", "beach.jpg", "a beach")


@pytest.mark.parametrize("turned", [False, True])
def test_rows_that_refer_to_a_refused_image_are_refused(importer: Any, turned: bool) -> None:
    importer.run(importer.write("a.json", one_image("kitchen.jpg", "a kitchen")), source="mine")
    content = one_image("beach.jpg", "a beach", number=7001)
    if turned:
        content = dict(reversed(content.items()))
    report = importer.run(importer.write("b.json", content), source="mine")
    assert (report.new, report.unchanged) == (0, 0)
    assert sorted(report.rejected) == ["caption-refused", "duplicate", "picture-refused"]
    assert importer.rows(TEXTS.format("candidate")) == [("mine", "kitchen.jpg", "a kitchen with no hat")]
    assert "--source NAME" in importer.rejects[0].hint
    assert all("--source NAME" in hint for hint in report.hints)


def test_objects_of_a_refused_image_are_refused(importer: Any) -> None:
    importer.run(importer.write("a.json", one_image("1.jpg", "a kitchen")), source="mine")
    report = importer.run(importer.write("i.json", instances("beach.jpg", "2.jpg")), source="mine")
    assert report.rejected == {"duplicate": 1, "picture-refused": 1}
    assert importer.rows("SELECT i.file_name, category FROM image_object o JOIN image i ON i.id = o.image_id") == [
        ("2.jpg", "dog")
    ]


def test_questions_of_another_image_are_refused(importer: Any) -> None:
    importer.run(importer.write("a.json", one_image("kitchen.jpg", "a kitchen", key=9)), source="coco")
    ids = [{"question_id": n, "image_id": image} for n, image in enumerate((9, 9, 25))]
    answers = {"multiple_choice_answer": "no", "answers": [{"answer": "no"}]}
    annotations = importer.write(
        "an.json", {"data_subtype": "train2014", "annotations": [{**row, **answers} for row in ids]}
    )
    questions = importer.write(
        "q.json", {"data_subtype": "train2014", "questions": [{**row, "question": "Is it old?"} for row in ids]}
    )
    report = importer.run(questions, annotations=annotations)
    assert (report.questions, report.rejected) == (1, {"duplicate": 1, "picture-refused": 2})
    assert importer.rows("SELECT i.key FROM visual_question q JOIN image i ON i.id = q.image_id") == [("25",)]


# -- source of the images


def test_a_file_is_assigned_to_the_source_with_its_images(importer: Any) -> None:
    captions = {
        "images": [{"id": 1, "file_name": "kitchen.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "a kitchen"}],
    }
    importer.run(importer.write("mine_captions.json", captions))
    for name, content in (
        ("mine_instances", instances("kitchen.jpg")),
        ("mine_negated", one_image("kitchen.jpg", "a kitchen")),
    ):
        report = importer.run(importer.write(f"{name}.json", content))
        assert (report.source, report.images, report.flawless) == ("mine_captions", 0, True)


def test_images_of_other_sizes_are_different_images(importer: Any) -> None:
    importer.run(importer.write("a.json", one_image("1.jpg", "a kitchen", width=640, height=480)))
    assert importer.run(importer.write("b.json", one_image("1.jpg", "a beach", width=300, height=200))).source == "b"


@pytest.mark.parametrize(
    ("key", "name", "source"),
    [
        (9, "COCO_train2014_000000000009.jpg", "coco"),
        (9, "000000000009.jpg", "coco"),
        (9, "train2017/000000000009.jpg", "coco"),
        (8, "000000000009.jpg", "set"),
        (9, "9.jpg", "set"),
        (9, "dog_000000000009.jpg", "set"),
        (9, "photos/000000000009.jpg", "set"),
        (600_000, "000000600000.jpg", "set"),
    ],
)
def test_coco_is_detected_by_names_and_ids(importer: Any, key: int, name: str, source: str) -> None:
    assert importer.run(importer.write("set.json", one_image(name, "a dog", key=key))).source == source


def test_without_image_names_the_file_name_decides(importer: Any) -> None:
    content = {"images": [{"id": 9}], "annotations": [{"id": 1, "image_id": 9, "caption": "a dog"}]}
    assert importer.run(importer.write("captions_train2014.json", content)).source == "coco"
    assert importer.run(importer.write("captions.json", content)).source == "captions"
    assert (
        importer.run(importer.write("train2014.json", {**content, "images": [{"id": 600_000}]})).source == "train2014"
    )


def test_ids_alone_do_not_determine_the_source(importer: Any) -> None:
    importer.run(importer.write("a.json", one_image("kitchen.jpg", "a kitchen")))
    path = importer.write("b.json", {"annotations": one_image("", "a beach")["annotations"]})
    with pytest.raises(InputError, match="do not determine their source") as refused:
        importer.run(path)
    assert "--source NAME" in refused.value.hint
    assert importer.run(path, source="b").rejected == {"unknown-image": 1, "caption-refused": 1}


def test_sugarcrepe_with_other_images_gets_its_own_source(importer: Any) -> None:
    row = {"filename": "dog.jpg", "caption": "a dog", "negative_caption": "no dog"}
    assert importer.run(importer.write("swap.json", {"0": row})).source == "swap"


def test_questions_about_drawings_are_not_coco(importer: Any) -> None:
    ids = {"question_id": 1, "image_id": 9}
    kind = {"data_type": "abstract_v002", "data_subtype": "train2015"}
    answers = {"multiple_choice_answer": "no", "answers": [{"answer": "no"}]}
    annotations = importer.write("an.json", {**kind, "annotations": [{**ids, **answers}]})
    questions = importer.write("q.json", {**kind, "questions": [{**ids, "question": "Is it old?"}]})
    assert importer.run(questions, annotations=annotations).source == "q"


# -- two images with one id in one file


@pytest.mark.parametrize("run", [1, 10_000])
@pytest.mark.parametrize("order", [("images", "annotations"), ("annotations", "images")])
def test_a_text_with_an_ambiguous_image_is_refused(
    importer: Any, monkeypatch: pytest.MonkeyPatch, order: tuple[str, str], run: int
) -> None:
    monkeypatch.setattr("curation_db.importing.json_stream.RUN", run)
    content = one_image("kitchen.jpg", "a beach")
    content["images"] += [{"id": 2, "file_name": "dog.jpg"}, {"id": 1, "file_name": "beach.jpg"}]
    content["annotations"] += one_image("dog.jpg", "a dog", key=2, number=6)["annotations"]
    path = importer.write("dup.json", {name: content[name] for name in order})
    for _ in range(2):
        report = importer.run(path)
        assert report.rejected == {"duplicate": 1, "picture-refused": 1, "caption-refused": 1}
        assert importer.rows(TEXTS.format("candidate")) == [("dup", "dog.jpg", "a dog with no hat")]
        assert importer.rows("SELECT file_name FROM image ORDER BY key") == [("kitchen.jpg",), ("dog.jpg",)]


def test_a_second_list_of_images_is_read_before_the_annotations(importer: Any) -> None:
    first, second = json.dumps([{"id": 1, "file_name": "a.jpg"}]), json.dumps([{"id": 1, "file_name": "b.jpg"}])
    annotations = json.dumps(one_image("", "a beach")["annotations"])
    path = importer.write("t.json", f'{{"images": {first}, "annotations": {annotations}, "images": {second}}}')
    assert importer.run(path).rejected == {"duplicate": 1, "picture-refused": 1, "caption-refused": 1}


def test_texts_of_an_image_with_a_refused_name_are_refused(importer: Any) -> None:
    importer.run(importer.write("a.json", one_image("kitchen.jpg", "a kitchen")), source="mine")
    report = importer.run(importer.write("b.json", one_image("../beach.jpg", "a beach", number=6)), source="mine")
    assert report.rejected == {"outside-folder": 1, "picture-refused": 1, "caption-refused": 1}
    assert importer.rows("SELECT count(*) FROM candidate") == [(1,)]


def test_the_first_name_after_a_nameless_row_counts(importer: Any) -> None:
    content = one_image("a.jpg", "a beach")
    content["images"] = [{"id": 1}, {"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]
    assert importer.run(importer.write("t.json", content)).rejected["duplicate"] == 1
    assert importer.rows("SELECT count(*) FROM caption") == [(0,)]


@pytest.mark.parametrize("batch", [1, 5_000])
def test_table_rows_that_name_their_image_are_imported(
    importer: Any, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("curation_db.importing.tables.row_mapping._BATCH", batch)
    rows = [
        {"image_id": 1, "caption": "of which one"},
        {"image_id": 1, "image": "a.png", "caption": "of a"},
        {"image_id": 1, "image": "b.png", "caption": "of b"},
        {"image_id": 1, "image": "a.png", "caption": "of a too"},
        {"image_id": 2, "caption": "of two"},
        {"image_id": 2, "image": "two.png", "caption": "of two too"},
        {"image_id": 3, "image": "../three.png", "caption": "of three"},
        {"image_id": 3, "caption": "of three too"},
    ]
    report = importer.run(importer.write("t.jsonl", "\n".join(map(json.dumps, rows))))
    assert report.rejected == {"duplicate": 1, "picture-refused": 2, "outside-folder": 1}
    assert sorted(row[1:] for row in importer.rows(TEXTS.format("caption"))) == [
        ("a.png", "of a"),
        ("a.png", "of a too"),
        ("two.png", "of two"),
        ("two.png", "of two too"),
    ]


@pytest.mark.parametrize("batch", [1, 5_000])
def test_negbench_rows_without_a_name_are_read_in_a_second_pass(
    importer: Any, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("curation_db.importing.readers.negbench._BATCH", batch)
    table = (
        "image_path,image_id,correct_answer,caption_0,caption_1\n"
        ",1,0,Of which one is it no,x\na.png,1,0,No a,x\nb.png,1,0,No b,x\n,2,0,No two,x\n"
    )
    report = importer.run(importer.write("mcq.csv", table))
    assert report.rejected == {"duplicate": 1, "picture-refused": 1}
    assert sorted(row[0] for row in importer.rows("SELECT text FROM candidate")) == ["No a", "No two"]


# -- names


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("COCO_train2014_000000000009.jpg", "000000000009.jpg", True),
        ("a.jpg", "a.jpg", True),
        ("a.jpg", None, True),
        ("Bru\u0308cke.jpg", "Br\u00fccke.jpg", True),
        ("COCO_train2014_000000000009.jpg", "COCO_val2014_000000000009.jpg", False),
        ("a/000000000009.jpg", "000000000009.jpg", False),
        ("a/000000000009.jpg", "b/000000000009.jpg", False),
        ("9.jpg", "000000000009.jpg", False),
        ("000000000009.jpg", "000000000009.png", False),
        ("COCO_mine_000000000009.jpg", "000000000009.jpg", False),
        ("Bru\u0308cke.jpg", "Brucke.jpg", False),
    ],
)
def test_two_names_of_one_image(one: str | None, other: str | None, same: bool) -> None:
    assert may_be_same_image(one, other) is may_be_same_image(other, one) is same


def test_equal_numbers_in_two_folders_are_two_images(importer: Any) -> None:
    rows = [{"image": f"{folder}/000000000009.jpg", "caption": f"in {folder}"} for folder in "ab"]
    importer.run(importer.write("t.jsonl", "\n".join(map(json.dumps, rows))), source="coco")
    assert [row[1:] for row in importer.rows(TEXTS.format("caption"))] == [
        ("a/000000000009.jpg", "in a"),
        ("b/000000000009.jpg", "in b"),
    ]


def test_a_short_number_is_not_a_coco_name(importer: Any, coco: Coco) -> None:
    importer.run(importer.write("captions_train2014.json", coco()))
    path = importer.write("t.jsonl", json.dumps({"image": "9.jpg", "caption": "a horse"}))
    assert importer.run(path, source="coco").rejected == {"duplicate": 1}
    assert "--source NAME" in importer.rejects[0].hint


def test_a_coco_name_with_a_folder_matches_the_name_without(importer: Any, coco: Coco) -> None:
    importer.run(importer.write("captions_train2014.json", coco()))
    row = {"image": "train2014/COCO_train2014_000000000009.jpg", "caption": "a horse"}
    path = importer.write("t.jsonl", json.dumps(row))
    assert importer.run(path, source="coco").rejected == {"duplicate": 1}
    assert "--strip-prefix train2014/" in importer.rejects[0].hint
    report = importer.run(path, source="coco", strip_prefixes=("train2014/",))
    assert (report.images, report.captions, report.flawless) == (0, 1, True)


def test_other_candidates_with_stored_keys_get_a_hint(importer: Any) -> None:
    importer.run(importer.write("r1.json", one_image("x.jpg", "a dog")))
    content = one_image("x.jpg", "a dog")
    content["annotations"][0]["updated_caption"] = "a dog without a leash"
    second = importer.write("r2.json", content)
    assert importer.run(second).rejected == {"duplicate": 1}
    assert "--generator NAME" in importer.rejects[0].hint
    assert importer.run(second, generator="second").candidates == 1


# -- tables that have ids alone


def test_a_table_of_stored_coco_ids_belongs_to_coco(importer: Any) -> None:
    importer.run(importer.write("c.json", one_image("COCO_train2014_000000391895.jpg", "a dog", key=391895)))
    ids = importer.write("fl.csv", "image_id,caption,negated_caption\n391895.0,a big dog,a big dog with no bone\n")
    report = importer.run(ids)
    assert (report.source, report.flawless) == ("coco", True)
    candidate = ("coco", "COCO_train2014_000000391895.jpg", "a big dog with no bone")
    assert candidate in importer.rows(TEXTS.format("candidate"))
    others = importer.write(
        "more.csv", "image_id,caption,negated_caption\n391895,a cat,a cat with no bell\n7,x,x with no y\n"
    )
    assert importer.run(others).source == "more", "7 is not stored"


def test_the_source_of_a_table_of_ids_does_not_change_later(importer: Any) -> None:
    ids = importer.write("fl.csv", "image_id,caption,negated_caption\n391895,a big dog,a big dog with no bone\n")
    assert importer.run(ids).source == "fl"
    importer.run(importer.write("c.json", one_image("COCO_train2014_000000391895.jpg", "a dog", key=391895)))
    again = importer.run(ids)
    assert (again.source, again.new) == ("fl", 0)
