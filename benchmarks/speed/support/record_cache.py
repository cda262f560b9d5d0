"""Keeps the workspace of a full-size record for later runs: writing a million candidates takes minutes.

The key of an entry contains a hash of the code that writes records, so a change of the schema or of the queue writes a
new one. There is one entry, of about 1.2 GB, in `~/.cache/negwb-bench`; it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import curation_db
from benchmarks.speed.support import big_record
from benchmarks.speed.support.big_record import Size


def cache_folder() -> Path:
    """Return the folder of the entries."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "negwb-bench"


def entry_name(size: Size) -> str:
    """Return the key of a record of this size, as the present code writes it."""
    digest = hashlib.sha256()
    for package in (Path(curation_db.__path__[0]), Path(big_record.__file__)):
        for path in sorted(package.rglob("*.py")) if package.is_dir() else [package]:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{size.candidates}-{size.seeds}-{size.voted}-{digest.hexdigest()[:16]}"


def copy_or_build(target: Path, size: Size, build: Callable[[Path], None], cache: Path | None = None) -> bool:
    """Create the folder `target` with a workspace; return whether it is a copy of one that an earlier run wrote.

    Args:
        build: Writes the workspace into a folder that does not exist yet.
        cache: The folder of the entries; default: `cache_folder`.
    """
    folder = cache or cache_folder()
    entry = folder / entry_name(size)
    is_known = entry.is_dir()
    if not is_known:
        shutil.rmtree(folder, ignore_errors=True)
        unfinished = folder / f"{entry.name}.{os.getpid()}"
        unfinished.mkdir(parents=True)
        build(unfinished / "workspace")
        unfinished.rename(entry)
    shutil.copytree(entry / "workspace", target)
    return is_known
