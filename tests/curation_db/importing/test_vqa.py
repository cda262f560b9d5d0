"""Tests of the VQAv2 reader: questions with the majority answer "no" are stored, others counted or listed."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from curation_db.importing.detect import detect
from curation_db.importing.formats import Format
from curation_db.importing.image_check import ImageChecker
from curation_db.importing.pipeline import make_plan, read
from curation_db.importing.rows import InputError
from curation_db.importing.writers.batch import BatchWriter
from curation_db.importing.writers.candidates import Provenance

QUESTIONS = "v2_OpenEnded_mscoco_train2014_questions.json"
ANNOTATIONS = "v2_mscoco_train2014_annotations.json"
NO = ["no"] * 7 + ["yes"] * 3

Pair = Callable[..., Path]


def question(number: int, image: int = 9, text: str = "Is the person running?") -> dict[str, Any]:
    return {"image_id": image, "question": text, "question_id": number}


def annotation(number: int, answers: list[str], stated: str = "no", image: int = 9, **more: Any) -> dict[str, Any]:
    listed = [{"answer": each, "answer_confidence": "yes", "answer_id": n} for n, each in enumerate(answers, 1)]
    row = {"question_type": "is the person", "multiple_choice_answer": stated, "answers": listed}
    return {**row, "image_id": image, "answer_type": "yes/no", "question_id": number, **more}


@pytest.fixture
def pair(importer: Any) -> Pair:
    """Write both files under their published names; return the questions file."""

    def write(questions: list[Any], annotations: list[Any], names: tuple[str, str] = (QUESTIONS, ANNOTATIONS)) -> Path:
        info: dict[str, Any] = {"info": {"version": "2.0"}, "license": {"url": "u"}}
        kind = {"task_type": "Open-Ended", "data_type": "mscoco"}
        importer.write(
            names[1], {**info, "data_subtype": "train2014", "annotations": annotations, "data_type": "mscoco"}
        )
        path: Path = importer.write(names[0], {**info, **kind, "data_subtype": "train2014", "questions": questions})
        return path

    return write


def test_a_question_with_the_majority_answer_no_is_imported(importer: Any, pair: Pair) -> None:
    path = pair([question(9000)], [annotation(9000, NO)])
    assert detect(path) is Format.VQA
    report = importer.run(path)
    assert (report.format, report.source, report.images, report.questions) == ("vqa", "coco", 1, 1)
    assert report.flawless
    assert importer.rows(
        """SELECT q.key, i.key, i.file_name, text, answer, agreed, answers, question_type
           FROM visual_question q JOIN image i ON i.id = image_id"""
    ) == [
        ("9000", "9", "COCO_train2014_000000000009.jpg", "Is the person running?", "no", 7, 10, "is the person"),
    ]


@pytest.mark.parametrize(
    ("answers", "stated", "count"),
    [
        (NO, "no", "questions"),
        (["No."] * 6 + [" NO "] + ["yes"] * 3, "No", "questions"),
        (["no"] * 4 + ["yes"] * 3 + ["maybe"] * 3, "no", "questions"),
        (["yes"] * 7 + ["no"] * 3, "yes", "questions_not_no"),
        (["2"] * 10, "2", "questions_not_no"),
        (["nope"] * 10, "nope", "questions_not_no"),
        (["no"] * 5 + ["yes"] * 5, "no", "questions_unsettled"),
        (["no"] * 5 + ["yes"] * 5, "yes", "questions_unsettled"),
        (["yes"] * 7 + ["no"] * 3, "no", "questions_unsettled"),
        (NO, "yes", "questions_unsettled"),
    ],
)
def test_the_majority_and_the_file_must_agree_on_no(
    importer: Any, pair: Pair, answers: list[str], stated: str, count: str
) -> None:
    report = importer.run(pair([question(1)], [annotation(1, answers, stated)]))
    counts = ("questions", "questions_not_no", "questions_unsettled")
    assert {name: getattr(report, name) for name in counts} == {name: int(name == count) for name in counts}
    assert report.flawless
    assert not report.empty
    assert report.as_json()[count] == 1
    assert report.images == report.questions, "no image is stored for a question that is not"


@pytest.mark.parametrize("names", [(QUESTIONS, ANNOTATIONS), ("q.json", "a.json")])
def test_either_file_may_be_given(importer: Any, pair: Pair, names: tuple[str, str]) -> None:
    path = pair([question(1)], [annotation(1, NO)], names)
    other = path.with_name(names[1])
    assert detect(other) is Format.VQA
    annotations = other if names[1] == "a.json" else None
    first = make_plan(path, annotations=annotations)
    second = make_plan(other, annotations=path if annotations else None)
    assert first == second
    assert (first.path, first.annotations) == (path, other)


def test_a_missing_or_wrong_second_file_is_an_error(importer: Any, pair: Pair) -> None:
    path = pair([question(1)], [annotation(1, NO)], ("q.json", "a.json"))
    with pytest.raises(InputError, match="has no answers") as alone:
        make_plan(path)
    assert "--annotations" in alone.value.hint
    with pytest.raises(InputError, match="has no questions"):
        make_plan(path.with_name("a.json"))
    with pytest.raises(InputError, match="both hold questions"):
        make_plan(path, annotations=path)
    with pytest.raises(InputError, match="no such file"):
        make_plan(path, annotations=importer.folder / "gone.json")
    with pytest.raises(InputError, match="--annotations is only for VQAv2"):
        make_plan(importer.write("t.jsonl", '{"image": "a.png", "caption": "a dog"}'), annotations=path)


def test_files_of_two_releases_write_nothing(importer: Any, pair: Pair) -> None:
    path = pair([question(n) for n in range(200)], [annotation(n, NO) for n in range(500, 700)])
    with pytest.raises(InputError, match="answers none of the questions"):
        importer.run(path)
    assert importer.rows("SELECT count(*) FROM source") == [(0,)]


def test_only_malformed_rows_are_refused(importer: Any, pair: Pair) -> None:
    questions = [
        question(1),
        question(2, text=""),
        {"image_id": 9, "question": "Is it?"},
        question(4, image=25),
        question(5),
        "nothing",
        question(6),
    ]
    annotations = [
        annotation(1, NO),
        annotation(2, NO),
        annotation(4, NO),
        {**annotation(5, NO), "answers": "many"},
        {**annotation(6, NO), "answers": [{"answer_id": 1}]},
        annotation(7, NO),
        annotation(1, ["yes"], "yes"),
    ]
    report = importer.run(pair(questions, annotations))
    assert report.questions == 1
    assert [(str(each.reason), each.file, each.where) for each in importer.rejects] == [
        ("bad-value", ANNOTATIONS, "annotations[3]"),
        ("bad-value", ANNOTATIONS, "annotations[4]"),
        ("duplicate", ANNOTATIONS, "annotations[6]"),
        ("no-field", "", "questions[2]"),
        ("bad-value", "", "questions[3]"),
        ("no-answer", "", "questions[4]"),
        ("malformed", "", "questions[5]"),
        ("empty-text", "", "questions[1]"),
        ("no-answer", "", "questions[6]"),
        ("no-question", ANNOTATIONS, "annotations[5]"),
    ]


def test_a_truncated_annotations_file(importer: Any, pair: Pair) -> None:
    path = pair([question(1), question(2)], [annotation(1, NO), annotation(2, NO)])
    other = path.with_name(ANNOTATIONS)
    whole = other.read_text()
    other.write_text(whole[: whole.index('"question_id": 2')])
    report = importer.run(path)
    assert (report.questions, report.rejected) == (1, {"truncated": 1, "no-answer": 1})
    assert importer.rejects[0].file == ANNOTATIONS
    assert importer.rejects[0].offset == whole.index('{"question_type"', whole.index('"question_id": 1'))


def test_importing_again_changes_nothing(importer: Any, pair: Pair) -> None:
    path = pair([question(1), question(2)], [annotation(1, NO), annotation(2, NO)])
    importer.run(path)
    report = importer.run(path)
    assert (report.new, report.unchanged, report.flawless) == (0, 2, True)
    report = importer.run(pair([question(1, text="Is it night?"), question(2)], [annotation(1, NO), annotation(2, NO)]))
    assert (report.new, report.unchanged) == (0, 1)
    assert [each.message for each in importer.rejects] == ["question 1 is stored with another text"]
    assert importer.rows("SELECT text FROM visual_question WHERE key = '1'") == [("Is the person running?",)]
    importer.run(pair([question(1), question(2)], [annotation(1, NO), annotation(2, [*NO, "no"])]))
    assert [each.message for each in importer.rejects] == ["question 2 is stored with another count of answers"]


def test_a_stored_image_stays_unchanged(importer: Any, pair: Pair, coco: Callable[..., dict[str, Any]]) -> None:
    """A question about a stored image neither renames the image nor searches for its file."""
    images = [{"id": 9, "file_name": "000000000009.jpg", "width": 640, "height": 480}]
    importer.run(importer.write("captions.json", coco(images=images, annotations=[])))
    looked: list[str | None] = []

    def locate(_source: str, name: str | None) -> None:
        looked.append(name)

    report = importer.run(
        pair([question(1), question(2, 25)], [annotation(1, NO), annotation(2, NO, image=25)]),
        checker=ImageChecker(locate),
    )
    assert (report.images, report.questions, report.completed) == (1, 2, 0)
    assert looked == ["COCO_train2014_000000000025.jpg"]
    assert importer.rows("SELECT file_name FROM image WHERE key = '9'") == [("000000000009.jpg",)]


def test_hostile_questions_are_cleaned(importer: Any, pair: Pair) -> None:
    kind = "is\x1b[31m\u202e the"
    report = importer.run(pair([question(1, text="Is it \x1b[2Jred?\u202e")], [annotation(1, NO, question_type=kind)]))
    assert report.cleaned == 1
    assert importer.rows("SELECT text, question_type FROM visual_question") == [("Is it [2Jred?", "is[31m the")]


def test_an_import_that_stops_is_continued(importer: Any, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a process died between two batches, the same import stores the other rows once."""
    monkeypatch.setattr("curation_db.importing.json_stream.RUN", 3)
    path = pair([question(n) for n in range(9)], [annotation(n, NO) for n in range(9)])
    plan = make_plan(path)
    writer = BatchWriter(Provenance(plan.source, plan.generator, "import", plan.intake))
    some = [batch for batch in read(plan, lambda _: None) if batch.questions]
    for batch in islice(some, 2):
        batch.images += batch.mentioned
        with importer.store.write() as connection:
            writer.write(connection, batch)
    assert importer.rows("SELECT count(*) FROM visual_question") == [(6,)]
    report = importer.run(path)
    assert (report.questions, report.unchanged, report.images) == (3, 6, 0)


def test_jsonl_rows_with_questions_are_a_table(importer: Any) -> None:
    """A JSONL file whose rows have questions is a table."""
    rows = '{"image": "a.png", "caption": "x", "questions": ["q"]}\n{"image": "b.png", "caption": "y", "questions": []}'
    assert detect(importer.write("t.jsonl", rows)) is Format.JSONL


def test_the_summary_is_one_line(importer: Any, pair: Pair) -> None:
    report = importer.run(
        pair(
            [question(1), question(2), question(3)],
            [annotation(1, NO), annotation(2, ["yes"], "yes"), annotation(3, NO, "yes")],
        )
    )
    summary = "coco: 1 image, 1 question; 1 not answered with no; 1 without a majority answer"
    assert re.search(re.escape(summary) + "$", report.summary())
