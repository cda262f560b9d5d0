"""NegBench's CSV files arrive as candidates to review, with what they say about themselves; nothing is evaluated."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from curation_db.importing.detect import detect
from curation_db.importing.formats import Format
from curation_db.importing.pipeline import make_plan
from curation_db.importing.readers.negbench import LIST_LIMIT, MOST_TEXTS, literal_texts
from curation_db.importing.rows import InputError
from curation_db.lint.index import index_candidates
from curation_db.lint.linter import Rule

RETRIEVAL = ("positive_objects", "negative_objects", "filepath", "image_id", "captions")
CHOICE = ("image_path", "correct_answer", "caption_0", "caption_1", "caption_2", "caption_3", "correct_answer_template")
KITCHEN = "data/coco/images/val2017/000000397133.jpg"
CHATTER = (
    "A man in a kitchen. There is no chair. (Please rephrase the given caption according to the guidelines)",
    "Wait, this caption isn't possible according to the rules: a kitchen with no cat.",
)


def table(columns: tuple[str, ...], *rows: tuple[object, ...]) -> str:
    """A CSV file as pandas writes it: lists by their repr, quoted where there is need."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([columns, *rows])
    return out.getvalue()


def retrieval(captions: object, /, **more: object) -> tuple[object, ...]:
    told = {
        "positive_objects": ["man", "oven"],
        "negative_objects": ["chair", "cat", "dining table"],
        "filepath": KITCHEN,
        "image_id": 397133,
        "captions": captions,
        **more,
    }
    return tuple(told[name] for name in RETRIEVAL)


def choice(**more: object) -> tuple[object, ...]:
    told = {
        "image_path": KITCHEN,
        "correct_answer": 0,
        "caption_0": "The image shows an oven, but no chair is present.",
        "caption_1": "A chair is present, but there is no oven.",
        "caption_2": "The image features a chair.",
        "caption_3": "The image doesn't contain an oven.",
        "correct_answer_template": "hybrid",
        **more,
    }
    return tuple(told[name] for name in CHOICE)


def test_captions_of_a_retrieval_file_are_candidates(desk: Any) -> None:
    captions = [
        "A man in a kitchen with no chair in sight.",
        "There's no cat and no chair; a man isn't alone.",
        "It's a \"modern\" kitchen without a dining table, a man's place.",
        "A man is in a kitchen making pizzas.",
    ]
    path = desk.file("COCO_val_negated_retrieval.csv", table(RETRIEVAL, retrieval(captions)))
    assert detect(path) is Format.NEGBENCH_RETRIEVAL
    report = desk.take(path)
    assert (report.format, report.source) == ("negbench-retrieval", "coco")
    assert (report.images, report.captions, report.candidates) == (1, 0, 4)
    assert report.flawless
    assert desk.rows("SELECT key, file_name FROM image") == [("397133", "000000397133.jpg")]
    rows = desk.rows("SELECT text, concept, concept_confidence, pipeline, generator, cue, extra FROM candidate")
    assert [row[0] for row in rows] == captions
    assert [row[1] for row in rows] == ["chair", "cat", "dining table", None]
    assert rows[0][2] == 1.0
    assert rows[1][2] < 1.0, "two are named: it was told by the text"
    assert {row[3:5] for row in rows} == {("import", "negbench-retrieval")}
    assert [row[5] for row in rows] == ["no", "no", "without", None]
    assert json.loads(rows[0][6]) == {
        "positive_objects": ["man", "oven"],
        "negative_objects": ["chair", "cat", "dining table"],
    }


def test_the_right_option_is_the_candidate(desk: Any) -> None:
    rows = [
        choice(),
        choice(correct_answer="1.0", caption_1="No oven here.", correct_answer_template="negative"),
        choice(correct_answer=2, caption_2="An oven.", correct_answer_template="positive"),
    ]
    path = desk.file("COCO_val_mcq_llama3.1_rephrased.csv", table(CHOICE, *rows))
    assert detect(path) is Format.NEGBENCH_MCQ
    report = desk.take(path)
    assert (report.format, report.source, report.images, report.candidates) == ("negbench-mcq", "coco", 1, 3)
    found = desk.rows("SELECT text, negation_type, generator, concept, extra FROM candidate ORDER BY id")
    assert [row[:3] for row in found] == [
        ("The image shows an oven, but no chair is present.", "absence", "negbench-mcq"),
        ("No oven here.", "absence", "negbench-mcq"),
        ("An oven.", "other", "negbench-mcq"),
    ]
    assert [row[3] for row in found] == ["chair", "oven", None]
    assert json.loads(found[0][4]) == {
        "template": "hybrid",
        "wrong": [
            "A chair is present, but there is no oven.",
            "The image features a chair.",
            "The image doesn't contain an oven.",
        ],
    }


@pytest.mark.parametrize("told", ["4", "-1", "", "first", "1.5", "99999999999999999999", "0; import os"])
def test_an_answer_that_is_no_option_is_refused(desk: Any, told: str) -> None:
    report = desk.take(desk.file("mcq.csv", table(CHOICE, choice(correct_answer=told), choice())))
    assert report.candidates == 1
    (wrong,) = desk.rejects
    assert (str(wrong.reason), wrong.where) == ("bad-value", "line 2")
    assert "column correct_answer" in wrong.message


def test_an_empty_right_option_is_refused(desk: Any) -> None:
    report = desk.take(desk.file("mcq.csv", table(CHOICE, choice(caption_0=" "))))
    assert report.rejected == {"empty-text": 1}
    assert report.images == 0


def test_two_options_and_no_template(desk: Any) -> None:
    path = desk.file(
        "mcq.csv",
        table(
            ("image_path", "correct_answer", "caption_0", "caption_1"),
            ("synthetic/1.png", 1, "A dog.", "There is no dog."),
        ),
    )
    report = desk.take(path)
    assert (report.format, report.source, report.candidates) == ("negbench-mcq", "mcq", 1)
    assert desk.rows("SELECT text, extra FROM candidate") == [("There is no dog.", '{"wrong":["A dog."]}')]
    assert desk.rows("SELECT key, file_name FROM image") == [("synthetic/1.png", "synthetic/1.png")]


def test_videos_of_msr_vtt(desk: Any) -> None:
    columns = ("image_id", "filepath", "captions", "all_captions", "positive_concept1", "negative_concept")
    row = (
        "video7020",
        "MSRVTT/video7020.mp4",
        "A woman sings, with no guitar around.",
        ["a woman sings", "a singer"],
        "woman",
        "guitar",
    )
    report = desk.take(desk.file("msr_vtt_retrieval.csv", table(columns, row)))
    assert (report.format, report.source) == ("negbench-retrieval", "msr_vtt_retrieval")
    assert desk.rows("SELECT key FROM image") == [("video7020",)]
    ((text, concept, extra),) = desk.rows("SELECT text, concept, extra FROM candidate")
    assert (text, concept) == ("A woman sings, with no guitar around.", "guitar")
    assert json.loads(extra)["all_captions"] == ["a woman sings", "a singer"]
    assert json.loads(extra)["positive_concept1"] == "woman"


def test_pictures_that_only_look_like_cocos_keep_to_themselves(desk: Any) -> None:
    path = desk.file("VOC2007_mcq.csv", table(CHOICE, choice(image_path="VOC2007/JPEGImages/000009.jpg")))
    assert desk.take(path).source == "VOC2007_mcq"
    assert desk.rows("SELECT key FROM image") == [("VOC2007/JPEGImages/000009.jpg",)]


@pytest.mark.parametrize("column", ["captions", "positive_objects", "negative_objects"])
@pytest.mark.parametrize(
    "cell",
    [
        "['a dog",
        "['a', 3]",
        "[__import__('os').system('true')]",
        "['a' 'b']",
        "[['a']]",
        f"[{'[' * 9_000}{']' * 9_000}]",
        f"[{'-' * 50_000}1]",
        r"['\xzz']",
        f"['{'a' * LIST_LIMIT}']",
        str(["no dog"] * (MOST_TEXTS + 1)),
    ],
    ids=["open", "number", "call", "joined", "nested", "deep", "minus", "escape", "long", "many"],
)
def test_a_broken_list_costs_its_row(desk: Any, column: str, cell: str) -> None:
    rows = [retrieval(["no chair"], **{column: cell}), retrieval(["no cat"])]
    report = desk.take(desk.file("r.csv", table(RETRIEVAL, *rows)))
    assert report.candidates == 1
    assert [(str(each.reason), each.where) for each in desk.rejects] == [("bad-value", "line 2")]
    assert f"column {column}" in desk.rejects[0].message


def test_lists_are_read_as_python_writes_them() -> None:
    told = ["it's", 'a "cat"', "both ' and \"", "a\\b\n", "naïve \N{SNOWMAN}", ""]
    assert literal_texts(str(told)) == told
    assert literal_texts(json.dumps(told)) == told
    assert literal_texts("[]") == literal_texts("[ ]") == []
    assert literal_texts("['a',]") == ["a"]
    assert literal_texts("'a'") is None


def test_other_flaws_of_a_row(desk: Any) -> None:
    rows = [
        retrieval(["no cat"], filepath="", image_id=""),
        retrieval(["no cat"], image_id=9),
        retrieval([]),
        retrieval(["no cat", "  "], image_id="397133.0"),
    ]
    report = desk.take(desk.file("r.csv", table(RETRIEVAL, *rows)))
    assert report.candidates == 1
    assert [(str(each.reason), each.where) for each in desk.rejects] == [
        ("no-picture", "line 2"),
        ("bad-value", "line 3"),
        ("empty-text", "line 4"),
        ("empty-text", "line 5"),
    ]


def test_importing_again_changes_nothing(desk: Any) -> None:
    path = desk.file("r.csv", table(RETRIEVAL, retrieval(["no cat", "no chair"])))
    desk.take(path)
    report = desk.take(path)
    assert (report.new, report.flawless) == (0, True)


def test_the_file_is_told_by_its_columns(desk: Any) -> None:
    plain = desk.file("t.csv", "image,caption,correct_answer\na.png,a dog,1\n")
    assert detect(plain) is Format.CSV
    people = desk.file("p.csv", table(("filepath", "captions"), ("a.png", ["A dog.", "A pet."]), ("b.png", ["No."])))
    assert detect(people) is Format.CSV, "these columns may hold people's captions as well"
    assert desk.take(people).captions == 3
    synthetic = desk.file("s.csv", table(("filepath", "captions"), ("a.png", ["A dog, no cat."])))
    assert desk.take(synthetic).candidates == 1
    assert detect(desk.file("i.csv", table(("", "filepath", "captions"), (0, "a.png", ["No cat."])))) is (
        Format.NEGBENCH_RETRIEVAL
    )
    with pytest.raises(InputError, match="no columns to map"):
        make_plan(desk.file("r.csv", table(RETRIEVAL)), mapping={"image": "filepath"})
    with pytest.raises(InputError, match="no column filepath, image_path or image_id"):
        make_plan(desk.file("r.csv", table(("captions", "negative_objects"), (["no cat"], ["cat"]))))


def test_chatter_and_missing_cues_are_marked(desk: Any) -> None:
    rows = [retrieval([*CHATTER, "A man in a kitchen.", "A man in a kitchen with no chair."])]
    path: Path = desk.file("r.csv", table(RETRIEVAL, *rows))
    desk.take(path)
    desk.take(desk.file("mcq.csv", table(CHOICE, choice(caption_0=CHATTER[0]))))
    with desk.store.write() as connection:
        index_candidates(connection, [row[0] for row in desk.rows("SELECT id FROM candidate")])
    marked = "SELECT candidate_id FROM candidate_mark WHERE mark = '{}' ORDER BY 1"
    assert desk.rows(marked.format(Rule.CHATTER)) == [(1,), (2,), (5,)]
    assert desk.rows(marked.format(Rule.NO_CUE)) == [(3,)]
