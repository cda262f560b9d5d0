"""A folder of pictures with their captions beside them: dog.jpg and dog.txt, a caption a line, or a table (`metadata`).

Pictures are known by their path below the folder. Hidden files, and what systems put beside pictures, are passed over.
Symbolic links to folders are not followed, and links to files that leave the folder are refused unless the workspace
allows them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from curation_db.image_paths import FOLLOW_LINKS_HINT, escapes_by_link
from curation_db.importing.image_names import Naming
from curation_db.importing.readers import metadata
from curation_db.importing.rows import CaptionRow, ImageRow, RefusedRow, Reject, RejectReason, RowBatch, reject
from curation_db.importing.tables.reader import LINE_LIMIT, TableLine, open_text
from curation_db.importing.tables.row_mapping import RowMapping

PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"})
_PASSED_OVER: Final = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN"})
"""Folders of copies and thumbnails that macOS, Synology and Windows make."""
_BATCH = 2_000


def is_of_pictures(root: Path) -> bool:
    """Whether a picture is below `root`, or a text that has lost its picture."""
    names = (name for _, found in _walk(root, lambda _error: None) for name in found)
    return any(Path(name).suffix.lower() in PICTURES | {".txt"} for name in names)


def has_metadata(root: Path) -> bool:
    """Whether a table of captions is in `root` or below it."""
    return any(not set(metadata.NAMES).isdisjoint(found) for _, found in _walk(root, lambda _error: None))


def _walk(root: Path, refuse: Callable[[OSError], None]) -> Iterator[tuple[str, list[str]]]:
    """The folders from `root` on with the names of their files, in order; `refuse` hears of those that are barred."""
    for folder, below, names in os.walk(root, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _PASSED_OVER)
        yield folder, sorted(name for name in names if not name.startswith("."))


def read_folder(
    root: Path,
    naming: Naming,
    *,
    follow_links: bool = False,
    mapping: Mapping[str, str] | None = None,
    tell: RowMapping = lambda chosen, unused: None,
) -> Iterator[RowBatch]:
    """The pictures below `root` and the captions beside them, in the order of their paths.

    Args:
        root: the folder.
        naming: what pictures' names become.
        follow_links: whether links to files outside the folder are followed.
        mapping: the stated columns of tables of captions.
        tell: hears what the columns of such tables were taken for.
    """
    reader = _Reader(root, naming, follow_links=follow_links)
    batch = RowBatch()
    done = 0
    barred: list[OSError] = []
    for folder, names in _walk(root, barred.append):
        texts = _texts(folder, names)
        stems: set[str] = set()
        for name in names:
            if Path(name).suffix.lower() in PICTURES:
                stems.add(Path(name).stem)
                done += 1
                reader.add(Path(folder, name), texts.get(Path(name).stem, []), batch)
        _lonely_texts(root, [path for stem in texts.keys() - stems for path in texts[stem]], batch)
        batch.rejects += [_barred(root, error.filename or folder, error) for error in barred]
        barred.clear()
        batch.done = done
        tables = [Path(folder, name) for name in metadata.NAMES if name in names]
        if len(batch.images) >= _BATCH or tables:
            yield batch
            batch = RowBatch(done=done)
        for table in tables:
            if reader.may_read(table, batch):
                below = "" if folder == str(root) else _relative(root, folder)
                for part in metadata.read_metadata(table, below, naming, mapping or {}, tell):
                    part.done = done
                    yield part
    batch.rejects += [_barred(root, error.filename or str(root), error) for error in barred]
    yield batch


def _relative(root: Path, path: str | Path) -> str:
    return PurePosixPath(Path(path).relative_to(root)).as_posix()


def _barred(root: Path, path: str, error: OSError) -> Reject:
    """The refusal of a folder or a file that may not be read."""
    told = _shown(_relative(root, path))
    return reject((TableLine(told, told), 0), RefusedRow(RejectReason.UNREADABLE, error.strerror or str(error)))


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

    def add(self, path: Path, texts: list[Path], batch: RowBatch) -> None:
        """Put a picture and the texts beside it into `batch`."""
        stated = _relative(self._root, path)
        at = (TableLine(_shown(stated), _shown(stated)), 0)
        try:
            self._check_link(path, stated)
            name = self._naming.name(stated)
            key = self._naming.key(name)
            if not stated.isascii() and (first := self._keys.setdefault(key, stated)) != stated:
                raise RefusedRow(
                    RejectReason.DUPLICATE, f"its name differs from that of {first} in its Unicode form alone"
                )
        except RefusedRow as why:
            batch.rejects.append(reject(at, why))
            return
        batch.images.append(ImageRow(key, name.file_name, None, None, None, at))
        for beside in texts:
            if self.may_read(beside, batch):
                try:
                    _captions(beside, _relative(self._root, beside), key, batch)
                except OSError as error:
                    batch.rejects.append(_barred(self._root, str(beside), error))

    def may_read(self, path: Path, batch: RowBatch) -> bool:
        """Whether `path` is a file of the folder's own; a link that leaves it is refused."""
        if not path.is_file():
            return False
        told = _relative(self._root, path)
        try:
            self._check_link(path, told)
        except RefusedRow as why:
            batch.rejects.append(reject((TableLine(_shown(told), _shown(told)), 0), why))
            return False
        return True

    def _check_link(self, path: Path, name: str) -> None:
        if not self._follow_links and path.is_symlink() and escapes_by_link(self._root, name):
            message = "a link that leaves the folder is not followed"
            raise RefusedRow(RejectReason.OUTSIDE_FOLDER, message, hint=FOLLOW_LINKS_HINT)


def _captions(beside: Path, name: str, image: str, batch: RowBatch) -> None:
    with open_text(beside) as file:
        number = 0
        while line := file.readline(LINE_LIMIT):
            number += 1
            if text := line.strip():
                at = (TableLine(f"{_shown(name)} line {number}", text[:400]), 0)
                batch.captions.append(CaptionRow(None, image, text, at))


def _lonely_texts(root: Path, texts: list[Path], batch: RowBatch) -> None:
    for path in sorted(texts):
        told = _shown(path.relative_to(root).as_posix())
        why = RefusedRow(RejectReason.NO_PICTURE, "no picture of this name beside it")
        batch.rejects.append(reject((TableLine(told, told), 0), why))


def _shown(name: str) -> str:
    """A file name that need not be valid Unicode, as text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
