"""Search for an image's file by its name in a data file, below the folders of its source and never outside them."""

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
"""EXIF orientations that swap width and height."""
_PNG_EXIF_KEYS: Final = frozenset({"exif", "Raw profile type exif"})


def real_path(folder: str | Path) -> Path:
    """Return the path with symbolic links resolved; a loop of links stays unresolved."""
    return Path(os.path.realpath(folder))


def find_image_file(folders: Iterable[Path], file_name: str | None, *, follow_links: bool = False) -> Path | None:
    """Return the image's file in the first folder that has it, or None.

    File names from data files are untrusted. A name that leaves its folder finds nothing, neither by its parts nor,
    unless `follow_links`, by a symbolic link. The name is tried as written, then in its other Unicode forms. Without
    `follow_links` the result is a real path, so that a link that changes later has no effect.
    """
    for folder in folders:
        for path in _candidate_files(folder, file_name):
            if follow_links:
                return path
            if (real := real_path(path)).is_relative_to(real_path(folder)):
                return path if real == path else real
    return None


def escapes_by_link(folder: Path, file_name: str | None) -> bool:
    """Return whether the only files of this name below `folder` are symbolic links to the outside."""
    return next(_candidate_files(folder, file_name), None) is not None and find_image_file([folder], file_name) is None


def display_size(opened: Image, *, header_only: bool = False) -> tuple[int, int]:
    """Return width and height of an opened image as displayed, after its EXIF rotation.

    Args:
        header_only: read no pixels. A PNG file may have its EXIF data after the pixels; it then counts as not rotated.
    """
    width, height = opened.size
    if opened.format == "TIFF":  # Pillow rotates TIFF itself and reports the size after the rotation
        return width, height
    if header_only and opened.format == "PNG" and not _PNG_EXIF_KEYS & opened.info.keys():
        return width, height
    try:
        turned = opened.getexif().get(_ORIENTATION_TAG) in _TURNED_ORIENTATIONS
    except Exception:  # an image with invalid EXIF data is still shown
        return width, height
    return (height, width) if turned else (width, height)


def _candidate_files(folder: Path, file_name: str | None) -> Iterator[Path]:
    """Yield the files of this name below `folder`: as written, then in other Unicode forms."""
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
    """Yield the files below `folder` whose path parts are `parts` in any mix of Unicode forms."""
    for form in dict.fromkeys((parts[0], *(unicodedata.normalize(name, parts[0]) for name in ("NFC", "NFD")))):
        path = folder / form
        if len(parts) > 1:
            if os.path.isdir(path):
                yield from _files_in_any_form(path, parts[1:])
        elif _is_file(path):
            yield path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # a name that is too long, or a loop of links
