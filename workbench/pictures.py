"""The picture folders of every source, as the workspace's negwb.toml names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from curation_db.picture_files import find_below, whole


class PictureFolders:
    """The picture folders of every source of a workspace."""

    def __init__(self, root: Path, folders: Mapping[str, tuple[str, ...]]) -> None:
        self._folders = {source: tuple(whole(root / each) for each in listed) for source, listed in folders.items()}

    def folders(self, source: str) -> tuple[Path, ...]:
        """Where this source's pictures may be."""
        return self._folders.get(source, ())

    def locate(self, source: str, file_name: str | None) -> Path | None:
        """The picture's file, or None where it is in none of the folders."""
        return find_below(self.folders(source), file_name)
