"""Checks the image files of an import: existence, file type, size in pixels, SHA-256.

Only the header is decoded: a COCO image costs 0.2 ms, most of it the hash of its bytes. Only images that are new to
the record are read, unless `check_all` is set. A missing or broken image is listed; its row is stored anyway.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from curation_db.image_paths import FOLLOW_LINKS_HINT, display_size
from curation_db.importing.path_suffixes import SuffixMatch
from curation_db.importing.rows import ImageRow, RefusedRow, Reject, RejectReason, reject

Locate = Callable[[str, str | None], Path | None]
"""Source and file name to the path of the image file."""


@dataclass(frozen=True, slots=True)
class ImageChecker:
    """How image files are searched and which of them are read."""

    locate: Locate
    has_folders: bool = True
    """Whether the source has an image folder; without one, no image is searched for."""
    check_all: bool = False
    """Read the headers of all images, not only of those that are new to the record."""
    find_by_suffix: Callable[[str], SuffixMatch | None] = lambda _name: None
    """Name of a missing file to the only file whose path ends like it."""
    is_link_outside: Callable[[str, str | None], bool] = lambda _source, _name: False
    """Whether the file of a source and a name is a link that leaves its folder and is not followed."""


NO_IMAGE_FOLDERS = ImageChecker(lambda _source, _name: None, has_folders=False)


def check_images(
    rows: list[ImageRow], source: str, checker: ImageChecker, known: Mapping[str, bool]
) -> tuple[list[ImageRow], list[Reject]]:
    """Check the image files of `rows`.

    Args:
        checker: How image files are searched.
        known: Keys of stored images, with whether their hash is stored; only the existence of their files is checked.

    Returns:
        The rows with sizes and hashes, and the problems of image files.
    """
    checked, warnings = [], []
    for row in rows:
        result = row
        if row.url is not None:  # not a local file
            checked.append(row)
            continue
        try:
            header = checker.check_all or row.key not in known
            result = _with_header(row, _locate(row, source, checker), header=header, content=not known.get(row.key))
        except RefusedRow as why:
            warnings.append(reject(row.at, why, warning=True))
        checked.append(result)
    return checked, warnings


def _locate(row: ImageRow, source: str, checker: ImageChecker) -> Path:
    path = checker.locate(source, row.file_name)
    if path is not None:
        return path
    message, hint = f"no image {row.file_name or row.key!r} in the image folders", ""
    if checker.is_link_outside(source, row.file_name):
        message, hint = f"the image {row.file_name!r} is a link that leaves the image folder", FOLLOW_LINKS_HINT
    elif row.file_name and (match := checker.find_by_suffix(row.file_name)) is not None:
        message, hint = f"{message}; one file ends like it: {match.path}", match.hint
    raise RefusedRow(RejectReason.MISSING_FILE, message, hint=hint)


def with_suffix_match(row: Reject, checker: ImageChecker) -> Reject:
    """Return `row`; if it was refused for its image name, with the only file whose path ends like the name."""
    if not row.name or row.reason is not RejectReason.OUTSIDE_FOLDER:
        return row
    match = checker.find_by_suffix(row.name)
    if match is None:
        return row
    return row._replace(message=f"{row.message}; one file ends like it: {match.path}", hint=match.hint)


def _with_header(row: ImageRow, path: Path, *, header: bool, content: bool) -> ImageRow:
    if not header:
        return row
    try:
        with path.open("rb") as file:
            width, height = header_size(file, path.name)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").digest() if content else None
    except OSError as error:
        raise RefusedRow(RejectReason.BAD_PICTURE, f"{path.name}: {error.strerror or error}") from None
    if not (row.width and row.height):
        row = row._replace(width=width, height=height)
    return row._replace(content_sha256=digest)


def header_size(file: BinaryIO, name: str) -> tuple[int, int]:
    """Return width and height of the image in `file` as displayed, in pixels, from its header.

    Raises:
        RefusedRow: The file is not an image, or is so large that decoding it could exhaust the memory.
    """
    # deferred: an import without image files does not need it
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about malformed EXIF data
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                return display_size(image, header_only=True)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RefusedRow(RejectReason.BAD_PICTURE, f"{name}: too many pixels to be safe") from None
    except UnidentifiedImageError:
        raise RefusedRow(RejectReason.BAD_PICTURE, f"{name}: not a readable image") from None
    except Exception as error:
        raise RefusedRow(RejectReason.BAD_PICTURE, f"{name}: {type(error).__name__}: {error}") from None
