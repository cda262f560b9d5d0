"""Atomic file writes: readers, also after a crash, see the old content or the new content, never a part of it.

Standard library only, because trainers and benchmarks use it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NOT_SUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOTSUP})
"""Error codes of file systems that cannot sync a folder (some network shares)."""
_PARTIAL: Final = ".partial"
_ABANDONED_S: Final = 86_400.0
_WRITE: Final = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@contextlib.contextmanager
def replacing(path: Path, *, only_writer: bool = False) -> Iterator[Path]:
    """Yield an empty draft file beside `path`, which replaces `path` at the end of the block.

    If the block raises, the draft is removed and `path` stays as it was. An existing file keeps its permissions, a new
    one gets those of the umask. A symbolic link stays: the file that it points to is replaced.

    Args:
        path: the file to replace or create.
        only_writer: no other process writes `path`, so the draft can have a fixed name. The next write then reuses the
            draft of a killed process; otherwise that draft stays on the disk.

    Raises:
        OSError: the draft cannot be written, or cannot replace the file.
    """
    path = Path(os.path.realpath(path))
    draft = path.with_name(f".{path.name}.new" if only_writer else _unique_name(path))
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    try:
        # Created with the final mode, so that a private file's draft is private from its first byte.
        permissions = 0o666 if mode is None else mode | 0o600
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, permissions))
        yield draft
        if mode is not None:
            draft.chmod(mode)
        sync(draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)  # on a full disk its space is needed
        raise
    sync(path.parent)


def replace_file(path: Path, content: str | bytes, *, only_writer: bool = False) -> None:
    """Write `content` to `path` as `replacing` does; text is UTF-8 with "\\n" as the line end."""
    with replacing(path, only_writer=only_writer) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def create_file(path: Path, content: bytes) -> bool:
    """Write `content` to `path` if no file has that name; return whether it was written.

    A hard link takes the name only if it is free, and the file is complete at once. On a file system without hard
    links (exFAT, some network shares) an empty file takes the name first: a reader in that moment sees an empty file.
    """
    draft = path.with_name(_unique_name(path))
    try:
        with draft.open("xb") as file:
            file.write(content)
        sync(draft)
        try:
            os.link(draft, path)
        except FileExistsError:
            raise
        except OSError:
            path.open("xb").close()
            draft.replace(path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)
    return True


@contextlib.contextmanager
def partial_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a new hidden folder in `parent`, which is to be renamed to its final name when it is complete.

    At the end of the block it is removed, unless it was renamed. Those that killed processes left behind are removed
    after a day.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for abandoned in parent.glob(f".*{_PARTIAL}"):
        if time.time() - abandoned.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(abandoned, ignore_errors=True)
    folder = parent / f".{name}.{os.urandom(4).hex()}{_PARTIAL}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def seal(folder: Path) -> None:
    """Sync all files below `folder` and take their write permission.

    The folders keep theirs, so that they can be deleted like any other.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_WRITE)
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED or not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise
    finally:
        os.close(handle)


def _unique_name(path: Path) -> str:
    return f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.new"
