"""A folder of pictures with their captions beside them: dog.jpg and dog.txt, a caption a line.

Pictures are known by their path below the folder. Symbolic links to folders are not followed, and links to files that
leave the folder are refused unless the workspace allows them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from curation_db.importing.picture_names import Naming
from curation_db.importing.rows import Batch, CaptionRow, ImageRow, Reason, RefusedRow, reject
from curation_db.importing.tables import LINE_LIMIT, Line, open_text
from curation_db.picture_files import FOLLOW_LINKS, leaves_by_link

PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"})
_BATCH = 2_000


def is_of_pictures(root: Path) -> bool:
    """Whether a picture is below `root`, or a text that has lost its picture."""
    names = (name for _, _, found in os.walk(root) for name in found)
    return any(Path(name).suffix.lower() in PICTURES | {".txt"} for name in names)


def read_folder(root: Path, naming: Naming, *, follow_links: bool = False) -> Iterator[Batch]:
    """The pictures below `root` and the captions beside them, in the order of their paths."""
    reader = _Reader(root, naming, follow_links=follow_links)
    batch = Batch()
    done = 0
    for folder, below, names in os.walk(root):
        below.sort()
        texts = _texts(folder, sorted(names))
        stems: set[str] = set()
        for name in sorted(names):
            if Path(name).suffix.lower() in PICTURES:
                stems.add(Path(name).stem)
                done += 1
                reader.add(Path(folder, name), texts.get(Path(name).stem, []), batch)
        _lonely_texts(root, [path for stem in texts.keys() - stems for path in texts[stem]], batch)
        batch.done = done
        if len(batch.images) >= _BATCH:
            yield batch
            batch = Batch(done=done)
    yield batch


def _texts(folder: str, names: list[str]) -> dict[str, list[Path]]:
    """The folder's texts by the name that they share with a picture: dog.txt and dog.TXT are both of dog.jpg."""
    found: dict[str, list[Path]] = {}
    for name in names:
        if name.lower().endswith(".txt"):
            found.setdefault(name[:-4], []).append(Path(folder, name))
    return found


class _Reader:
    def __init__(self, root: Path, naming: Naming, *, follow_links: bool) -> None:
        self._root = root
        self._naming = naming
        self._follow_links = follow_links
        self._keys: dict[str, str] = {}
        """Of names that are not ASCII: two of them may be one in NFC."""

    def add(self, path: Path, texts: list[Path], batch: Batch) -> None:
        """Put a picture and the texts beside it into `batch`."""
        stated = PurePosixPath(path.relative_to(self._root)).as_posix()
        at = (Line(_shown(stated), _shown(stated)), 0)
        try:
            self._check_link(path, stated)
            name = self._naming.name(stated)
            key = self._naming.key(name)
            if not stated.isascii() and (first := self._keys.setdefault(key, stated)) != stated:
                raise RefusedRow(Reason.DUPLICATE, f"its name differs from that of {first} in its Unicode form alone")
        except RefusedRow as why:
            batch.rejects.append(reject(at, why))
            return
        batch.images.append(ImageRow(key, name.file_name, None, None, None, at))
        for beside in texts:
            if beside.is_file():
                told = beside.relative_to(self._root).as_posix()
                try:
                    self._check_link(beside, told)
                except RefusedRow as why:
                    batch.rejects.append(reject((Line(_shown(told), _shown(told)), 0), why))
                else:
                    _captions(beside, told, key, batch)

    def _check_link(self, path: Path, name: str) -> None:
        if not self._follow_links and path.is_symlink() and leaves_by_link(self._root, name):
            message = "a link that leaves the folder is not followed"
            raise RefusedRow(Reason.OUTSIDE_FOLDER, message, hint=FOLLOW_LINKS)


def _captions(beside: Path, name: str, image: str, batch: Batch) -> None:
    with open_text(beside) as file:
        number = 0
        while line := file.readline(LINE_LIMIT):
            number += 1
            if text := line.strip():
                at = (Line(f"{_shown(name)} line {number}", text[:400]), 0)
                batch.captions.append(CaptionRow(None, image, text, at))


def _lonely_texts(root: Path, texts: list[Path], batch: Batch) -> None:
    for path in sorted(texts):
        told = _shown(path.relative_to(root).as_posix())
        why = RefusedRow(Reason.NO_PICTURE, "no picture of this name beside it")
        batch.rejects.append(reject((Line(told, told), 0), why))


def _shown(name: str) -> str:
    """A file name that need not be valid Unicode, as text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
