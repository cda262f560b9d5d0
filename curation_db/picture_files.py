"""Finding a picture's file by the name that a data file gives it: below the source's folders, never outside them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def whole(folder: str | Path) -> Path:
    """The folder as it really is, links followed; a loop of links stays as it is named."""
    return Path(os.path.realpath(folder))


def find_below(folders: Iterable[Path], file_name: str | None) -> Path | None:
    """The picture's file in the first folder that has it, or None.

    A file name from a data file is hostile: one that leads out of its folder is not found. A link in the folder was
    put there by its owner and is followed.
    """
    if not file_name or "\0" in file_name:
        return None
    for folder in folders:
        path = Path(os.path.normpath(folder / file_name))
        try:
            if path.is_relative_to(folder) and path.is_file():
                return path
        except OSError:
            continue  # a name too long, a loop of links: as good as missing
    return None
