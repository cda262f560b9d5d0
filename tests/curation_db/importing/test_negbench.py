"""Tests of the NegBench reader: candidates with their extra cells; nothing is evaluated."""

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
    """Return a CSV file as pandas writes it: lists by their repr, quoted where needed."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([columns, *rows])
    return out.getvalue()


def retrieval(captions: object, /, **more: object) -> tuple[object, ...]:
    cells = {
        "positive_objects": ["man", "oven"],
        "negative_objects": ["chair", "cat", "dining table"],
        "filepath": KITCHEN,
        "image_id": 397133,
        "captions": captions,
        **more,
    }
    return tuple(cells[name] for name in RETRIEVAL)


def choice(**more: object) -> tuple[object, ...]:
    cells = {
        "image_path": KITCHEN,
        "correct_answer": 0,
        "caption_0": "The image shows an oven, but no chair is present.",
        "caption_1": "A chair is present, but there is no oven.",
        "caption_2": "The image features a chair.",
        "caption_3": "The image doesn't contain an oven.",
        "correct_answer_template": "hybrid",
        **more,
    }
    return tuple(cells[name] for name in CHOICE)


def test_captions_of_a_retrieval_file_are_candidates(importer: Any) -> None:
    captions = [
        "A man in a kitchen with no chair in sight.",
        "There's no cat and no chair; a man isn't alone.",
        "It's a \"modern\" kitchen without a dining table, a man's place.",
        "A man is in a kitchen making pizzas.",
    ]
    path = importer.write("COCO_val_negated_retrieval.csv", table(RETRIEVAL, retrieval(captions)))
    assert detect(path) is Format.NEGBENCH_RETRIEVAL
    report = importer.run(path)
    assert (report.format, report.source) == ("negbench-retrieval", "coco")
    assert (report.images, report.captions, report.candidates) == (1, 0, 4)
    assert report.flawless
    assert importer.rows("SELECT key, file_name FROM image") == [("397133", "000000397133.jpg")]
    rows = importer.rows("SELECT text, concept, concept_confidence, pipeline, generator, cue, extra FROM candidate")
    assert [row[0] for row in rows] == captions
    assert [row[1] for row in rows] == ["chair", "cat", "dining table", None]
    assert rows[0][2] == 1.0
    assert rows[1][2] < 1.0, "two objects are listed: the concept was derived from the text"
    assert {row[3:5] for row in rows} == {("import", "negbench-retrieval")}
    assert [row[5] for row in rows] == ["no", "no", "without", None]
    assert json.loads(rows[0][6]) == {
        "positive_objects": ["man", "oven"],
        "negative_objects": ["chair", "cat", "dining table"],
    }


def test_the_correct_option_is_the_candidate(importer: Any) -> None:
    rows = [
        choice(),
        choice(correct_answer="1.0", caption_1="No oven here.", correct_answer_template="negative"),
        choice(correct_answer=2, caption_2="An oven.", correct_answer_template="positive"),
    ]
    path = importer.write("COCO_val_mcq_llama3.1_rephrased.csv", table(CHOICE, *rows))
    assert detect(path) is Format.NEGBENCH_MCQ
    report = importer.run(path)
    assert (report.format, report.source, report.images, report.candidates) == ("negbench-mcq", "coco", 1, 3)
    rows = importer.rows("SELECT text, negation_type, generator, concept, extra FROM candidate ORDER BY id")
    assert [row[:3] for row in rows] == [
        ("The image shows an oven, but no chair is present.", "absence", "negbench-mcq"),
        ("No oven here.", "absence", "negbench-mcq"),
        ("An oven.", "other", "negbench-mcq"),
    ]
    assert [row[3] for row in rows] == ["chair", "oven", None]
    assert json.loads(rows[0][4]) == {
        "template": "hybrid",
        "wrong": [
            "A chair is present, but there is no oven.",
            "The image features a chair.",
            "The image doesn't contain an oven.",
        ],
    }


@pytest.mark.parametrize("answer", ["4", "-1", "", "first", "1.5", "99999999999999999999", "0; import os"])
def test_an_answer_that_is_not_an_option_is_refused(importer: Any, answer: str) -> None:
    report = importer.run(importer.write("mcq.csv", table(CHOICE, choice(correct_answer=answer), choice())))
    assert report.candidates == 1
    (wrong,) = importer.rejects
    assert (str(wrong.reason), wrong.where) == ("bad-value", "line 2")
    assert "column correct_answer" in wrong.message


def test_an_empty_correct_option_is_refused(importer: Any) -> None:
    report = importer.run(importer.write("mcq.csv", table(CHOICE, choice(caption_0=" "))))
    assert report.rejected == {"empty-text": 1}
    assert report.images == 0


def test_two_options_and_no_template(importer: Any) -> None:
    path = importer.write(
        "mcq.csv",
        table(
            ("image_path", "correct_answer", "caption_0", "caption_1"),
            ("synthetic/1.png", 1, "A dog.", "There is no dog."),
        ),
    )
    report = importer.run(path)
    assert (report.format, report.source, report.candidates) == ("negbench-mcq", "mcq", 1)
    assert importer.rows("SELECT text, extra FROM candidate") == [("There is no dog.", '{"wrong":["A dog."]}')]
    assert importer.rows("SELECT key, file_name FROM image") == [("synthetic/1.png", "synthetic/1.png")]


def test_videos_of_msr_vtt(importer: Any) -> None:
    columns = ("image_id", "filepath", "captions", "all_captions", "positive_concept1", "negative_concept")
    row = (
        "video7020",
        "MSRVTT/video7020.mp4",
        "A woman sings, with no guitar around.",
        ["a woman sings", "a singer"],
        "woman",
        "guitar",
    )
    report = importer.run(importer.write("msr_vtt_retrieval.csv", table(columns, row)))
    assert (report.format, report.source) == ("negbench-retrieval", "msr_vtt_retrieval")
    assert importer.rows("SELECT key FROM image") == [("video7020",)]
    ((text, concept, extra),) = importer.rows("SELECT text, concept, extra FROM candidate")
    assert (text, concept) == ("A woman sings, with no guitar around.", "guitar")
    assert json.loads(extra)["all_captions"] == ["a woman sings", "a singer"]
    assert json.loads(extra)["positive_concept1"] == "woman"


def test_images_numbered_like_coco_get_their_own_source(importer: Any) -> None:
    path = importer.write("VOC2007_mcq.csv", table(CHOICE, choice(image_path="VOC2007/JPEGImages/000009.jpg")))
    assert importer.run(path).source == "VOC2007_mcq"
    assert importer.rows("SELECT key FROM image") == [("VOC2007/JPEGImages/000009.jpg",)]


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
def test_a_row_with_a_malformed_list_is_refused(importer: Any, column: str, cell: str) -> None:
    rows = [retrieval(["no chair"], **{column: cell}), retrieval(["no cat"])]
    report = importer.run(importer.write("r.csv", table(RETRIEVAL, *rows)))
    assert report.candidates == 1
    assert [(str(each.reason), each.where) for each in importer.rejects] == [("bad-value", "line 2")]
    assert f"column {column}" in importer.rejects[0].message


def test_python_list_literals_are_parsed() -> None:
    texts = ["it's", 'a "cat"', "both ' and \"", "a\\b\n", "naïve \N{SNOWMAN}", ""]
    assert literal_texts(str(texts)) == texts
    assert literal_texts(json.dumps(texts)) == texts
    assert literal_texts("[]") == literal_texts("[ ]") == []
    assert literal_texts("['a',]") == ["a"]
    assert literal_texts("'a'") is None


def test_other_malformed_rows_are_refused(importer: Any) -> None:
    rows = [
        retrieval(["no cat"], filepath="", image_id=""),
        retrieval(["no cat"], image_id=9),
        retrieval([]),
        retrieval(["no cat", "  "], image_id="397133.0"),
    ]
    report = importer.run(importer.write("r.csv", table(RETRIEVAL, *rows)))
    assert report.candidates == 1
    assert [(str(each.reason), each.where) for each in importer.rejects] == [
        ("no-picture", "line 2"),
        ("bad-value", "line 3"),
        ("empty-text", "line 4"),
        ("empty-text", "line 5"),
    ]


def test_importing_again_changes_nothing(importer: Any) -> None:
    path = importer.write("r.csv", table(RETRIEVAL, retrieval(["no cat", "no chair"])))
    importer.run(path)
    report = importer.run(path)
    assert (report.new, report.flawless) == (0, True)


def test_negbench_is_detected_by_its_columns(importer: Any) -> None:
    plain = importer.write("t.csv", "image,caption,correct_answer\na.png,a dog,1\n")
    assert detect(plain) is Format.CSV
    people = importer.write(
        "p.csv", table(("filepath", "captions"), ("a.png", ["A dog.", "A pet."]), ("b.png", ["No."]))
    )
    assert detect(people) is Format.CSV, "these columns may hold people's captions as well"
    assert importer.run(people).captions == 3
    synthetic = importer.write("s.csv", table(("filepath", "captions"), ("a.png", ["A dog, no cat."])))
    assert importer.run(synthetic).candidates == 1
    assert detect(importer.write("i.csv", table(("", "filepath", "captions"), (0, "a.png", ["No cat."])))) is (
        Format.NEGBENCH_RETRIEVAL
    )
    with pytest.raises(InputError, match="no columns to map"):
        make_plan(importer.write("r.csv", table(RETRIEVAL)), mapping={"image": "filepath"})
    with pytest.raises(InputError, match="no column filepath, image_path or image_id"):
        make_plan(importer.write("r.csv", table(("captions", "negative_objects"), (["no cat"], ["cat"]))))


def test_chatter_and_missing_cues_are_marked(importer: Any) -> None:
    rows = [retrieval([*CHATTER, "A man in a kitchen.", "A man in a kitchen with no chair."])]
    path: Path = importer.write("r.csv", table(RETRIEVAL, *rows))
    importer.run(path)
    importer.run(importer.write("mcq.csv", table(CHOICE, choice(caption_0=CHATTER[0]))))
    with importer.store.write() as connection:
        index_candidates(connection, [row[0] for row in importer.rows("SELECT id FROM candidate")])
    marked = "SELECT candidate_id FROM candidate_mark WHERE mark = '{}' ORDER BY 1"
    assert importer.rows(marked.format(Rule.CHATTER)) == [(1,), (2,), (5,)]
    assert importer.rows(marked.format(Rule.NO_CUE)) == [(3,)]
