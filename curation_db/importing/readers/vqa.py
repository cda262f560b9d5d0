"""VQAv2: yes-or-no questions and the ten answers that people gave to each, in two files that belong together.

Kept is a question that most people answered with "no", if the file's own word for it says the same. Everything else
is counted and passed over. Both files are read one after the other, a run at a time; between them stands one short
entry per annotation.
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


class Files(NamedTuple):
    """The two files of a set."""

    questions: Path
    annotations: Path


def pair(path: Path, other: Path | None) -> Files:
    """`path` and its other half, whichever of the two it is; None: the one with the usual name beside it.

    Raises:
        InputError: there is none, or both are the same half.
        OSError: one cannot be read.
    """
    asks = _asks(path)
    if other is None:
        other = next((near for near in _usual(path, asks=asks) if near != path and near.is_file()), None)
        if other is None:
            lacking, usual = ("answers", "annotations") if asks else ("questions", "questions")
            raise InputError(
                f"{path.name} has no {lacking} in it, and the file that has is not beside it",
                hint=f"say --annotations FILE with VQAv2's {usual} file",
            )
    elif not other.is_file():
        raise InputError(f"no such file: {other}")
    elif _asks(other) == asks:
        both = "questions" if asks else "annotations"
        raise InputError(f"{path.name} and {other.name} are both {both}: one file of each is needed")
    return Files(path, other) if asks else Files(other, path)


def _asks(path: Path) -> bool:
    """Whether the file has the questions; else the answers."""
    with TextBlocks(path) as source:
        head = source.read(_HEAD)
    found = re.search(r'"(questions|annotations)"\s*:\s*\[', head)
    if found is None:
        raise InputError(f"{path.name} is no file of VQAv2's", hint="they list `questions` or `annotations`")
    return found[1] == "questions"


def _usual(path: Path, *, asks: bool) -> Iterator[Path]:
    """Where the other half lies as it comes from the download: v2_OpenEnded_mscoco_train2014_questions.json and
    v2_mscoco_train2014_annotations.json."""
    if asks:
        for pattern, name in _NAMES:
            yield path.with_name(pattern.sub(name, path.name))
        return
    version, rest = re.fullmatch(r"(v\d_)?(.*)", path.name.replace("annotations", "questions")).groups()  # type: ignore[union-attr]
    for shape in _QUESTION_NAMES:
        yield path.with_name(f"{version or ''}{shape.format(rest)}")


class VqaAnswer(NamedTuple):
    """What people said to a question that is kept."""

    agreed: int
    answers: int
    image: str
    question_type: str | None
    place: int
    """Among the annotations."""


class _Other(NamedTuple):
    """A question that is not kept, as it is counted."""

    told: str


_NOT_NO: Final = _Other("questions_not_no")
_UNSETTLED: Final = _Other("questions_unsettled")


@dataclass(slots=True)
class _Answers:
    """The annotations file, question by question."""

    said: dict[str, VqaAnswer | _Other] = field(default_factory=dict)

    def add(self, run: JsonRun) -> Iterator[Reject]:
        """Take the answers of `run`; yields what cannot be used."""
        for place, item in enumerate(run.values):
            try:
                key = key_of(member(item, "question_id"))
                if key in self.said:
                    raise RefusedRow(RejectReason.DUPLICATE, f"question {key} is answered further up")
                self.said[key] = _settled(item, run.start + place)
            except RefusedRow as why:
                yield reject((run, place), why)


def _settled(item: dict[str, Any], index: int) -> VqaAnswer | _Other:
    """Whether most people said no, by their answers and by the file's own word."""
    told = _plain(member(item, "multiple_choice_answer"))
    answers = member(item, "answers")
    if not isinstance(answers, list) or not answers:
        raise RefusedRow(RejectReason.BAD_VALUE, "a list of answers is expected")
    try:
        votes = Counter(_plain(each["answer"]) for each in answers)
    except (KeyError, TypeError, IndexError):
        raise RefusedRow(RejectReason.BAD_VALUE, "an answer without a text") from None
    most = max(votes.values())
    agreed = votes[_NO]
    if told != _NO and agreed < most:
        return _NOT_NO
    if told != _NO or agreed < most or sum(count == most for count in votes.values()) > 1:
        return _UNSETTLED
    kind = item.get("question_type")
    shown = clean(kind).strip()[:_TYPE_LIMIT] if isinstance(kind, str) else ""
    return VqaAnswer(agreed, len(answers), key_of(member(item, "image_id")), shown or None, index)


def _plain(answer: object) -> str:
    if not isinstance(answer, str):
        raise RefusedRow(RejectReason.BAD_VALUE, f"an answer is a text, not {type(answer).__name__}")
    return answer.strip().casefold().rstrip(".!")


def read_vqa(files: Files) -> Iterator[RowBatch]:
    """The questions of both files that people answered with no, and their pictures.

    Raises:
        InputError: the two files are not about the same questions; nothing came before.
    """
    answers = _Answers()
    size = files.annotations.stat().st_size
    for event in read_json(files.annotations):
        yield _answered(event, answers, files.annotations.name)
    asked = _Asked(answers.said, files)
    for event in read_json(files.questions):
        batch = asked.take(event)
        batch.done += size
        yield batch
    yield RowBatch(done=size + files.questions.stat().st_size, rejects=list(asked.unasked()))


def _answered(event: JsonRun | Fault, answers: _Answers, file: str) -> RowBatch:
    if isinstance(event, Fault):
        return RowBatch(done=event.offset, rejects=[event.as_reject()._replace(file=file)])
    batch = RowBatch(done=event.done)
    if event.key == "annotations":
        batch.rejects = [told._replace(file=file) for told in answers.add(event)]
    return batch


class _Asked:
    """The questions file."""

    def __init__(self, said: dict[str, VqaAnswer | _Other], files: Files) -> None:
        self._said = said
        self._files = files
        self._left = {key for key, each in said.items() if isinstance(each, VqaAnswer)}
        self._release = ""
        self._begun = False

    def take(self, event: JsonRun | Fault) -> RowBatch:
        """What stands in a piece of the file."""
        if isinstance(event, Fault):
            return RowBatch(done=event.offset, rejects=[event.as_reject()])
        batch = RowBatch(done=event.done)
        if event.key == "questions":
            self._check(event)
            for index in range(len(event.values)):
                self._take(event, index, batch)
        elif event.key is None and event.names == ["data_subtype"]:
            told = event.values[0]
            self._release = told if isinstance(told, str) and _RELEASE.fullmatch(told) else ""
        return batch

    def _check(self, run: JsonRun) -> None:
        """Refuse two files that do not belong together, before anything is written."""
        if self._begun or len(run.values) < _FEW:
            return  # of a few, each is told
        self._begun = True
        if not any(isinstance(item, dict) and str(item.get("question_id")) in self._said for item in run.values):
            names = f"{self._files.annotations.name} answers none of the questions in {self._files.questions.name}"
            raise InputError(names, hint="give the annotations of the same release: --annotations FILE")

    def _take(self, run: JsonRun, index: int, batch: RowBatch) -> None:
        item, at = run.values[index], (run, index)
        try:
            key, image = key_of(member(item, "question_id")), key_of(member(item, "image_id"))
            text = member(item, "question")
            said = self._said.get(key)
            if said is None:
                raise RefusedRow(RejectReason.NO_ANSWER, f"question {key} has no usable answers")
            if isinstance(said, _Other):
                batch.counts[said.told] += 1
                return
            self._left.discard(key)
            if said.image != image:
                raise RefusedRow(
                    RejectReason.BAD_VALUE, f"asked about picture {image}, answered about picture {said.image}"
                )
        except RefusedRow as why:
            batch.rejects.append(reject(at, why))
            return
        batch.mentioned.append(self._picture(image, at))
        batch.questions.append(QuestionRow(key, image, text, _NO, said.agreed, said.answers, said.question_type, at))

    def _picture(self, image: str, at: At) -> ImageRow:
        """A picture known by its id, from which its file name follows as VQA's own reader makes it."""
        named = self._release and image.isdecimal()
        return ImageRow(image, f"COCO_{self._release}_{image:0>12}.jpg" if named else None, None, None, None, at)

    def unasked(self) -> Iterator[Reject]:
        """Answers that would be kept, if only the question were there."""
        for key in sorted(self._left, key=lambda each: (len(each), each)):
            said = self._said[key]
            place = said.place if isinstance(said, VqaAnswer) else 0
            message = f"no usable question {key} in {self._files.questions.name}"
            yield Reject(
                RejectReason.NO_QUESTION, message, f"annotations[{place}]", None, key, file=self._files.annotations.name
            )
