"""Row types that readers pass to the pipeline, and the checks of their fields.

Readers only convert formats; the writers decide what is stored. Every row has its origin, so that a problem is
reported with file and position. Rows are tuples, because an import has millions of them.
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
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from curation_db.enums import NegationType
from curation_db.errors import HintedError
from curation_db.language.sanitize import clean, display_text

if TYPE_CHECKING:
    from curation_db.queue.gold import KnownAnswer  # a reader of files needs no database

TEXT_LIMIT: Final = 20_000
"""Most characters of a caption."""
KEY_LIMIT: Final = 1_000
"""Most characters of a key or file name."""
_encode = json.JSONEncoder(separators=(",", ":")).encode
_COCO_FOLDER = r"(?:(?P<folder>(?:train|val|test|unlabeled)20(?:14|15|17))/)?"
_NUMBERED_NAME = re.compile(rf"{_COCO_FOLDER}(?:COCO_\w+?_)?0*(?P<number>\d+)\.\w+")
_COCO_NAME = re.compile(_COCO_FOLDER + r"(?:COCO_(?P<release>(?:train|val|test)20(?:14|15))_)?(?P<number>\d{12})\.jpg")
"""File names of COCO's releases; the folder of the release may precede the name."""
COCO_LARGEST: Final = 581_929
"""The largest image id in COCO's releases."""


class RejectReason(StrEnum):
    """Why a row was refused, or was stored with a problem."""

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
    """The row refers to an image of this file that was refused, so its key may not mean the stored image."""
    CAPTION_REFUSED = "caption-refused"
    OUTSIDE_FOLDER = "outside-folder"
    """The file name leads out of the image folder."""
    NO_ANSWER = "no-answer"
    """A question without valid answers."""
    NO_QUESTION = "no-question"
    """Answers without a valid question."""
    UNREADABLE = "unreadable"
    """A folder or file without read permission, or with another read error."""
    MISSING_FILE = "missing-file"
    BAD_PICTURE = "bad-picture"


class RowOrigin(Protocol):
    """Some rows of a file; gives the position of each by its index."""

    def where(self, index: int) -> str:
        """Return the position for display: a line, or a path within the JSON."""
        ...

    def offset(self, index: int) -> int | None:
        """Return the byte at which the row begins, or None if unknown."""
        ...

    def value(self, index: int) -> object:
        """Return the row as it was read."""
        ...


At = tuple[RowOrigin, int]
"""Position of a row: its origin and its index there."""


class ImageRow(NamedTuple):
    key: str
    file_name: str | None
    width: int | None
    height: int | None
    extra: str | None
    at: At
    content_sha256: bytes | None = None
    """SHA-256 of the image file, if this import read the file."""
    url: str | None = None
    """Set if the row names the image by a URL; `file_name` is then None."""
    unstripped: str | None = None
    """Another name under which the image may be stored (`ImageName.unstripped`)."""

    @property
    def name(self) -> str | None:
        """The file name or the URL."""
        return self.file_name or self.url

    def may_be_named(self, known: str | None) -> bool:
        """Return whether this may be the image that is stored under the name `known`."""
        stripped = self.unstripped is not None and may_be_same_image(known, self.unstripped)
        return stripped or may_be_same_image(known, self.name)


class CaptionRow(NamedTuple):
    """A caption; without a key the writer derives one from its image and text."""

    key: str | None
    image: str
    text: object
    at: At


class RowGenerator(NamedTuple):
    """The key and the generator of a candidate, where the file states them."""

    key: str
    """The stored key, including its prefix (usually the generator's name)."""
    generator: str
    pipeline: str
    prompt_version: str | None


class CandidateRow(NamedTuple):
    key: str | None
    """Key without the generator's prefix; None: the writer derives one from image and text."""
    image: str
    caption: int | None
    """Index of the original caption in the batch's captions."""
    text: object
    concept: str | None
    """As stated in the file."""
    extra: str | None
    at: At
    gold: KnownAnswer | None = None
    negation_type: NegationType | None = None
    """As stated in the file; None: derived from the text."""
    generator: RowGenerator | None = None
    """None: the generator of the import."""


class ObjectRow(NamedTuple):
    """The number of objects of a category in an image."""

    image: str
    category: str
    number: int
    at: At


class QuestionRow(NamedTuple):
    """A question about an image and the majority answer."""

    key: str
    image: str
    text: object
    answer: str
    agreed: int
    """Number of annotators who gave this answer."""
    answers: int
    """Number of all answers."""
    question_type: str | None
    at: At


class Reject(NamedTuple):
    """A row that was refused, or that was stored with a problem."""

    reason: RejectReason
    message: str
    where: str
    offset: int | None
    excerpt: str
    warning: bool = False
    """Whether the row was stored."""
    file: str = ""
    """The file that holds the row, if it is not the imported file."""
    hint: str = ""
    """What to do; equal hints of many rows are shown once."""
    name: str = ""
    """The file name of the image, if it is the reason."""


@dataclass(slots=True)
class RowBatch:
    """Rows for one write transaction."""

    done: int = 0
    """Bytes of the file that were read up to this batch."""
    images: list[ImageRow] = field(default_factory=list)
    captions: list[CaptionRow] = field(default_factory=list)
    candidates: list[CandidateRow] = field(default_factory=list)
    objects: list[ObjectRow] = field(default_factory=list)
    questions: list[QuestionRow] = field(default_factory=list)
    mentioned: list[ImageRow] = field(default_factory=list)
    """Images that the file names only by id: stored if the record has no image with the id."""
    refused: set[str] = field(default_factory=set)
    """Keys of images whose rows the reader refused; rows that refer to them are refused too."""
    rejects: list[Reject] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Numbers of skipped rows that are not listed; keys are field names of `ImportReport`."""
    licenses: str | None = None
    source: str = ""
    """Source of the images, where one file has rows of several sources; "": the plan's."""


class InputError(HintedError):
    """The file as a whole cannot be imported; nothing was written."""


class RefusedRow(HintedError):
    """A row cannot be stored."""

    def __init__(self, reason: RejectReason, message: str, *, hint: str = "", name: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.name = name


def reject(at: At, why: RefusedRow, *, warning: bool = False) -> Reject:
    """Return the list entry for the row at `at`."""
    origin, index = at
    where, offset, row = origin.where(index), origin.offset(index), excerpt(origin.value(index))
    return Reject(why.reason, why.message, where, offset, row, warning, hint=why.hint, name=why.name)


def excerpt(value: object) -> str:
    """Return the beginning of a row, safe to display, at most 200 characters."""
    try:
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError, TypeError):
        shown = f"({type(value).__name__})"
    return display_text(shown, limit=200)


def member(item: object, name: str) -> Any:
    """Return `item[name]`.

    Raises:
        RefusedRow: `item` is not an object or has no such member.
    """
    if not isinstance(item, dict):
        raise RefusedRow(RejectReason.MALFORMED, f"expected an object, got {type(item).__name__}")
    if name not in item:
        raise RefusedRow(RejectReason.NO_FIELD, f"no field {name!r}")
    return item[name]


def key_of(value: object) -> str:
    """Return an id as it is stored: 17, 17.0, "17" and "17.0" become the same key, and text is in NFC.

    Tools such as pandas write an integer column with a missing value as floats.

    Raises:
        RefusedRow: `value` is not a valid id.
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
    raise RefusedRow(RejectReason.BAD_VALUE, f"not a valid id: {excerpt(value)[:60]}")


def size_of(value: object) -> int | None:
    """Return a width or height in pixels, or None if `value` is not a valid one."""
    return value if value.__class__ is int and 0 < value < 2**31 else None


def checked_text(raw: object) -> tuple[str, bytes]:
    """Return a caption's cleaned text and the SHA-256 of the raw text.

    Raises:
        RefusedRow: `raw` is not a string, is empty or too long, or could not be decoded.
    """
    if not isinstance(raw, str):
        raise RefusedRow(RejectReason.BAD_VALUE, f"expected a text, got {type(raw).__name__}")
    if len(raw) > TEXT_LIMIT:
        raise RefusedRow(RejectReason.TEXT_TOO_LONG, f"{len(raw):,} characters; {TEXT_LIMIT:,} at most")
    try:
        digest = hashlib.sha256(raw.encode()).digest()
    except UnicodeEncodeError:
        raise RefusedRow(
            RejectReason.ENCODING, "bytes that are not valid in the file's encoding, or half a surrogate pair"
        ) from None
    shown = clean(raw)
    if not shown or shown.isspace():
        raise RefusedRow(RejectReason.EMPTY_TEXT, "the text is empty")
    return shown, digest


def extra_of(item: Mapping[str, Any], known: frozenset[str], ids: tuple[str, ...]) -> str | None:
    """Return the members of a row that no column stores, as JSON; None: there are none.

    Args:
        known: Names that the record stores in columns.
        ids: Names of ids; an id that is not an integer is included, because its key loses the type.

    Raises:
        RefusedRow: The row is nested too deeply.
    """
    rest = {name: value for name, value in item.items() if name not in known}
    rest |= {name: item[name] for name in ids if name in item and item[name].__class__ is not int}
    if not rest:
        return None
    try:
        return _encode(rest)
    except RecursionError:
        raise RefusedRow(RejectReason.MALFORMED, "nested too deeply") from None


def coco_key(file_name: str) -> str | None:
    """Return the image id in a numbered file name: 000000085329.jpg, COCO_train2014_000000085329.jpg; None: no number.

    Names such as 85329.png have an id too, so equal ids do not prove equal images; compare the names with
    `may_be_same_image`.
    """
    match = _NUMBERED_NAME.fullmatch(file_name)
    return str(int(match["number"])) if match and len(match["number"]) < 19 else None


def coco_id(file_name: str) -> str | None:
    """Return the image id in a file name of COCO's releases; None: another name, or an id out of COCO's range."""
    match = _COCO_NAME.fullmatch(file_name)
    return str(int(match["number"])) if match and 0 < int(match["number"]) <= COCO_LARGEST else None


def may_be_same_image(one: str | None, other: str | None) -> bool:
    """Return whether two names (file names or URLs) may belong to one image.

    Names match if they are equal in NFC, or if they are COCO's two names of one image. An unknown name (None) matches
    every name.
    """
    if one is None or other is None or one == other:
        return True
    if not (one.isascii() and other.isascii()):
        return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    first, second = _COCO_NAME.fullmatch(one), _COCO_NAME.fullmatch(other)
    if first is None or second is None:
        return False
    releases = {first["release"], second["release"]} - {None}  # each release numbers its own images
    return len(releases) < 2 and (first["folder"], first["number"]) == (second["folder"], second["number"])
