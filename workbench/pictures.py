"""The picture folders of every source, as the workspace's negwb.toml names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from curation_db.picture_files import find_below, leaves_by_link, whole


class PictureFolders:
    """The picture folders of every source of a workspace."""

    def __init__(self, root: Path, folders: Mapping[str, tuple[str, ...]], *, follow_links: bool = False) -> None:
        self.follow_links = follow_links
        self._folders = {source: tuple(whole(root / each) for each in listed) for source, listed in folders.items()}

    def folders(self, source: str) -> tuple[Path, ...]:
        """Where this source's pictures may be."""
        return self._folders.get(source, ())

    def locate(self, source: str, file_name: str | None) -> Path | None:
        """The picture's file, or None where it is in none of the folders."""
        return find_below(self.folders(source), file_name, follow_links=self.follow_links)

    def leaves_by_link(self, source: str, file_name: str | None) -> bool:
        """Whether the picture's file is a link that leaves its folder and is not followed."""
        found = (leaves_by_link(folder, file_name) for folder in self.folders(source))
        return not self.follow_links and any(found)
