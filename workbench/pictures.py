"""Finding a picture's file: the source's folders from negwb.toml, never outside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


class PictureFolders:
    """The picture folders of every source of a workspace."""

    def __init__(self, root: Path, folders: Mapping[str, tuple[str, ...]]) -> None:
        self._folders = {
            source: tuple((root / folder).resolve() for folder in listed) for source, listed in folders.items()
        }

    def folders(self, source: str) -> tuple[Path, ...]:
        """Where this source's pictures may be."""
        return self._folders.get(source, ())

    def locate(self, source: str, file_name: str | None) -> Path | None:
        """The picture's file, or None where it is in none of the folders.

        A file name from a data file is hostile: one that leads out of its folder is not found.
        """
        if not file_name or "\0" in file_name:
            return None
        for folder in self.folders(source):
            path = Path(os.path.normpath(folder / file_name))
            try:
                if path.is_relative_to(folder) and path.is_file():
                    return path
            except OSError:
                continue  # a name too long, a loop of links: as good as missing
        return None
