"""The names that data files give to pictures: file names below a folder, URLs, and names that are refused.

A file name is kept in the Unicode form in which it stands, and its key is in NFC. A name that leads out of the picture
folder is refused, whichever system's separators it uses. A URL is kept whole and is never a file.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, NamedTuple

from curation_db.importing.rows import KEY_LIMIT, RefusedRow, RejectReason, coco_key
from curation_db.language.sanitize import clean

_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
"""A bare file name, as nearly all are: nothing in it needs a closer look."""
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://\S")
_LOCAL: Final = re.compile(r"(?i)file:")
_DRIVE: Final = re.compile(r"[A-Za-z]:/")
_STRIP: Final = "say with --strip-prefix what stands before the name below the picture folder"


class PictureName(NamedTuple):
    """A picture's name, checked: it has a file name or a URL, never both."""

    file_name: str | None
    """A relative path with slashes, without `..`."""
    url: str | None
    unstripped: str | None = None
    """Another name under which the record may have it: the one before a prefix was stripped, if that would do too; of
    a URL the file name that older versions made of it (`_shortened`)."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How the names in a file become file names and keys of a source."""

    source: str
    prefixes: tuple[str, ...] = ()
    """What is stripped from the beginning of names; of several the first that fits."""
    shortened: frozenset[str] = frozenset()
    """The source's keys that older versions made of URLs."""

    def name(self, value: object) -> PictureName:
        """The picture's name that a row states as `value`.

        Raises:
            RefusedRow: it is no name, or leads out of the picture folder.
        """
        if not self.prefixes and isinstance(value, str) and _PLAIN.fullmatch(value):
            return PictureName(value, None)
        stated = _text(value)
        for each in (stated, None if _URL.match(stated) else _normal(stated)):
            stripped = None if each is None else self._strip(each)
            if stripped is not None:
                return _checked(stripped)._replace(unstripped=_usable(stated))
        return _checked(stated)

    def key(self, name: PictureName) -> str:
        """The key of a picture that is only known by its name; a stripped prefix changes it only where it must."""
        if self.source == "coco" and name.file_name is not None and (number := coco_key(name.file_name)):
            return number
        stated = name.unstripped or name.file_name or name.url or ""
        if name.url is not None and stated == _shortened(name.url):
            key = unicodedata.normalize("NFC", stated)
            return key if key in self.shortened else unicodedata.normalize("NFC", name.url)
        return unicodedata.normalize("NFC", stated)

    def _strip(self, stated: str) -> str | None:
        """What `stated` is without the first of the prefixes that it begins with; None: it begins with none."""
        for prefix in self.prefixes:
            end = _end_of(prefix, stated)
            rest = stated[end:] if end else ""
            whole = rest and (not prefix[-1].isalnum() or rest[0] in "/\\")
            if whole and (below := rest.lstrip("/\\")):
                return below
        return None


def _end_of(prefix: str, name: str) -> int | None:
    """Where `prefix` ends in `name`, in either Unicode form and with either separator; None: it is no prefix."""
    wanted, told = _slashed(prefix), _slashed(name)
    if told.startswith(wanted):
        return len(wanted)
    if wanted.isascii() or not wanted:
        return None
    wanted = unicodedata.normalize("NFC", wanted)
    return next((end for end in range(1, len(told)) if unicodedata.normalize("NFC", told[:end]) == wanted), None)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise RefusedRow(RejectReason.NO_PICTURE, "the row names no picture")
    if unicodedata.normalize("NFC", value) != clean(value) or len(value) > KEY_LIMIT:
        raise RefusedRow(RejectReason.BAD_VALUE, "no usable file name")
    return value.strip()


def _checked(name: str) -> PictureName:
    if _URL.match(name) and not _LOCAL.match(name):
        return PictureName(None, name, _shortened(name))
    slashed = _slashed(name)
    if slashed.startswith("/") or _DRIVE.match(slashed) or _LOCAL.match(name):
        raise RefusedRow(RejectReason.OUTSIDE_FOLDER, f"an absolute file name: {name}", hint=_STRIP, name=name)
    # read with either system's separators: the file may be exported to another one
    if ".." in (posixpath.normpath(slashed).split("/")[0], posixpath.normpath(name).split("/")[0]):
        raise RefusedRow(
            RejectReason.OUTSIDE_FOLDER,
            f"the file name leads out of the picture folder: {name}",
            hint=_STRIP,
            name=name,
        )
    if (normal := _normal(name)) == ".":
        raise RefusedRow(RejectReason.NO_PICTURE, "the row names no picture")
    return PictureName(normal, None)


def _usable(name: str) -> str | None:
    """The name in the form in which it is kept; None: it is refused."""
    try:
        checked = _checked(name)
    except RefusedRow:
        return None
    return checked.file_name or checked.url


def _shortened(url: str) -> str | None:
    """The file name that versions before schema 0004 made of a URL: one slash behind the colon, no `.` and `..`."""
    return posixpath.normpath(url) if _URL.match(url) else None


def _normal(name: str) -> str:
    """`name` with slashes and without empty parts, `.` and `..`; a backslash beside slashes is a letter."""
    return posixpath.normpath(name if "/" in name else _slashed(name))


def _slashed(name: str) -> str:
    return name.replace("\\", "/")
