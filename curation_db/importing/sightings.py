"""Looking at the pictures that an import names: is the file there, is it a picture, how large is it.

Only headers are read, and only of pictures that are new to the record unless all are asked for. A picture that is
missing or broken is told; its row goes in all the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from curation_db.importing.rows import ImageRow, Reason, RefusedRow, Reject, reject

Locate = Callable[[str, str | None], Path | None]
"""Source and file name to the picture's file."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """How pictures are looked for."""

    locate: Locate
    look: bool = True
    """A folder of the source is known; else no picture is looked for."""
    every: bool = False
    """Read the headers of all pictures, not just of those that are new to the record."""


NO_PICTURES = Pictures(lambda _source, _name: None, look=False)


def examine(
    rows: list[ImageRow], source: str, pictures: Pictures, known: Collection[str]
) -> tuple[list[ImageRow], list[Reject]]:
    """The rows with the sizes of their pictures filled in, and what is wrong with the pictures.

    `known` are the keys that the record has: of these only the existence is checked.
    """
    seen, wrong = [], []
    for row in rows:
        told = row
        try:
            told = _examined(row, source, pictures, header=pictures.every or row.key not in known)
        except RefusedRow as why:
            wrong.append(reject(row.at, why, kept=True))
        seen.append(told)
    return seen, wrong


def _examined(row: ImageRow, source: str, pictures: Pictures, *, header: bool) -> ImageRow:
    path = pictures.locate(source, row.file_name)
    if path is None:
        raise RefusedRow(Reason.MISSING_FILE, f"no picture {row.file_name or row.key!r} in the picture folders")
    if not header:
        return row
    width, height = header_size(path)
    return row if row.width and row.height else row._replace(width=width, height=height)


def header_size(path: Path) -> tuple[int, int]:
    """Width and height of the picture at `path`, by its header.

    Raises:
        RefusedRow: it is no picture, or so large that decoding it could exhaust the memory.
    """
    # deferred: imports without pictures do not need it
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                return picture.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RefusedRow(Reason.BAD_PICTURE, f"{path.name}: too many pixels to be safe") from None
    except UnidentifiedImageError:
        raise RefusedRow(Reason.BAD_PICTURE, f"{path.name}: not a picture that can be read") from None
    except Exception as error:
        raise RefusedRow(Reason.BAD_PICTURE, f"{path.name}: {type(error).__name__}: {error}") from None
