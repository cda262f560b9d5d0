"""No text ever stands with a picture that it may not be about: equal ids of two sets, and two pictures under one id."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from curation_db.importing.rows import InputError, same_picture

Coco = Callable[..., dict[str, Any]]
TEXTS = (
    "SELECT s.name, i.file_name, c.text FROM {} c JOIN image i ON i.id = c.image_id JOIN source s ON s.id = i.source_id"
)


def made(name: str, text: str, *, key: int = 1, number: int = 5, **more: Any) -> dict[str, Any]:
    """A NegationCLIP file with one picture."""
    annotation = {"id": number, "image_id": key, "caption": text, "updated_caption": f"{text} with no hat"}
    return {"images": [{"id": key, "file_name": name, **more}], "annotations": [annotation]}


def instances(*names: str) -> dict[str, Any]:
    """An instances file: a dog in each of the pictures, which are numbered from 1."""
    return {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names, 1)],
        "annotations": [{"id": n, "image_id": n, "category_id": 3} for n, _ in enumerate(names, 1)],
        "categories": [{"id": 3, "name": "dog"}],
    }


# -- two sets


def test_two_sets_that_both_number_from_one_keep_apart(desk: Any) -> None:
    desk.take(desk.file("a.json", made("kitchen.jpg", "a kitchen")))
    report = desk.take(desk.file("b.json", made("beach.jpg", "a beach", number=7001)))
    assert (report.source, report.flawless) == ("b", True)
    told = [("a", "kitchen.jpg", "a kitchen with no hat"), ("b", "beach.jpg", "a beach with no hat")]
    assert desk.rows(TEXTS.format("candidate")) == told


def test_two_sets_in_files_of_one_name_keep_apart(desk: Any) -> None:
    desk.take(desk.file("x/set.json", made("kitchen.jpg", "a kitchen")))
    other = desk.file("y/set.json", made("beach.jpg", "a beach", number=7001))
    assert desk.take(other).source == "set-2"
    again = desk.take(other)
    assert (again.source, again.new, again.flawless) == ("set-2", 0, True), "found again by its pictures"
    assert desk.rows(TEXTS.format("caption"))[1] == ("set-2", "beach.jpg", "a beach")


@pytest.mark.parametrize("turned", [False, True])
def test_a_clash_of_a_stated_source_costs_all_that_refers_to_the_picture(desk: Any, turned: bool) -> None:
    desk.take(desk.file("a.json", made("kitchen.jpg", "a kitchen")), source="mine")
    told = made("beach.jpg", "a beach", number=7001)
    if turned:
        told = dict(reversed(told.items()))
    report = desk.take(desk.file("b.json", told), source="mine")
    assert (report.new, report.unchanged) == (0, 0)
    assert sorted(report.rejected) == ["caption-refused", "duplicate", "picture-refused"]
    assert desk.rows(TEXTS.format("candidate")) == [("mine", "kitchen.jpg", "a kitchen with no hat")]
    assert "--source NAME" in desk.rejects[0].hint
    assert all("--source NAME" in hint for hint in report.hints)


def test_objects_of_a_refused_picture_are_refused(desk: Any) -> None:
    desk.take(desk.file("a.json", made("1.jpg", "a kitchen")), source="mine")
    report = desk.take(desk.file("i.json", instances("beach.jpg", "2.jpg")), source="mine")
    assert report.rejected == {"duplicate": 1, "picture-refused": 1}
    assert desk.rows("SELECT i.file_name, category FROM image_object o JOIN image i ON i.id = o.image_id") == [
        ("2.jpg", "dog")
    ]


def test_questions_of_another_picture_are_refused(desk: Any) -> None:
    desk.take(desk.file("a.json", made("kitchen.jpg", "a kitchen", key=9)), source="coco")
    ids = [{"question_id": n, "image_id": image} for n, image in enumerate((9, 9, 25))]
    answers = {"multiple_choice_answer": "no", "answers": [{"answer": "no"}]}
    annotations = desk.file(
        "an.json", {"data_subtype": "train2014", "annotations": [{**row, **answers} for row in ids]}
    )
    questions = desk.file(
        "q.json", {"data_subtype": "train2014", "questions": [{**row, "question": "Is it old?"} for row in ids]}
    )
    report = desk.take(questions, annotations=annotations)
    assert (report.questions, report.rejected) == (1, {"duplicate": 1, "picture-refused": 2})
    assert desk.rows("SELECT i.key FROM visual_question q JOIN image i ON i.id = q.image_id") == [("25",)]


# -- whose pictures


def test_a_file_meets_the_pictures_of_its_own_set(desk: Any) -> None:
    captions = {
        "images": [{"id": 1, "file_name": "kitchen.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "a kitchen"}],
    }
    desk.take(desk.file("mine_captions.json", captions))
    for name, told in (
        ("mine_instances", instances("kitchen.jpg")),
        ("mine_negated", made("kitchen.jpg", "a kitchen")),
    ):
        report = desk.take(desk.file(f"{name}.json", told))
        assert (report.source, report.images, report.flawless) == ("mine_captions", 0, True)


def test_pictures_of_other_sizes_are_others(desk: Any) -> None:
    desk.take(desk.file("a.json", made("1.jpg", "a kitchen", width=640, height=480)))
    assert desk.take(desk.file("b.json", made("1.jpg", "a beach", width=300, height=200))).source == "b"


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
def test_a_file_is_cocos_by_its_names_and_ids(desk: Any, key: int, name: str, source: str) -> None:
    assert desk.take(desk.file("set.json", made(name, "a dog", key=key))).source == source


def test_without_names_the_files_own_name_tells(desk: Any) -> None:
    told = {"images": [{"id": 9}], "annotations": [{"id": 1, "image_id": 9, "caption": "a dog"}]}
    assert desk.take(desk.file("captions_train2014.json", told)).source == "coco"
    assert desk.take(desk.file("captions.json", told)).source == "captions"
    assert desk.take(desk.file("train2014.json", {**told, "images": [{"id": 600_000}]})).source == "train2014"


def test_ids_alone_do_not_tell_whose_pictures_they_are(desk: Any) -> None:
    desk.take(desk.file("a.json", made("kitchen.jpg", "a kitchen")))
    path = desk.file("b.json", {"annotations": made("", "a beach")["annotations"]})
    with pytest.raises(InputError, match="do not tell whose") as refused:
        desk.take(path)
    assert "--source NAME" in refused.value.hint
    assert desk.take(path, source="b").rejected == {"unknown-image": 1, "caption-refused": 1}


def test_sugarcrepe_on_other_pictures_is_a_source_of_its_own(desk: Any) -> None:
    row = {"filename": "dog.jpg", "caption": "a dog", "negative_caption": "no dog"}
    assert desk.take(desk.file("swap.json", {"0": row})).source == "swap"


def test_questions_about_drawings_are_not_cocos(desk: Any) -> None:
    ids = {"question_id": 1, "image_id": 9}
    kind = {"data_type": "abstract_v002", "data_subtype": "train2015"}
    answers = {"multiple_choice_answer": "no", "answers": [{"answer": "no"}]}
    annotations = desk.file("an.json", {**kind, "annotations": [{**ids, **answers}]})
    questions = desk.file("q.json", {**kind, "questions": [{**ids, "question": "Is it old?"}]})
    assert desk.take(questions, annotations=annotations).source == "q"


# -- two pictures under one id in one file


@pytest.mark.parametrize("run", [1, 10_000])
@pytest.mark.parametrize("order", [("images", "annotations"), ("annotations", "images")])
def test_a_text_that_could_mean_either_picture_is_refused(
    desk: Any, monkeypatch: pytest.MonkeyPatch, order: tuple[str, str], run: int
) -> None:
    monkeypatch.setattr("curation_db.importing.json_stream.RUN", run)
    told = made("kitchen.jpg", "a beach")
    told["images"] += [{"id": 2, "file_name": "dog.jpg"}, {"id": 1, "file_name": "beach.jpg"}]
    told["annotations"] += made("dog.jpg", "a dog", key=2, number=6)["annotations"]
    path = desk.file("dup.json", {name: told[name] for name in order})
    for _ in range(2):
        report = desk.take(path)
        assert report.rejected == {"duplicate": 1, "picture-refused": 1, "caption-refused": 1}
        assert desk.rows(TEXTS.format("candidate")) == [("dup", "dog.jpg", "a dog with no hat")]
        assert desk.rows("SELECT file_name FROM image ORDER BY key") == [("kitchen.jpg",), ("dog.jpg",)]


def test_a_second_list_of_images_counts_before_the_annotations(desk: Any) -> None:
    first, second = json.dumps([{"id": 1, "file_name": "a.jpg"}]), json.dumps([{"id": 1, "file_name": "b.jpg"}])
    annotations = json.dumps(made("", "a beach")["annotations"])
    path = desk.file("t.json", f'{{"images": {first}, "annotations": {annotations}, "images": {second}}}')
    assert desk.take(path).rejected == {"duplicate": 1, "picture-refused": 1, "caption-refused": 1}


def test_a_picture_refused_for_its_name_takes_no_texts(desk: Any) -> None:
    desk.take(desk.file("a.json", made("kitchen.jpg", "a kitchen")), source="mine")
    report = desk.take(desk.file("b.json", made("../beach.jpg", "a beach", number=6)), source="mine")
    assert report.rejected == {"outside-folder": 1, "picture-refused": 1, "caption-refused": 1}
    assert desk.rows("SELECT count(*) FROM candidate") == [(1,)]


def test_a_name_that_comes_after_a_nameless_row_binds(desk: Any) -> None:
    told = made("a.jpg", "a beach")
    told["images"] = [{"id": 1}, {"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]
    assert desk.take(desk.file("t.json", told)).rejected["duplicate"] == 1
    assert desk.rows("SELECT count(*) FROM caption") == [(0,)]


@pytest.mark.parametrize("batch", [1, 5_000])
def test_rows_of_a_table_that_name_their_picture_keep_it(
    desk: Any, monkeypatch: pytest.MonkeyPatch, batch: int
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
    report = desk.take(desk.file("t.jsonl", "\n".join(map(json.dumps, rows))))
    assert report.rejected == {"duplicate": 1, "picture-refused": 2, "outside-folder": 1}
    assert sorted(row[1:] for row in desk.rows(TEXTS.format("caption"))) == [
        ("a.png", "of a"),
        ("a.png", "of a too"),
        ("two.png", "of two"),
        ("two.png", "of two too"),
    ]


@pytest.mark.parametrize("batch", [1, 5_000])
def test_rows_of_negbench_that_have_an_id_alone_wait(desk: Any, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr("curation_db.importing.readers.negbench._BATCH", batch)
    table = (
        "image_path,image_id,correct_answer,caption_0,caption_1\n"
        ",1,0,Of which one is it no,x\na.png,1,0,No a,x\nb.png,1,0,No b,x\n,2,0,No two,x\n"
    )
    report = desk.take(desk.file("mcq.csv", table))
    assert report.rejected == {"duplicate": 1, "picture-refused": 1}
    assert sorted(row[0] for row in desk.rows("SELECT text FROM candidate")) == ["No a", "No two"]


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
def test_two_names_of_one_picture(one: str | None, other: str | None, same: bool) -> None:
    assert same_picture(one, other) is same_picture(other, one) is same


def test_equal_digits_across_folders_are_two_pictures(desk: Any) -> None:
    rows = [{"image": f"{folder}/000000000009.jpg", "caption": f"in {folder}"} for folder in "ab"]
    desk.take(desk.file("t.jsonl", "\n".join(map(json.dumps, rows))), source="coco")
    assert [row[1:] for row in desk.rows(TEXTS.format("caption"))] == [
        ("a/000000000009.jpg", "in a"),
        ("b/000000000009.jpg", "in b"),
    ]


def test_a_short_number_is_no_name_of_cocos_picture(desk: Any, coco: Coco) -> None:
    desk.take(desk.file("captions_train2014.json", coco()))
    path = desk.file("t.jsonl", json.dumps({"image": "9.jpg", "caption": "a horse"}))
    assert desk.take(path, source="coco").rejected == {"duplicate": 1}
    assert "--source NAME" in desk.rejects[0].hint


def test_cocos_picture_in_a_folder_meets_cocos_own_without_the_folder(desk: Any, coco: Coco) -> None:
    desk.take(desk.file("captions_train2014.json", coco()))
    row = {"image": "train2014/COCO_train2014_000000000009.jpg", "caption": "a horse"}
    path = desk.file("t.jsonl", json.dumps(row))
    assert desk.take(path, source="coco").rejected == {"duplicate": 1}
    assert "--strip-prefix train2014/" in desk.rejects[0].hint
    report = desk.take(path, source="coco", strip_prefixes=("train2014/",))
    assert (report.images, report.captions, report.flawless) == (0, 1, True)


def test_another_round_of_proposals_is_told_how(desk: Any) -> None:
    desk.take(desk.file("r1.json", made("x.jpg", "a dog")))
    told = made("x.jpg", "a dog")
    told["annotations"][0]["updated_caption"] = "a dog without a leash"
    second = desk.file("r2.json", told)
    assert desk.take(second).rejected == {"duplicate": 1}
    assert "--generator NAME" in desk.rejects[0].hint
    assert desk.take(second, generator="second").candidates == 1


# -- tables that have ids alone


def test_a_table_of_ids_alone_meets_coco_where_all_of_them_are_there(desk: Any) -> None:
    desk.take(desk.file("c.json", made("COCO_train2014_000000391895.jpg", "a dog", key=391895)))
    ids = desk.file("fl.csv", "image_id,caption,negated_caption\n391895.0,a big dog,a big dog with no bone\n")
    report = desk.take(ids)
    assert (report.source, report.flawless) == ("coco", True)
    told = ("coco", "COCO_train2014_000000391895.jpg", "a big dog with no bone")
    assert told in desk.rows(TEXTS.format("candidate"))
    others = desk.file(
        "more.csv", "image_id,caption,negated_caption\n391895,a cat,a cat with no bell\n7,x,x with no y\n"
    )
    assert desk.take(others).source == "more", "7 is no picture of the record's"


def test_a_table_of_ids_alone_stays_what_it_was_when_coco_comes(desk: Any) -> None:
    ids = desk.file("fl.csv", "image_id,caption,negated_caption\n391895,a big dog,a big dog with no bone\n")
    assert desk.take(ids).source == "fl"
    desk.take(desk.file("c.json", made("COCO_train2014_000000391895.jpg", "a dog", key=391895)))
    again = desk.take(ids)
    assert (again.source, again.new) == ("fl", 0)
