"""A folder of generated files that is replaced as a whole, without overwriting a file that something else wrote.

`publication.json` in the folder lists the hash of every file that negwb wrote there. A later publication replaces or
removes exactly these files, while they have their hash; anything else is refused before the first change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from curation_db.atomic_write import replace_file
from curation_db.foreign_json import JsonError, parse_json
from workbench.errors import UsageError

RECORD: Final = "publication.json"
_KIND: Final = "negwb publication"
_CHUNK = 1 << 20


def replace_folder(target: Path, write: Callable[[Path], None]) -> list[str]:
    """Fill `target` with the files that `write` writes into an empty folder; return their paths.

    Nothing changes unless `write` returns. A new folder appears complete. In an existing one each file is replaced
    atomically; after a crash between two of them, the next call completes the publication.

    Raises:
        UsageError: the folder cannot be written, or has a file in the way that is not of an earlier publication.
    """
    target = target.absolute()
    draft = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        write(draft)
        files = {path.relative_to(draft).as_posix(): _hash(path) for path in sorted(draft.rglob("*")) if path.is_file()}
        (draft / RECORD).write_text(_record(files), encoding="utf-8", newline="\n")
        if not os.path.lexists(target):
            draft.rename(target)
        else:
            _merge(draft, target, files)
    except OSError as error:
        raise UsageError(
            f"{error.filename or target} cannot be written: {error.strerror}", hint="name a folder that you own"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return list(files)


def _merge(draft: Path, target: Path, files: Mapping[str, str]) -> None:
    written = _written(target)
    if foreign := [name for name in (*files, RECORD) if not _is_ours(target, name, {*written, *files.items()})]:
        raise UsageError(
            f"{target / foreign[0]} is not of an earlier publication, or was changed"
            + (f"; so are {len(foreign) - 1} others" if len(foreign) > 1 else ""),
            hint="name another folder, or move your files away",
        )
    replace_file(target / RECORD, _record(files, replaced=written))  # a crash from here on leaves known files only
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).replace(target / name)
    for name in sorted({name for name, _ in written} - files.keys()):
        if (target / name).is_file() and _is_ours(target, name, written):
            (target / name).unlink()
            _remove_empty(target, (target / name).parent)
    replace_file(target / RECORD, _record(files))


def _is_ours(target: Path, name: str, known: set[tuple[str, str]]) -> bool:
    """Return whether nothing is at this path, or a file that is known by its hash, without links on the way."""
    path = target / name
    if path.parent.resolve() != target.resolve() / PurePosixPath(name).parent:
        return False
    if not os.path.lexists(path):
        return all(part.is_dir() or not part.exists() for part in path.parents)
    if path.is_symlink() or not path.is_file():
        return False
    return _is_record(path) if name == RECORD else (name, _hash(path)) in known


def _record(files: Mapping[str, str], replaced: set[tuple[str, str]] | None = None) -> str:
    record = {"kind": _KIND, "files": dict(sorted(files.items()))}
    if replaced:
        record["replaced"] = dict(sorted(replaced))
    return json.dumps(record, indent=2) + "\n"


def _is_record(path: Path) -> bool:
    with contextlib.suppress(OSError, JsonError):
        content = parse_json(path.read_bytes())
        return isinstance(content, dict) and content.get("kind") == _KIND
    return False


def _written(target: Path) -> set[tuple[str, str]]:
    """Return path and hash of the files of earlier publications; the record may be hostile."""
    if not target.is_dir() or not _is_record(target / RECORD):
        return set()
    content = parse_json((target / RECORD).read_bytes())
    tables = [table for key in ("files", "replaced") if isinstance(table := content.get(key), dict)]
    pairs = {(str(name), str(digest)) for table in tables for name, digest in table.items()}
    return {
        (name, digest)
        for name, digest in pairs
        if not (parts := PurePosixPath(name)).is_absolute() and ".." not in parts.parts
    }


def _remove_empty(target: Path, folder: Path) -> None:
    with contextlib.suppress(OSError):  # not empty
        while folder != target:
            folder.rmdir()
            folder = folder.parent


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
