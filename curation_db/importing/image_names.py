"""Checks the image names of data files: file names below a folder, or URLs.

A file name is stored in the Unicode form of the file; its key is in NFC. A name that leads out of the image folder is
refused, with the separators of any system. A URL is stored unchanged and is never a file.
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
"""A bare file name, as in nearly all rows: it needs no further check."""
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://\S")
_LOCAL: Final = re.compile(r"(?i)file:")
_DRIVE: Final = re.compile(r"[A-Za-z]:/")
_STRIP: Final = "remove the part before the name below the image folder: --strip-prefix PREFIX"


class ImageName(NamedTuple):
    """The checked name of an image: a file name or a URL, never both."""

    file_name: str | None
    """A relative path with slashes, without `..`."""
    url: str | None
    unstripped: str | None = None
    """Another name under which the image may be stored: the name before a prefix was removed, if it is valid; for a URL
    the file name that older versions derived from it (`_collapsed_url`)."""


@dataclass(frozen=True, slots=True)
class Naming:
    """Rules that turn the image names of a file into file names and keys of a source."""

    source: str
    prefixes: tuple[str, ...] = ()
    """Prefixes that are removed from names; the first that matches counts."""
    shortened: frozenset[str] = frozenset()
    """The source's keys that older versions derived from URLs."""

    def name(self, value: object) -> ImageName:
        """Return the checked image name for the `value` of a row.

        Raises:
            RefusedRow: `value` is not a name, or leads out of the image folder.
        """
        if not self.prefixes and isinstance(value, str) and _PLAIN.fullmatch(value):
            return ImageName(value, None)
        stated = _text(value)
        for each in (stated, None if _URL.match(stated) else _normal(stated)):
            stripped = None if each is None else self._strip(each)
            if stripped is not None:
                return _checked(stripped)._replace(unstripped=_checked_or_none(stated))
        return _checked(stated)

    def key(self, name: ImageName) -> str:
        """Return the key of an image that has a name but no id; with a removed prefix, the original name if valid."""
        if self.source == "coco" and name.file_name is not None and (number := coco_key(name.file_name)):
            return number
        stated = name.unstripped or name.file_name or name.url or ""
        if name.url is not None and stated == _collapsed_url(name.url):
            key = unicodedata.normalize("NFC", stated)
            return key if key in self.shortened else unicodedata.normalize("NFC", name.url)
        return unicodedata.normalize("NFC", stated)

    def _strip(self, stated: str) -> str | None:
        """Return `stated` without the first prefix that it begins with; None: it begins with none."""
        for prefix in self.prefixes:
            end = _end_of(prefix, stated)
            rest = stated[end:] if end else ""
            whole = rest and (not prefix[-1].isalnum() or rest[0] in "/\\")
            if whole and (below := rest.lstrip("/\\")):
                return below
        return None


def _end_of(prefix: str, name: str) -> int | None:
    """Return where `prefix` ends in `name`, ignoring Unicode form and separator; None: not a prefix."""
    wanted, slashed = _slashed(prefix), _slashed(name)
    if slashed.startswith(wanted):
        return len(wanted)
    if wanted.isascii() or not wanted:
        return None
    wanted = unicodedata.normalize("NFC", wanted)
    ends = (end for end in range(1, len(slashed)) if unicodedata.normalize("NFC", slashed[:end]) == wanted)
    return next(ends, None)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise RefusedRow(RejectReason.NO_PICTURE, "the row names no image")
    if unicodedata.normalize("NFC", value) != clean(value) or len(value) > KEY_LIMIT:
        raise RefusedRow(RejectReason.BAD_VALUE, "not a valid file name")
    return value.strip()


def _checked(name: str) -> ImageName:
    if _URL.match(name) and not _LOCAL.match(name):
        return ImageName(None, name, _collapsed_url(name))
    slashed = _slashed(name)
    if slashed.startswith("/") or _DRIVE.match(slashed) or _LOCAL.match(name):
        raise RefusedRow(RejectReason.OUTSIDE_FOLDER, f"an absolute file name: {name}", hint=_STRIP, name=name)
    # both separators are checked: an export may be used on another system
    if ".." in (posixpath.normpath(slashed).split("/")[0], posixpath.normpath(name).split("/")[0]):
        raise RefusedRow(
            RejectReason.OUTSIDE_FOLDER,
            f"the file name leads out of the image folder: {name}",
            hint=_STRIP,
            name=name,
        )
    if (normal := _normal(name)) == ".":
        raise RefusedRow(RejectReason.NO_PICTURE, "the row names no image")
    return ImageName(normal, None)


def _checked_or_none(name: str) -> str | None:
    """Return the name in its stored form; None: it is refused."""
    try:
        checked = _checked(name)
    except RefusedRow:
        return None
    return checked.file_name or checked.url


def _collapsed_url(url: str) -> str | None:
    """Return the file name that versions before schema 0004 derived from a URL: one slash after the colon, no `..`."""
    return posixpath.normpath(url) if _URL.match(url) else None


def _normal(name: str) -> str:
    """Return `name` with slashes, without empty parts, `.` and `..`; beside slashes, a backslash is a letter."""
    return posixpath.normpath(name if "/" in name else _slashed(name))


def _slashed(name: str) -> str:
    return name.replace("\\", "/")
