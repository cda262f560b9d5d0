"""Reader of VQAv2: questions about images in one file, and ten answers to each in a second file.

A question is imported if the majority of its answers is "no" and the file's `multiple_choice_answer` is "no" too. All
other questions are counted and skipped. The annotations are read first, then the questions, one run at a time; one
short entry per annotation is in memory.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from curation_db.importing.encoding import TextBlocks
from curation_db.importing.json_stream import Fault, JsonRun, read_json
from curation_db.importing.rows import (
    At,
    ImageRow,
    InputError,
    QuestionRow,
    RefusedRow,
    Reject,
    RejectReason,
    RowBatch,
    key_of,
    member,
    reject,
)
from curation_db.language.sanitize import clean

_NO: Final = "no"
_TYPE_LIMIT: Final = 100
_HEAD: Final = 1 << 18
_FEW: Final = 100
_RELEASE: Final = re.compile(r"(?:train|val)2014|test2015")
_NAMES: Final = (
    (re.compile(r"(?:OpenEnded|MultipleChoice)_(.*)questions(.*)"), r"\1annotations\2"),
    (re.compile(r"(.*)questions(.*)"), r"\1annotations\2"),
)
_QUESTION_NAMES: Final = ("OpenEnded_{}", "MultipleChoice_{}", "{}")


class VqaFiles(NamedTuple):
    """The two files of a data set."""

    questions: Path
    annotations: Path


def find_files(path: Path, other: Path | None) -> VqaFiles:
    """Return the questions and the annotations file.

    Args:
        path: One of the two files.
        other: The other one; None: the file with the usual name in the same folder.

    Raises:
        InputError: The other file does not exist, or both files have the same role.
        OSError: A file cannot be read.
    """
    has_questions = _holds_questions(path)
    if other is None:
        usual_paths = _usual_paths(path, has_questions=has_questions)
        other = next((usual for usual in usual_paths if usual != path and usual.is_file()), None)
        if other is None:
            missing, role = ("answers", "annotations") if has_questions else ("questions", "questions")
            raise InputError(
                f"{path.name} has no {missing}, and the file with the {missing} is not in its folder",
                hint=f"give VQAv2's {role} file: --annotations FILE",
            )
    elif not other.is_file():
        raise InputError(f"no such file: {other}")
    elif _holds_questions(other) == has_questions:
        both = "questions" if has_questions else "annotations"
        raise InputError(f"{path.name} and {other.name} both hold {both}: one file of each is needed")
    return VqaFiles(path, other) if has_questions else VqaFiles(other, path)


def _holds_questions(path: Path) -> bool:
    """Return True for the questions file, False for the annotations file."""
    with TextBlocks(path) as source:
        head = source.read(_HEAD)
    match = re.search(r'"(questions|annotations)"\s*:\s*\[', head)
    if match is None:
        raise InputError(f"{path.name} is not a VQAv2 file", hint="VQAv2 files list `questions` or `annotations`")
    return match[1] == "questions"


def _usual_paths(path: Path, *, has_questions: bool) -> Iterator[Path]:
    """Yield the paths of the other file under its published names.

    The names are v2_OpenEnded_mscoco_train2014_questions.json and v2_mscoco_train2014_annotations.json.
    """
    if has_questions:
        for pattern, name in _NAMES:
            yield path.with_name(pattern.sub(name, path.name))
        return
    version, rest = re.fullmatch(r"(v\d_)?(.*)", path.name.replace("annotations", "questions")).groups()  # type: ignore[union-attr]
    for shape in _QUESTION_NAMES:
        yield path.with_name(f"{version or ''}{shape.format(rest)}")


class VqaAnswer(NamedTuple):
    agreed: int
    answers: int
    image: str
    question_type: str | None
    place: int
    """Index of the annotation."""


class _SkippedQuestion(NamedTuple):
    counter: str
    """The field of `ImportReport` that counts it."""


_NOT_NO: Final = _SkippedQuestion("questions_not_no")
_NO_MAJORITY: Final = _SkippedQuestion("questions_unsettled")


@dataclass(slots=True)
class _Answers:
    """The annotations file, by question."""

    by_question: dict[str, VqaAnswer | _SkippedQuestion] = field(default_factory=dict)

    def add(self, run: JsonRun) -> Iterator[Reject]:
        """Add the annotations of `run`; yield the invalid ones."""
        for place, item in enumerate(run.values):
            try:
                key = key_of(member(item, "question_id"))
                if key in self.by_question:
                    raise RefusedRow(RejectReason.DUPLICATE, f"question {key} has an earlier annotation in the file")
                self.by_question[key] = _majority(item, run.start + place)
            except RefusedRow as why:
                yield reject((run, place), why)


def _majority(item: dict[str, Any], index: int) -> VqaAnswer | _SkippedQuestion:
    """Return the answers if their majority and `multiple_choice_answer` are "no", else why the question is skipped."""
    stated = _normalized(member(item, "multiple_choice_answer"))
    answers = member(item, "answers")
    if not isinstance(answers, list) or not answers:
        raise RefusedRow(RejectReason.BAD_VALUE, "expected a list of answers")
    try:
        votes = Counter(_normalized(each["answer"]) for each in answers)
    except (KeyError, TypeError, IndexError):
        raise RefusedRow(RejectReason.BAD_VALUE, "an answer without a text") from None
    most = max(votes.values())
    agreed = votes[_NO]
    if stated != _NO and agreed < most:
        return _NOT_NO
    if stated != _NO or agreed < most or sum(count == most for count in votes.values()) > 1:
        return _NO_MAJORITY
    kind = item.get("question_type")
    shown = clean(kind).strip()[:_TYPE_LIMIT] if isinstance(kind, str) else ""
    return VqaAnswer(agreed, len(answers), key_of(member(item, "image_id")), shown or None, index)


def _normalized(answer: object) -> str:
    if not isinstance(answer, str):
        raise RefusedRow(RejectReason.BAD_VALUE, f"expected a text as answer, got {type(answer).__name__}")
    return answer.strip().casefold().rstrip(".!")


def read_vqa(files: VqaFiles) -> Iterator[RowBatch]:
    """Yield the questions with the majority answer "no", and their images.

    Raises:
        InputError: The two files have no question in common; raised before the first row is yielded.
    """
    answers = _Answers()
    size = files.annotations.stat().st_size
    for event in read_json(files.annotations):
        yield _answer_batch(event, answers, files.annotations.name)
    reader = _QuestionReader(answers.by_question, files)
    for event in read_json(files.questions):
        batch = reader.read(event)
        batch.done += size
        yield batch
    yield RowBatch(done=size + files.questions.stat().st_size, rejects=list(reader.answers_without_question()))


def _answer_batch(event: JsonRun | Fault, answers: _Answers, file: str) -> RowBatch:
    if isinstance(event, Fault):
        return RowBatch(done=event.offset, rejects=[event.as_reject()._replace(file=file)])
    batch = RowBatch(done=event.done)
    if event.key == "annotations":
        batch.rejects = [each._replace(file=file) for each in answers.add(event)]
    return batch


class _QuestionReader:
    def __init__(self, answers: dict[str, VqaAnswer | _SkippedQuestion], files: VqaFiles) -> None:
        self._answers = answers
        self._files = files
        self._left = {key for key, each in answers.items() if isinstance(each, VqaAnswer)}
        self._release = ""
        self._checked = False

    def read(self, event: JsonRun | Fault) -> RowBatch:
        if isinstance(event, Fault):
            return RowBatch(done=event.offset, rejects=[event.as_reject()])
        batch = RowBatch(done=event.done)
        if event.key == "questions":
            self._check(event)
            for index in range(len(event.values)):
                self._add(event, index, batch)
        elif event.key is None and event.names == ["data_subtype"]:
            subtype = event.values[0]
            self._release = subtype if isinstance(subtype, str) and _RELEASE.fullmatch(subtype) else ""
        return batch

    def _check(self, run: JsonRun) -> None:
        """Refuse two files that have no question in common, before anything is written."""
        if self._checked or len(run.values) < _FEW:
            return  # few questions are refused one by one
        self._checked = True
        if not any(isinstance(item, dict) and str(item.get("question_id")) in self._answers for item in run.values):
            names = f"{self._files.annotations.name} answers none of the questions in {self._files.questions.name}"
            raise InputError(names, hint="give the annotations of the same release: --annotations FILE")

    def _add(self, run: JsonRun, index: int, batch: RowBatch) -> None:
        item, at = run.values[index], (run, index)
        try:
            key, image = key_of(member(item, "question_id")), key_of(member(item, "image_id"))
            text = member(item, "question")
            answer = self._answers.get(key)
            if answer is None:
                raise RefusedRow(RejectReason.NO_ANSWER, f"question {key} has no valid answers")
            if isinstance(answer, _SkippedQuestion):
                batch.counts[answer.counter] += 1
                return
            self._left.discard(key)
            if answer.image != image:
                raise RefusedRow(
                    RejectReason.BAD_VALUE, f"the question is about image {image}, its answers about {answer.image}"
                )
        except RefusedRow as why:
            batch.rejects.append(reject(at, why))
            return
        batch.mentioned.append(self._image(image, at))
        agreed, answers, question_type = answer.agreed, answer.answers, answer.question_type
        batch.questions.append(QuestionRow(key, image, text, _NO, agreed, answers, question_type, at))

    def _image(self, image: str, at: At) -> ImageRow:
        """Return the row of an image, with the file name that VQA's own reader derives from the id."""
        named = self._release and image.isdecimal()
        return ImageRow(image, f"COCO_{self._release}_{image:0>12}.jpg" if named else None, None, None, None, at)

    def answers_without_question(self) -> Iterator[Reject]:
        """Yield a reject for each answer "no" whose question is missing."""
        for key in sorted(self._left, key=lambda each: (len(each), each)):
            answer = self._answers[key]
            place = answer.place if isinstance(answer, VqaAnswer) else 0
            message = f"no valid question {key} in {self._files.questions.name}"
            yield Reject(
                RejectReason.NO_QUESTION, message, f"annotations[{place}]", None, key, file=self._files.annotations.name
            )
