"""The picture folders of every source, as the workspace's negwb.toml names them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curation_db.image_paths import escapes_by_link, find_image_file, real_path

if TYPE_CHECKING:
    from curation_db.exporting.manifest import ExportItem


class PictureFolders:
    """The picture folders of every source of a workspace."""

    def __init__(self, root: Path, folders: Mapping[str, tuple[str, ...]], *, follow_links: bool = False) -> None:
        self.follow_links = follow_links
        self._folders = {source: tuple(real_path(root / each) for each in listed) for source, listed in folders.items()}

    def folders(self, source: str) -> tuple[Path, ...]:
        """Where this source's pictures may be."""
        return self._folders.get(source, ())

    def locate(self, source: str, file_name: str | None) -> Path | None:
        """The picture's file, or None where it is in none of the folders."""
        return find_image_file(self.folders(source), file_name, follow_links=self.follow_links)

    def escapes_by_link(self, source: str, file_name: str | None) -> bool:
        """Whether the picture's file is a link that leaves its folder and is not followed."""
        found = (escapes_by_link(folder, file_name) for folder in self.folders(source))
        return not self.follow_links and any(found)


@dataclass(frozen=True, slots=True)
class Missing:
    """Pictures of a set whose files are not there."""

    count: int
    pictures: int
    """All of the set's pictures that have a file name."""
    source: str
    """Of the first that is missing; "" where none is."""
    file_name: str


def missing_of(items: Iterable[ExportItem], folders: PictureFolders) -> Missing:
    """The pictures of `items` that are in none of the picture folders, each counted once."""
    locate = Listed(folders).locate
    named = {(item.source, item.file_name): None for item in items if item.file_name is not None}
    missing = [picture for picture in named if locate(*picture) is None]
    source, file_name = missing[0] if missing else ("", "")
    return Missing(len(missing), len(named), source, file_name or "")


class Listed:
    """Finds many pictures with one look at each folder instead of one at each file."""

    def __init__(self, folders: PictureFolders) -> None:
        self._folders = folders
        self._listings: dict[Path, frozenset[str]] = {}

    def locate(self, source: str, file_name: str | None) -> Path | None:
        """The picture's file, or None; what stands in no listing is not looked for."""
        if not file_name or "\0" in file_name:
            return None
        if file_name.isascii():  # else the disk may have it in another Unicode form
            folders = self._folders.folders(source)
            places = (Path(os.path.normpath(folder / file_name)) for folder in folders)
            inside = (place for place in places if any(place.is_relative_to(folder) for folder in folders))
            if not any(place.name in self._names(place.parent) for place in inside):
                return None
        return self._folders.locate(source, file_name)

    def _names(self, folder: Path) -> frozenset[str]:
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._listings[folder] = frozenset()
        return self._listings[folder]
