"""Finding a picture's file by the name that a data file gives it: below the source's folders, never outside them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image

FOLLOW_LINKS_HINT: Final = (
    "to allow links that leave the picture folder: follow_links = true in negwb.toml, in [pictures]"
)
_ORIENTATION_TAG: Final = 0x0112
_TURNED_ORIENTATIONS: Final = frozenset({5, 6, 7, 8})
"""Orientations that exchange width and height."""
_PNG_EXIF_KEYS: Final = frozenset({"exif", "Raw profile type exif"})


def real_path(folder: str | Path) -> Path:
    """The folder as it really is, links followed; a loop of links stays as it is named."""
    return Path(os.path.realpath(folder))


def find_image_file(folders: Iterable[Path], file_name: str | None, *, follow_links: bool = False) -> Path | None:
    """The picture's file in the first folder that has it, or None.

    A file name from a data file is hostile: one that leads out of its folder is not found, neither by its parts nor,
    unless `follow_links`, by a symbolic link. A name is looked for as it is written, then in its other Unicode forms.
    Where links are not followed the file is returned by its real path, so that a link changed later changes nothing.
    """
    for folder in folders:
        for path in _candidate_files(folder, file_name):
            if follow_links:
                return path
            if (real := real_path(path)).is_relative_to(real_path(folder)):
                return path if real == path else real
    return None


def escapes_by_link(folder: Path, file_name: str | None) -> bool:
    """Whether the only files of this name below `folder` are links that leave it."""
    return next(_candidate_files(folder, file_name), None) is not None and find_image_file([folder], file_name) is None


def display_size(opened: Image, *, header_only: bool = False) -> tuple[int, int]:
    """Width and height of an opened picture as it is shown: turned as its EXIF says that the camera was held.

    Args:
        opened: the picture.
        header_only: read no pixels. A PNG file may have its EXIF behind them; it then counts as not turned.
    """
    width, height = opened.size
    if opened.format == "TIFF":  # Pillow turns TIFF by itself, and tells the size of what it will have turned
        return width, height
    if header_only and opened.format == "PNG" and not _PNG_EXIF_KEYS & opened.info.keys():
        return width, height
    try:
        turned = opened.getexif().get(_ORIENTATION_TAG) in _TURNED_ORIENTATIONS
    except Exception:  # broken EXIF is no reason to show nothing
        return width, height
    return (height, width) if turned else (width, height)


def _candidate_files(folder: Path, file_name: str | None) -> Iterator[Path]:
    """The files of this name below `folder`, by the name's parts: as written, then in other Unicode forms."""
    if not file_name or "\0" in file_name:
        return
    path = Path(os.path.normpath(folder / file_name))
    if not path.is_relative_to(folder):
        return
    if _is_file(path):
        yield path
    if not file_name.isascii():
        yield from (each for each in _files_in_any_form(folder, path.relative_to(folder).parts) if each != path)


def _files_in_any_form(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """The files below `folder` whose parts are `parts` in any mix of Unicode forms; only what exists is followed."""
    for form in dict.fromkeys((parts[0], *(unicodedata.normalize(name, parts[0]) for name in ("NFC", "NFD")))):
        place = folder / form
        if len(parts) > 1:
            if os.path.isdir(place):
                yield from _files_in_any_form(place, parts[1:])
        elif _is_file(place):
            yield place


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # a name too long, a loop of links: as good as missing
