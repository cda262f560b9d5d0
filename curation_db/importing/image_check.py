"""Looking at the pictures that an import names: is the file there, is it a picture, how large is it, what is its hash.

Nothing is decoded but the header: a picture of COCO's costs 0.2 ms, most of it the hash of its bytes. Only pictures
that are new to the record are read unless all are asked for. A picture that is missing or broken is told; its row
goes in all the same.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from curation_db.image_paths import FOLLOW_LINKS_HINT, display_size
from curation_db.importing.path_suffixes import Tail
from curation_db.importing.rows import ImageRow, RefusedRow, Reject, RejectReason, reject

Locate = Callable[[str, str | None], Path | None]
"""Source and file name to the picture's file."""


@dataclass(frozen=True, slots=True)
class ImageChecker:
    """How pictures are looked for."""

    locate: Locate
    look: bool = True
    """A folder of the source is known; else no picture is looked for."""
    every: bool = False
    """Read the headers of all pictures, not just of those that are new to the record."""
    tail: Callable[[str], Tail | None] = lambda _name: None
    """The one file whose path ends as a name does that was not found."""
    is_link_outside: Callable[[str, str | None], bool] = lambda _source, _name: False
    """Whether the file of that source and name is a link that leaves its folder and is not followed."""


NO_PICTURES = ImageChecker(lambda _source, _name: None, look=False)


def examine(
    rows: list[ImageRow], source: str, pictures: ImageChecker, known: Mapping[str, bool]
) -> tuple[list[ImageRow], list[Reject]]:
    """The rows with the sizes and hashes of their pictures filled in, and what is wrong with the pictures.

    `known` are the keys that the record has, and whether with a hash: of these only the existence is checked.
    """
    seen, wrong = [], []
    for row in rows:
        told = row
        if row.url is not None:  # it is on the network
            seen.append(row)
            continue
        try:
            header = pictures.every or row.key not in known
            told = _examined(row, _found(row, source, pictures), header=header, content=not known.get(row.key))
        except RefusedRow as why:
            wrong.append(reject(row.at, why, kept=True))
        seen.append(told)
    return seen, wrong


def _found(row: ImageRow, source: str, pictures: ImageChecker) -> Path:
    path = pictures.locate(source, row.file_name)
    if path is not None:
        return path
    message, hint = f"no picture {row.file_name or row.key!r} in the picture folders", ""
    if pictures.is_link_outside(source, row.file_name):
        message, hint = f"the picture {row.file_name!r} is a link that leaves the picture folder", FOLLOW_LINKS_HINT
    elif row.file_name and (tail := pictures.tail(row.file_name)) is not None:
        message, hint = f"{message}; one file ends like it: {tail.found}", tail.hint
    raise RefusedRow(RejectReason.MISSING_FILE, message, hint=hint)


def with_tail(told: Reject, pictures: ImageChecker) -> Reject:
    """A refusal for the picture's name, with the one file that the name may mean."""
    if not told.name or told.reason is not RejectReason.OUTSIDE_FOLDER or (tail := pictures.tail(told.name)) is None:
        return told
    return told._replace(message=f"{told.message}; one file ends like it: {tail.found}", hint=tail.hint)


def _examined(row: ImageRow, path: Path, *, header: bool, content: bool) -> ImageRow:
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
    """Width and height of the picture in `file` as it is shown, by its header.

    Raises:
        RefusedRow: it is no picture, or so large that decoding it could exhaust the memory.
    """
    # deferred: imports without pictures do not need it
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of EXIF that is broken
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as picture:
                return display_size(picture, header_only=True)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RefusedRow(RejectReason.BAD_PICTURE, f"{name}: too many pixels to be safe") from None
    except UnidentifiedImageError:
        raise RefusedRow(RejectReason.BAD_PICTURE, f"{name}: not a picture that can be read") from None
    except Exception as error:
        raise RefusedRow(RejectReason.BAD_PICTURE, f"{name}: {type(error).__name__}: {error}") from None
