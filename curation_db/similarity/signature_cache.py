"""Cache of image signatures in one file of the cache folder, which may be deleted at any time. Knows no record.

An image belongs to a collection (the images of a source, of a benchmark) and has a key there. Its signature is valid
while its file has the same path, size and modification time; collections share the signature of a file. A pass commits
each small batch, so an interrupted pass continues where it ended. Several processes may use the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from curation_db.errors import RecordError
from curation_db.image_decoding import ImageProblem
from curation_db.similarity.duplicates import Signatures
from curation_db.similarity.image_signature import THUMBNAIL_BYTES, ImageSignature, signature_of

FILE: Final = Path("cache", "image-signatures.db")
"""Below the folder of the record."""
_VERSION: Final = 1
"""Of the table and of the signatures; a file of another version is emptied."""
_BATCH: Final = 64
"""Images that an interrupted pass computes again at most."""
_BUSY_S: Final = 15.0
_CREATE: Final = """
    CREATE TABLE IF NOT EXISTS signature (
        collection TEXT NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
        hash BLOB, thumbnail BLOB, sha256 BLOB, problem TEXT, PRIMARY KEY (collection, key)
    ) WITHOUT ROWID
"""
_CREATE_INDEX: Final = "CREATE INDEX IF NOT EXISTS signature_path ON signature(path)"
_COPY: Final = """
    INSERT OR REPLACE INTO signature
    SELECT ?, ?, path, size, mtime, hash, thumbnail, sha256, problem FROM signature
    WHERE path = ? AND size = ? AND mtime = ? LIMIT 1
"""
_SIGNED: Final = "hash IS NOT NULL AND length(hash) = 8 AND length(thumbnail) = ?"

Progress = Callable[[int, int], None]
"""Called with the number of images done and in total. An exception from it ends the pass; finished work stays."""


class CacheUnwritable(RecordError):
    """The cache file cannot be written."""


@dataclass(frozen=True, slots=True)
class PassResult:
    """What a pass over images did."""

    images: int
    """Images of the pass."""
    computed: int
    problems: dict[str, ImageProblem] = field(default_factory=dict)
    """By key; these images have no signature."""


def refresh(
    file: Path,
    collection: str,
    images: Iterable[tuple[str, Path | None]],
    progress: Progress = lambda done, total: None,
) -> PassResult:
    """Compute the missing signatures of a collection's images, given by key and path; None: the file was not found.

    Raises:
        CacheUnwritable: the cache file or its folder is not writable; nothing was computed.
    """
    with _writing(file) as connection:
        known = {
            key: (path, size, mtime, problem)
            for key, path, size, mtime, problem in connection.execute(
                "SELECT key, path, size, mtime, problem FROM signature WHERE collection = ?", (collection,)
            )
        }
        problems: dict[str, ImageProblem] = {}
        missing: list[tuple[str, Path | None, int, int]] = []
        count = 0
        connection.execute("BEGIN IMMEDIATE")
        for key, path in images:
            size, mtime = _stamp(path)
            count += 1
            old = known.get(key)
            if old is not None and old[:3] == (_name(path), size, mtime):
                if old[3] is not None:
                    problems[key] = ImageProblem(old[3])
            elif not connection.execute(_COPY, (collection, key, _name(path), size, mtime)).rowcount:
                missing.append((key, path, size, mtime))
        connection.execute("COMMIT")
        done = 0
        with ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0))), thread_name_prefix="signature") as pool:
            for start in range(0, len(missing), _BATCH):
                batch = missing[start : start + _BATCH]
                signed = list(pool.map(lambda each: _signed(each[1]), batch))
                problems |= {
                    each[0]: result
                    for each, result in zip(batch, signed, strict=True)
                    if isinstance(result, ImageProblem)
                }
                rows = [_row(collection, each, result) for each, result in zip(batch, signed, strict=True)]
                connection.execute("BEGIN IMMEDIATE")  # one transaction and one sync per batch
                connection.executemany(f"INSERT OR REPLACE INTO signature VALUES ({', '.join('?' * 9)})", rows)
                connection.execute("COMMIT")
                done += len(batch)
                progress(done, len(missing))
    return PassResult(count, done, problems)


def unseen(file: Path, collection: str, keys: Iterable[str]) -> list[str]:
    """Return those of these images that no pass has seen yet."""
    seen: set[str] = set()
    with _reading(file) as connection:
        if connection is not None:
            rows = connection.execute("SELECT key FROM signature WHERE collection = ?", (collection,))
            seen = {key for (key,) in rows}
    return [key for key in keys if key not in seen]


def load(file: Path, prefix: str = "") -> Signatures:
    """Return the signatures of the collections whose name starts with `prefix`, in order of collection and key.

    The result is shared: the same file is read once until it changes.
    """
    return _loaded(file, prefix, _stamp(file))


@lru_cache(maxsize=4)
def _loaded(file: Path, prefix: str, stamp: tuple[int, int]) -> Signatures:
    with _reading(file) as connection:
        rows: Sequence[tuple[str, str, bytes, bytes, bytes]] = []
        if connection is not None:
            rows = connection.execute(
                f"""SELECT collection, key, hash, thumbnail, sha256 FROM signature
                    WHERE substr(collection, 1, ?) = ? AND {_SIGNED}""",
                (len(prefix), prefix, THUMBNAIL_BYTES),
            ).fetchall()
    return Signatures.of(
        ((collection, key), ImageSignature(int.from_bytes(value), thumbnail, sha256))
        for collection, key, value, thumbnail, sha256 in rows
    )


def _row(
    collection: str, image: tuple[str, Path | None, int, int], signed: ImageSignature | ImageProblem
) -> tuple[object, ...]:
    key, path, size, mtime = image
    if isinstance(signed, ImageProblem):
        return collection, key, _name(path), size, mtime, None, None, None, signed.value
    return collection, key, _name(path), size, mtime, signed.hash.to_bytes(8), signed.thumbnail, signed.sha256, None


def _signed(path: Path | None) -> ImageSignature | ImageProblem:
    return ImageProblem.MISSING if path is None else signature_of(path)


def _name(path: Path | None) -> str:
    return "" if path is None else str(path)


def _stamp(path: Path | None) -> tuple[int, int]:
    """Return size and modification time; (-1, -1) for a missing file."""
    if path is None:
        return -1, -1
    try:
        status = path.stat()
    except (OSError, ValueError):
        return -1, -1
    return status.st_size, status.st_mtime_ns


@contextmanager
def _writing(file: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that commits each statement; a damaged file and one of another version start empty."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = _opened(file)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            file.unlink()
            connection = _opened(file)
    except (OSError, sqlite3.OperationalError) as error:
        raise CacheUnwritable(
            f"{file} cannot be written: {getattr(error, 'strerror', None) or error}",
            hint="image signatures are stored there; make the folder writable",
        ) from error
    try:
        yield connection
    finally:
        connection.close()


def _opened(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=NORMAL")
        if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            connection.execute("DROP TABLE IF EXISTS signature")
            connection.execute(f"PRAGMA user_version={_VERSION}")
        connection.execute(_CREATE)
        connection.execute(_CREATE_INDEX)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def _reading(file: Path) -> Iterator[sqlite3.Connection | None]:
    """Yield a connection; None if there is no usable file, which counts as empty."""
    with contextlib.ExitStack() as stack:
        connection = None
        with contextlib.suppress(sqlite3.Error):
            uri = f"{file.absolute().as_uri()}?mode=ro"
            opened = stack.enter_context(contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)))
            if opened.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
                connection = opened
        yield connection
