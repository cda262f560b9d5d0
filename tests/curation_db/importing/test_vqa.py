"""VQAv2: what people answered with no comes in, everything else is counted or told."""

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


def asked(number: int, image: int = 9, text: str = "Is the person running?") -> dict[str, Any]:
    return {"image_id": image, "question": text, "question_id": number}


def answered(number: int, answers: list[str], told: str = "no", image: int = 9, **more: Any) -> dict[str, Any]:
    listed = [{"answer": each, "answer_confidence": "yes", "answer_id": n} for n, each in enumerate(answers, 1)]
    row = {"question_type": "is the person", "multiple_choice_answer": told, "answers": listed}
    return {**row, "image_id": image, "answer_type": "yes/no", "question_id": number, **more}


@pytest.fixture
def pair(desk: Any) -> Pair:
    """Both files as the download has them, side by side; returns the one with the questions."""

    def made(questions: list[Any], annotations: list[Any], names: tuple[str, str] = (QUESTIONS, ANNOTATIONS)) -> Path:
        info: dict[str, Any] = {"info": {"version": "2.0"}, "license": {"url": "u"}}
        kind = {"task_type": "Open-Ended", "data_type": "mscoco"}
        desk.file(names[1], {**info, "data_subtype": "train2014", "annotations": annotations, "data_type": "mscoco"})
        path: Path = desk.file(names[0], {**info, **kind, "data_subtype": "train2014", "questions": questions})
        return path

    return made


def test_a_question_that_people_answered_with_no(desk: Any, pair: Pair) -> None:
    path = pair([asked(9000)], [answered(9000, NO)])
    assert detect(path) is Format.VQA
    report = desk.take(path)
    assert (report.format, report.source, report.images, report.questions) == ("vqa", "coco", 1, 1)
    assert report.flawless
    assert desk.rows(
        """SELECT q.key, i.key, i.file_name, text, answer, agreed, answers, question_type
           FROM visual_question q JOIN image i ON i.id = image_id"""
    ) == [
        ("9000", "9", "COCO_train2014_000000000009.jpg", "Is the person running?", "no", 7, 10, "is the person"),
    ]


@pytest.mark.parametrize(
    ("answers", "told", "count"),
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
def test_most_people_said_no_and_the_file_says_so_too(
    desk: Any, pair: Pair, answers: list[str], told: str, count: str
) -> None:
    report = desk.take(pair([asked(1)], [answered(1, answers, told)]))
    counts = ("questions", "questions_not_no", "questions_unsettled")
    assert {name: getattr(report, name) for name in counts} == {name: int(name == count) for name in counts}
    assert report.flawless
    assert not report.empty
    assert report.as_json()[count] == 1
    assert report.images == report.questions, "no picture comes in for a question that does not"


@pytest.mark.parametrize("names", [(QUESTIONS, ANNOTATIONS), ("q.json", "a.json")])
def test_either_file_may_be_named(desk: Any, pair: Pair, names: tuple[str, str]) -> None:
    path = pair([asked(1)], [answered(1, NO)], names)
    other = path.with_name(names[1])
    assert detect(other) is Format.VQA
    told = other if names[1] == "a.json" else None
    first = make_plan(path, annotations=told)
    second = make_plan(other, annotations=path if told else None)
    assert first == second
    assert (first.path, first.annotations) == (path, other)


def test_a_pair_that_is_none_is_told_in_a_line(desk: Any, pair: Pair) -> None:
    path = pair([asked(1)], [answered(1, NO)], ("q.json", "a.json"))
    with pytest.raises(InputError, match="has no answers in it") as alone:
        make_plan(path)
    assert "--annotations" in alone.value.hint
    with pytest.raises(InputError, match="has no questions in it"):
        make_plan(path.with_name("a.json"))
    with pytest.raises(InputError, match="are both questions"):
        make_plan(path, annotations=path)
    with pytest.raises(InputError, match="no such file"):
        make_plan(path, annotations=desk.folder / "gone.json")
    with pytest.raises(InputError, match="in no file of their own"):
        make_plan(desk.file("t.jsonl", '{"image": "a.png", "caption": "a dog"}'), annotations=path)


def test_files_of_two_releases_write_nothing(desk: Any, pair: Pair) -> None:
    path = pair([asked(n) for n in range(200)], [answered(n, NO) for n in range(500, 700)])
    with pytest.raises(InputError, match="answers none of the questions"):
        desk.take(path)
    assert desk.rows("SELECT count(*) FROM source") == [(0,)]


def test_bad_rows_cost_only_themselves(desk: Any, pair: Pair) -> None:
    questions = [
        asked(1),
        asked(2, text=""),
        {"image_id": 9, "question": "Is it?"},
        asked(4, image=25),
        asked(5),
        "nothing",
        asked(6),
    ]
    annotations = [
        answered(1, NO),
        answered(2, NO),
        answered(4, NO),
        {**answered(5, NO), "answers": "many"},
        {**answered(6, NO), "answers": [{"answer_id": 1}]},
        answered(7, NO),
        answered(1, ["yes"], "yes"),
    ]
    report = desk.take(pair(questions, annotations))
    assert report.questions == 1
    assert [(str(each.reason), each.file, each.where) for each in desk.rejects] == [
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


def test_a_file_that_was_cut_off(desk: Any, pair: Pair) -> None:
    path = pair([asked(1), asked(2)], [answered(1, NO), answered(2, NO)])
    other = path.with_name(ANNOTATIONS)
    whole = other.read_text()
    other.write_text(whole[: whole.index('"question_id": 2')])
    report = desk.take(path)
    assert (report.questions, report.rejected) == (1, {"truncated": 1, "no-answer": 1})
    assert desk.rejects[0].file == ANNOTATIONS
    assert desk.rejects[0].offset == whole.index('{"question_type"', whole.index('"question_id": 1'))


def test_importing_again_changes_nothing(desk: Any, pair: Pair) -> None:
    path = pair([asked(1), asked(2)], [answered(1, NO), answered(2, NO)])
    desk.take(path)
    report = desk.take(path)
    assert (report.new, report.unchanged, report.flawless) == (0, 2, True)
    report = desk.take(pair([asked(1, text="Is it night?"), asked(2)], [answered(1, NO), answered(2, NO)]))
    assert (report.new, report.unchanged) == (0, 1)
    assert [each.message for each in desk.rejects] == ["question 1 is there with another text"]
    assert desk.rows("SELECT text FROM visual_question WHERE key = '1'") == [("Is the person running?",)]
    desk.take(pair([asked(1), asked(2)], [answered(1, NO), answered(2, [*NO, "no"])]))
    assert [each.message for each in desk.rejects] == ["question 2 is there with another count of answers"]


def test_what_the_record_knows_of_a_picture_stays(desk: Any, pair: Pair, coco: Callable[..., dict[str, Any]]) -> None:
    """GIVEN a picture under its name of 2017 THEN a question about it neither renames nor looks for it."""
    images = [{"id": 9, "file_name": "000000000009.jpg", "width": 640, "height": 480}]
    desk.take(desk.file("captions.json", coco(images=images, annotations=[])))
    looked: list[str | None] = []

    def locate(_source: str, name: str | None) -> None:
        looked.append(name)

    report = desk.take(
        pair([asked(1), asked(2, 25)], [answered(1, NO), answered(2, NO, image=25)]), pictures=ImageChecker(locate)
    )
    assert (report.images, report.questions, report.completed) == (1, 2, 0)
    assert looked == ["COCO_train2014_000000000025.jpg"]
    assert desk.rows("SELECT file_name FROM image WHERE key = '9'") == [("000000000009.jpg",)]


def test_hostile_questions_are_cleaned(desk: Any, pair: Pair) -> None:
    kind = "is\x1b[31m\u202e the"
    report = desk.take(pair([asked(1, text="Is it \x1b[2Jred?\u202e")], [answered(1, NO, question_type=kind)]))
    assert report.cleaned == 1
    assert desk.rows("SELECT text, question_type FROM visual_question") == [("Is it [2Jred?", "is[31m the")]


def test_an_import_that_stops_half_way_goes_on(desk: Any, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a process that dies after a batch THEN the same import brings the rest, once."""
    monkeypatch.setattr("curation_db.importing.json_stream.RUN", 3)
    path = pair([asked(n) for n in range(9)], [answered(n, NO) for n in range(9)])
    plan = make_plan(path)
    writer = BatchWriter(Provenance(plan.source, plan.generator, "import", plan.intake))
    some = [batch for batch in read(plan, lambda _: None) if batch.questions]
    for batch in islice(some, 2):
        batch.images += batch.mentioned
        with desk.store.write() as connection:
            writer.write(connection, batch)
    assert desk.rows("SELECT count(*) FROM visual_question") == [(6,)]
    report = desk.take(path)
    assert (report.questions, report.unchanged, report.images) == (3, 6, 0)


def test_lines_of_rows_that_look_alike_stay_what_they_were(desk: Any) -> None:
    """A JSONL file whose rows have questions is a table."""
    rows = '{"image": "a.png", "caption": "x", "questions": ["q"]}\n{"image": "b.png", "caption": "y", "questions": []}'
    assert detect(desk.file("t.jsonl", rows)) is Format.JSONL


def test_the_summary_is_one_line(desk: Any, pair: Pair) -> None:
    report = desk.take(
        pair([asked(1), asked(2), asked(3)], [answered(1, NO), answered(2, ["yes"], "yes"), answered(3, NO, "yes")])
    )
    said = "coco: 1 image, 1 question; 1 not answered with no; 1 without one answer"
    assert re.search(re.escape(said) + "$", report.summary())
