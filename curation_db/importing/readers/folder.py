"""Reader of a folder of images with captions: dog.jpg and dog.txt with one caption per line, or a table (`metadata`).

The key of an image is its path below the folder. Hidden files and the thumbnail folders of operating systems are
skipped. Symbolic links to folders are not followed. Links to files outside the folder are refused, unless the
workspace settings allow them.
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
from curation_db.importing.tables.row_mapping import ColumnsCallback

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"})
_SKIPPED_FOLDERS: Final = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN"})
"""Folders of copies and thumbnails, created by macOS, Synology and Windows."""
_BATCH = 2_000


def has_images(root: Path) -> bool:
    """Return whether an image, or a text file without its image, is below `root`."""
    names = (name for _, files in _walk(root, lambda _error: None) for name in files)
    return any(Path(name).suffix.lower() in IMAGE_SUFFIXES | {".txt"} for name in names)


def has_metadata(root: Path) -> bool:
    """Return whether a table of captions is in `root` or below it."""
    return any(not set(metadata.NAMES).isdisjoint(files) for _, files in _walk(root, lambda _error: None))


def _walk(root: Path, refuse: Callable[[OSError], None]) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder from `root` on with its file names, in order; call `refuse` for unreadable folders."""
    for folder, below, names in os.walk(root, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _SKIPPED_FOLDERS)
        yield folder, sorted(name for name in names if not name.startswith("."))


def read_folder(
    root: Path,
    naming: Naming,
    *,
    follow_links: bool = False,
    mapping: Mapping[str, str] | None = None,
    on_columns: ColumnsCallback = lambda chosen, unused: None,
) -> Iterator[RowBatch]:
    """Yield the images below `root` and their captions, in the order of the paths.

    Args:
        follow_links: Whether links to files outside the folder are followed.
        mapping: Columns by field for the tables of captions.
        on_columns: Called with the columns of these tables.
    """
    reader = _FolderReader(root, naming, follow_links=follow_links)
    batch = RowBatch()
    done = 0
    errors: list[OSError] = []
    for folder, names in _walk(root, errors.append):
        texts = _texts_by_stem(folder, names)
        stems: set[str] = set()
        for name in names:
            if Path(name).suffix.lower() in IMAGE_SUFFIXES:
                stems.add(Path(name).stem)
                done += 1
                reader.add(Path(folder, name), texts.get(Path(name).stem, []), batch)
        _refuse_orphan_texts(root, [path for stem in texts.keys() - stems for path in texts[stem]], batch)
        batch.rejects += [_unreadable(root, error.filename or folder, error) for error in errors]
        errors.clear()
        batch.done = done
        tables = [Path(folder, name) for name in metadata.NAMES if name in names]
        if len(batch.images) >= _BATCH or tables:
            yield batch
            batch = RowBatch(done=done)
        for table in tables:
            if reader.may_read(table, batch):
                below = "" if folder == str(root) else _relative(root, folder)
                for part in metadata.read_metadata(table, below, naming, mapping or {}, on_columns):
                    part.done = done
                    yield part
    batch.rejects += [_unreadable(root, error.filename or str(root), error) for error in errors]
    yield batch


def _relative(root: Path, path: str | Path) -> str:
    return PurePosixPath(Path(path).relative_to(root)).as_posix()


def _unreadable(root: Path, path: str, error: OSError) -> Reject:
    """Return the reject for a folder or file that cannot be read."""
    name = _shown(_relative(root, path))
    return reject((TableLine(name, name), 0), RefusedRow(RejectReason.UNREADABLE, error.strerror or str(error)))


def _texts_by_stem(folder: str, names: list[str]) -> dict[str, list[Path]]:
    """Return the folder's text files by stem; dog.txt and dog.TXT both belong to dog.jpg."""
    texts: dict[str, list[Path]] = {}
    for name in names:
        if name.lower().endswith(".txt"):
            texts.setdefault(name[:-4], []).append(Path(folder, name))
    return texts


class _FolderReader:
    def __init__(self, root: Path, naming: Naming, *, follow_links: bool) -> None:
        self._root = root
        self._naming = naming
        self._follow_links = follow_links
        self._keys: dict[str, str] = {}
        """Key to name, for names that are not ASCII: two names may have one key in NFC."""

    def add(self, path: Path, texts: list[Path], batch: RowBatch) -> None:
        """Add an image and its captions to `batch`."""
        stated = _relative(self._root, path)
        at = (TableLine(_shown(stated), _shown(stated)), 0)
        try:
            self._check_link(path, stated)
            name = self._naming.name(stated)
            key = self._naming.key(name)
            if not stated.isascii() and (first := self._keys.setdefault(key, stated)) != stated:
                raise RefusedRow(
                    RejectReason.DUPLICATE, f"the name differs from that of {first} only in its Unicode form"
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
                    batch.rejects.append(_unreadable(self._root, str(beside), error))

    def may_read(self, path: Path, batch: RowBatch) -> bool:
        """Return whether `path` is a file that may be read; refuse a link that leaves the folder."""
        if not path.is_file():
            return False
        name = _relative(self._root, path)
        try:
            self._check_link(path, name)
        except RefusedRow as why:
            batch.rejects.append(reject((TableLine(_shown(name), _shown(name)), 0), why))
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


def _refuse_orphan_texts(root: Path, texts: list[Path], batch: RowBatch) -> None:
    for path in sorted(texts):
        name = _shown(path.relative_to(root).as_posix())
        why = RefusedRow(RejectReason.NO_PICTURE, "no image of the same name beside the text file")
        batch.rejects.append(reject((TableLine(name, name), 0), why))


def _shown(name: str) -> str:
    """Return a file name, which may be invalid Unicode, as valid text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
