"""The rows that every format's reader hands to the pipeline, and the rules that their fields must keep.

Readers translate shapes and nothing else; the pipeline decides what goes in. Every row knows where it came from, so
that whatever is wrong with it can be told with file and position. Tuples, because there are millions of them.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from curation_db.enums import NegationType
from curation_db.language.sanitize import clean, display_text
from curation_db.queue.gold import KnownAnswer

TEXT_LIMIT: Final = 20_000
"""Characters of the longest caption that is taken."""
KEY_LIMIT: Final = 1_000
"""Characters of the longest key or file name that is taken."""
_encode = json.JSONEncoder(separators=(",", ":")).encode
_COCO_FOLDER = r"(?:(?P<folder>(?:train|val|test|unlabeled)20(?:14|15|17))/)?"
_NUMBERED = re.compile(rf"{_COCO_FOLDER}(?:COCO_\w+?_)?0*(?P<number>\d+)\.\w+")
_COCO_NAME = re.compile(_COCO_FOLDER + r"(?:COCO_(?P<release>(?:train|val|test)20(?:14|15))_)?(?P<number>\d{12})\.jpg")
"""COCO's own rule for file names; a folder of the release may stand before the name."""
COCO_LARGEST: Final = 581_929
"""The largest image id in COCO's releases."""


class RejectReason(StrEnum):
    """Why a row was refused, or is listed although it went in."""

    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    ENCODING = "encoding"
    NO_FIELD = "no-field"
    BAD_VALUE = "bad-value"
    NO_PICTURE = "no-picture"
    UNKNOWN_IMAGE = "unknown-image"
    EMPTY_TEXT = "empty-text"
    TEXT_TOO_LONG = "text-too-long"
    DUPLICATE = "duplicate"
    """The same id with other content, in this file or in the record."""
    PICTURE_REFUSED = "picture-refused"
    """It refers to a picture of this file that was refused, so it may mean another one than the record has."""
    CAPTION_REFUSED = "caption-refused"
    OUTSIDE_FOLDER = "outside-folder"
    """A file name that leads out of the picture folder."""
    NO_ANSWER = "no-answer"
    """A question without usable answers."""
    NO_QUESTION = "no-question"
    """Answers without a usable question."""
    UNREADABLE = "unreadable"
    """A folder or a file that may not be read."""
    MISSING_FILE = "missing-file"
    BAD_PICTURE = "bad-picture"


class RowOrigin(Protocol):
    """Rows of a file; tells of one of them by its number where it stands."""

    def where(self, index: int) -> str:
        """Its place in words: a line, or a path within the JSON."""
        ...

    def offset(self, index: int) -> int | None:
        """The byte where it begins, if that is known."""
        ...

    def value(self, index: int) -> object:
        """The row as it was read."""
        ...


At = tuple[RowOrigin, int]
"""Where a row came from."""


class ImageRow(NamedTuple):
    """A picture."""

    key: str
    file_name: str | None
    width: int | None
    height: int | None
    extra: str | None
    at: At
    content_sha256: bytes | None = None
    """Of its file's bytes, where this import saw the file."""
    url: str | None = None
    """Where it is on the network, if its file named it by a URL; it then has no file name."""
    unstripped: str | None = None
    """Another name under which the record may have it (`PictureName.unstripped`)."""

    @property
    def name(self) -> str | None:
        """Its file name or its URL."""
        return self.file_name or self.url

    def may_be(self, known: str | None) -> bool:
        """Whether it may be the picture that the record knows by the name `known`."""
        stripped = self.unstripped is not None and same_picture(known, self.unstripped)
        return stripped or same_picture(known, self.name)


class CaptionRow(NamedTuple):
    """A human's caption; without a key of its own it is known by its picture and text."""

    key: str | None
    image: str
    text: object
    at: At


class RowGenerator(NamedTuple):
    """How a candidate came to be, where its file states it."""

    key: str
    """As the record has it, with the generator's name or another beginning."""
    generator: str
    pipeline: str
    prompt_version: str | None


class CandidateRow(NamedTuple):
    """A proposed caption."""

    key: str | None
    """Below the generator's name; None: known by its picture and text."""
    image: str
    caption: int | None
    """The original's place among the batch's captions."""
    text: object
    concept: str | None
    """As the file states it."""
    extra: str | None
    at: At
    gold: KnownAnswer | None = None
    """The answer, where the file knows it."""
    negation_type: NegationType | None = None
    """As the file states it; None: told by the text."""
    made: RowGenerator | None = None
    """None: by the import's generator."""


class ObjectRow(NamedTuple):
    """So many things of a category are in a picture."""

    image: str
    category: str
    number: int
    at: At


class QuestionRow(NamedTuple):
    """A question about a picture and what most people answered."""

    key: str
    image: str
    text: object
    answer: str
    agreed: int
    """How many of the people gave this answer ..."""
    answers: int
    """... of so many."""
    question_type: str | None
    at: At


class Reject(NamedTuple):
    """A row that was refused, or that went in with something missing."""

    reason: RejectReason
    message: str
    where: str
    offset: int | None
    excerpt: str
    kept: bool = False
    file: str = ""
    """Where it stands, if not in the file that was named."""
    hint: str = ""
    """What to do about it; equal hints of many rows are shown once."""
    name: str = ""
    """The file name of the picture, where it is the reason."""


@dataclass(slots=True)
class RowBatch:
    """Rows for one write transaction."""

    done: int = 0
    """How much of the file was read when this was put together."""
    images: list[ImageRow] = field(default_factory=list)
    captions: list[CaptionRow] = field(default_factory=list)
    candidates: list[CandidateRow] = field(default_factory=list)
    objects: list[ObjectRow] = field(default_factory=list)
    questions: list[QuestionRow] = field(default_factory=list)
    mentioned: list[ImageRow] = field(default_factory=list)
    """Pictures that the file names by their id alone: they go in where the record does not know them."""
    refused: set[str] = field(default_factory=set)
    """Keys of pictures whose rows the reader refused: what refers to them is refused too."""
    rejects: list[Reject] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Rows that were passed over and are nothing to list, by the names of `ImportReport`'s fields."""
    licenses: str | None = None
    source: str = ""
    """Whose pictures these are, where one file has several sources' rows; "": the plan's."""


class InputError(Exception):
    """The file as a whole cannot be imported; nothing was written."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RefusedRow(Exception):
    """This row cannot go in."""

    def __init__(self, reason: RejectReason, message: str, *, hint: str = "", name: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint
        self.name = name


def reject(at: At, why: RefusedRow, *, kept: bool = False) -> Reject:
    """What is told of the row at `at`."""
    origin, index = at
    where, offset, row = origin.where(index), origin.offset(index), excerpt(origin.value(index))
    return Reject(why.reason, why.message, where, offset, row, kept, hint=why.hint, name=why.name)


def excerpt(value: object) -> str:
    """The beginning of a row, safe to show, at most 200 characters."""
    try:
        told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError, TypeError):
        told = f"({type(value).__name__})"
    return display_text(told, limit=200)


def member(item: object, name: str) -> Any:
    """`item[name]` of a row that should be an object that has it."""
    if not isinstance(item, dict):
        raise RefusedRow(RejectReason.MALFORMED, f"an object is expected, not {type(item).__name__}")
    if name not in item:
        raise RefusedRow(RejectReason.NO_FIELD, f"no field {name!r}")
    return item[name]


def key_of(value: object) -> str:
    """An id as the record keeps it: 17, 17.0, "17" and "17.0" are the same, and a text is in NFC.

    Tools write a column of numbers with a gap in it as floats.
    """
    if value.__class__ is int:
        key = str(value)
        return key if len(key) < KEY_LIMIT else _refuse_id(key)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str) and value and (key := clean(value)) == unicodedata.normalize("NFC", value):
        return _short_key(key[:-2] if key.endswith(".0") and key[:-2].isdecimal() else key)
    return _refuse_id(value)


def _short_key(key: str) -> str:
    return key if len(key) <= KEY_LIMIT else _refuse_id(key)


def _refuse_id(value: object) -> str:
    raise RefusedRow(RejectReason.BAD_VALUE, f"no usable id: {excerpt(value)[:60]}")


def size_of(value: object) -> int | None:
    """A width or height; None where it is none."""
    return value if value.__class__ is int and 0 < value < 2**31 else None


def prepared(raw: object) -> tuple[str, bytes]:
    """A caption's clean text and the hash of the raw one.

    Raises:
        RefusedRow: it is no text, empty, too long, or was not readable.
    """
    if not isinstance(raw, str):
        raise RefusedRow(RejectReason.BAD_VALUE, f"a text is expected, not {type(raw).__name__}")
    if len(raw) > TEXT_LIMIT:
        raise RefusedRow(RejectReason.TEXT_TOO_LONG, f"{len(raw):,} characters; {TEXT_LIMIT:,} at most")
    try:
        digest = hashlib.sha256(raw.encode()).digest()
    except UnicodeEncodeError:
        raise RefusedRow(
            RejectReason.ENCODING, "bytes that are not in the file's encoding, or half a character"
        ) from None
    shown = clean(raw)
    if not shown or shown.isspace():
        raise RefusedRow(RejectReason.EMPTY_TEXT, "the text is empty")
    return shown, digest


def extra_of(item: Mapping[str, Any], known: frozenset[str], ids: tuple[str, ...]) -> str | None:
    """What else a row said, as JSON; ids that are no whole numbers too, for the key keeps their text only."""
    rest = {name: value for name, value in item.items() if name not in known}
    rest |= {name: item[name] for name in ids if name in item and item[name].__class__ is not int}
    if not rest:
        return None
    try:
        return _encode(rest)
    except RecursionError:
        raise RefusedRow(RejectReason.MALFORMED, "nested too deeply") from None


def coco_key(file_name: str) -> str | None:
    """The image id in a file name that is numbered as COCO's are: 000000085329.jpg, COCO_train2014_000000085329.jpg.

    Names such as 85329.png have one too: which picture it is, its name decides (`same_picture`).
    """
    found = _NUMBERED.fullmatch(file_name)
    return str(int(found["number"])) if found and len(found["number"]) < 19 else None


def coco_id(file_name: str) -> str | None:
    """The image id in a file name that follows COCO's own rule, in COCO's range."""
    found = _COCO_NAME.fullmatch(file_name)
    return str(int(found["number"])) if found and 0 < int(found["number"]) <= COCO_LARGEST else None


def same_picture(one: str | None, other: str | None) -> bool:
    """Whether two names (file names or URLs) may be those of one picture.

    Equal names are, whatever their Unicode form, and so are COCO's two names for one picture. Where a name is not
    known it may be any.
    """
    if one is None or other is None or one == other:
        return True
    if not (one.isascii() and other.isascii()):
        return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    first, second = _COCO_NAME.fullmatch(one), _COCO_NAME.fullmatch(other)
    if first is None or second is None:
        return False
    releases = {first["release"], second["release"]} - {None}  # two releases number their own pictures
    return len(releases) < 2 and (first["folder"], first["number"]) == (second["folder"], second["number"])
