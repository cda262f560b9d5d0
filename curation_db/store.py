"""The record as a file: open, create, migrate, and the two kinds of transaction.

Everything that touches the database does so inside `Store.read()` or `Store.write()`; a writer holds the write lock
from its first statement, so it waits instead of failing half way. Fresh files are created from the table classes;
older ones are brought up by Alembic after a backup; newer ones are refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from curation_db import dialect
from curation_db.errors import NewerRecord, NotARecord
from curation_db.migrations import HEAD, REVISIONS

# As Alembic itself would create it.
_ALEMBIC_TABLE = """
    CREATE TABLE alembic_version (
        version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
    )
"""


class Store:
    """An open record. Share one between threads; each transaction takes a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = dialect.connect(path)
        self._writer = dialect.writing(self._engine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view of the record; keep it short, a held reader keeps the log from shrinking."""
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: committed and on the disk when the block ends, undone when it raises."""
        with self._translated(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise dialect.translate(error, self.path) from error

    def close(self) -> None:
        """Release the file; the store cannot be used afterwards."""
        try:
            dialect.optimise(self._engine)
        except DBAPIError:
            pass  # a busy or read-only file loses nothing but a statistic
        finally:
            self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def create_store(path: Path) -> Store:
    """Create the record at `path`, which must not exist yet, and open it.

    Raises:
        FileExistsError: something is there.
        RecordError: the folder cannot be written.
    """
    # deferred: 0.4 s that only a new record has to pay
    from curation_db.tables import metadata  # noqa: PLC0415

    path.open("x").close()
    try:
        dialect.mark_as_ours(path)
    except sqlite3.Error as error:
        raise dialect.translate(error, path) from error
    store = Store(path)
    with store.write() as connection:
        metadata.create_all(connection)
        for statement in dialect.BASELINE_EXTRAS:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(_ALEMBIC_TABLE)
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))
    return store


def open_store(path: Path) -> Store:
    """Open the record at `path`, migrating it first (after a backup beside it) where it is behind.

    Raises:
        NotARecord: no such file, or something else than a negwb database.
        NewerRecord: written by a newer negwb.
        CorruptRecord, RecordBusy, RecordUnwritable: as they say.
    """
    revision = _revision(path)
    if revision and revision not in REVISIONS:
        raise NewerRecord(
            f"{path} was written by a newer negwb (schema {revision}; this one knows up to {HEAD})",
            hint="update negwb, or open a copy that this version wrote",
        )
    if revision != HEAD:
        # deferred: Alembic costs 0.4 s, needed only when the file is behind
        from curation_db.migrations.upgrade import upgrade  # noqa: PLC0415

        upgrade(path, revision)
    return Store(path)


def _revision(path: Path) -> str:
    """The schema revision of the file at `path`."""
    if not path.is_file():
        raise NotARecord(f"no database at {path}", hint="create a workspace with: negwb init")
    try:
        if dialect.application_id(path) != dialect.APPLICATION_ID:
            raise NotARecord(f"{path} is not a negwb database", hint="name the workspace with --workspace")
        return dialect.schema_revision(path)
    except sqlite3.Error as error:
        raise dialect.translate(error, path) from error
