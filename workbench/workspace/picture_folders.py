"""The image folders of each source, as [pictures] in negwb.toml names them."""

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
    """The image folders of a workspace, by source."""

    def __init__(self, root: Path, folders: Mapping[str, tuple[str, ...]], *, follow_links: bool = False) -> None:
        self.follow_links = follow_links
        self._folders = {source: tuple(real_path(root / path) for path in paths) for source, paths in folders.items()}

    def folders(self, source: str) -> tuple[Path, ...]:
        return self._folders.get(source, ())

    def locate(self, source: str, file_name: str | None) -> Path | None:
        """Return the path of an image; None if no folder has it."""
        return find_image_file(self.folders(source), file_name, follow_links=self.follow_links)

    def escapes_by_link(self, source: str, file_name: str | None) -> bool:
        """Return whether the file is a link that leaves its folder and is not followed."""
        return not self.follow_links and any(escapes_by_link(folder, file_name) for folder in self.folders(source))


@dataclass(frozen=True, slots=True)
class MissingImages:
    count: int
    pictures: int
    """Number of images with a file name."""
    source: str
    """The source of the first missing image; "" if none is missing."""
    file_name: str


def missing_images(items: Iterable[ExportItem], folders: PictureFolders) -> MissingImages:
    """Return the images of `items` that no folder has, each counted once."""
    locate = ListedFolders(folders).locate
    images = {(item.source, item.file_name): None for item in items if item.file_name is not None}
    missing = [image for image in images if locate(*image) is None]
    source, file_name = missing[0] if missing else ("", "")
    return MissingImages(len(missing), len(images), source, file_name or "")


class ListedFolders:
    """Locates many images with one listing of each folder instead of a look-up of each file."""

    def __init__(self, folders: PictureFolders) -> None:
        self._folders = folders
        self._listings: dict[Path, frozenset[str]] = {}

    def locate(self, source: str, file_name: str | None) -> Path | None:
        """Return the path of an image; None if no listing has its name."""
        if not file_name or "\0" in file_name:
            return None
        if file_name.isascii():  # other names may have another Unicode form on the disk
            folders = self._folders.folders(source)
            paths = (Path(os.path.normpath(folder / file_name)) for folder in folders)
            inside = (path for path in paths if any(path.is_relative_to(folder) for folder in folders))
            if not any(path.name in self._names(path.parent) for path in inside):
                return None
        return self._folders.locate(source, file_name)

    def _names(self, folder: Path) -> frozenset[str]:
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._listings[folder] = frozenset()
        return self._listings[folder]
