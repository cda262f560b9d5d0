"""The record as a file: create, open, migrate, and the two kinds of transaction.

All access to the database happens inside `Store.read()` or `Store.write()`. A writer holds the write lock from its
first statement, so it waits instead of failing half way. A new file is created from the table classes. An older file
is migrated by Alembic after a backup, unless somebody is annotating in it. A newer file is refused.

Every write transaction checks that the record is still the one that was opened: a write to a file that was moved
away, or by the rules of an older schema, would be lost.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from curation_db.errors import (
    CorruptRecord,
    LinkedRecord,
    NewerRecord,
    NotARecord,
    RecordReplaced,
    RecordUnwritable,
    UnreleasedSchema,
)
from curation_db.storage import database_file, filesystem, schema, sqlite, sqlite_errors
from curation_db.storage.ids import utc_now, uuid7
from curation_db.storage.migrations import HEAD, NEVER_RELEASED, REVISIONS
from curation_db.storage.write_log import LogLimit

MAX_PERMISSIONS = 0o640
"""Permissions of a new record, less the umask. Other users of the machine cannot read the decisions."""


class NetworkFileSystemWarning(UserWarning):
    """The record is on a network file system; warned once, when the record is opened for writing."""


class Store:
    """An open record. Threads may share one; each transaction takes its own connection."""

    def __init__(self, path: Path, mode: sqlite.Mode = sqlite.Mode.WRITE, *, lean: bool = False) -> None:
        self.path = path
        self._mode, self._lean = mode, lean
        self._engine = sqlite.create_file_engine(path, mode, lean=lean)
        self._writer = sqlite.write_engine(self._engine)
        # on a network file system inode numbers are not stable
        self._identity = None if filesystem.network_file_system_type(path) else sqlite.file_identity(path)
        self._checked_cookie: int | None = None
        self._log = LogLimit(path)
        self.on_replaced: Callable[[RecordReplaced], None] | None = None
        """Called when the opened record is no longer in place, in the thread that detects it."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection with a consistent view. Keep it short: an open reader keeps the log from shrinking."""
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection in a write transaction: on the disk when the block ends, rolled back when it raises.

        Raises:
            RecordReplaced: the opened record is no longer in place; nothing was written.
        """
        with self._translated():
            self._check_file()
            with self._writer.begin() as connection:
                self._check_schema(connection)
                yield connection
                self._check_file()  # a process that moves the file does not wait for the lock
            self._log.check()

    def _check_file(self) -> None:
        if self._identity is not None and sqlite.file_identity(self.path) != self._identity:
            raise RecordReplaced(
                f"{self.path.name} was replaced, moved or deleted while it was open; the last change was not written",
                hint="restart negwb; if the file is missing, restore a backup first: negwb backup --list",
            )

    def _check_schema(self, connection: Connection) -> None:
        cookie = sqlite.schema_cookie(connection)
        if cookie == self._checked_cookie:
            return
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if revision != HEAD:
            raise RecordReplaced(
                f"another version of negwb has changed {self.path.name} (schema {revision or 'none'}; this version"
                f" needs {HEAD}); nothing was written",
                hint="quit, and start the newer negwb",
            )
        self._checked_cookie = cookie

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            try:
                yield
            except DBAPIError as error:
                self._check_file()  # a missing file explains more than SQLite's error
                raise sqlite_errors.translate(error, self.path) from error
        except RecordReplaced as error:
            if self.on_replaced is not None:
                self.on_replaced(error)
            raise

    def lean(self) -> Store:
        """Open the same record again, with small caches, to read all of it. The caller closes the new store."""
        store = Store(self.path, self._mode, lean=True)
        store.on_replaced = self.on_replaced
        return store

    def close(self) -> None:
        """Release the file; the store cannot be used afterwards."""
        try:
            self._check_file()  # no statistics are written into a replaced file
            if not self._lean:  # a second, short-lived store must close without a wait
                sqlite.optimise(self._engine)
        except (DBAPIError, RecordReplaced):
            pass  # a busy or read-only file only misses new statistics
        finally:
            self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create_store(path: Path) -> Store:
    """Create the record at `path` and open it.

    Raises:
        FileExistsError: the path exists.
        RecordError: the folder is not writable.
    """
    database_file.create_private_file(path, MAX_PERMISSIONS)
    try:
        sqlite.initialise_file(path)
    except sqlite3.Error as error:
        raise sqlite_errors.translate(error, path) from error
    engine = sqlite.create_file_engine(path)
    try:
        with sqlite.write_engine(engine).begin() as connection:
            schema.build(connection)
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))
            connection.exec_driver_sql(
                "INSERT INTO lineage(uid, after, started_at) VALUES (?, 0, ?)", (uuid7(), utc_now())
            )
    except DBAPIError as error:
        raise sqlite_errors.translate(error, path) from error
    finally:
        engine.dispose()
    _warn_if_network(path)
    return Store(path)


def open_store(path: Path) -> Store:
    """Open the record at `path` for writing; migrate an older record first, after a backup.

    Warns about a record on a network file system (`NetworkFileSystemWarning`).

    Raises:
        NotARecord: the file does not exist or is not a negwb database.
        NewerRecord: a newer negwb wrote the file.
        UnreleasedSchema: a development version before the first release wrote the file.
        CorruptRecord: the file is damaged or has no schema version.
        RecordInUse: the record needs a migration, and somebody is annotating in it with the older negwb.
        LinkedRecord: the file has a second name.
        RecordBusy: another process holds the file.
        RecordUnwritable: the disk is full, or the file or its folder is not writable.
    """
    store = _open(path)
    _warn_if_network(path)
    return store


def _open(path: Path) -> Store:
    if path.is_file():
        refuse_links(path)
        _check_after_unclean_end(path)
    revision = checked_revision(path)
    try:
        if revision != HEAD:
            _migrate(path, revision)
        if not sqlite.is_wal(path):
            sqlite.enable_wal(path)
        with contextlib.suppress(sqlite3.OperationalError):  # for example a full disk; the log stays complete
            sqlite.checkpoint_log(path)
    except (DBAPIError, sqlite3.Error) as error:
        raise sqlite_errors.translate(error, path) from error
    return Store(path)


def _check_after_unclean_end(path: Path) -> None:
    """Raise CorruptRecord if the last process did not close the file and the file is damaged."""
    try:
        faults = database_file.faults_after_unclean_end(path)
    except sqlite3.Error as error:
        raise sqlite_errors.translate(error, path) from error
    if faults:
        raise CorruptRecord(
            f"{path} is damaged, and the last process that used it did not close it: {faults[0]}",
            hint=sqlite_errors.RESTORE_HINT,
        )


def refuse_links(path: Path) -> None:
    """Check that the file has only one name.

    SQLite keeps the log beside the name under which a file was opened. Decisions written under one name are lost when
    the file is written under another name.

    Raises:
        LinkedRecord: the file has further names (hard links, as `cp -al` creates them).
    """
    names = path.stat().st_nlink
    if names > 1:
        raise LinkedRecord(
            f"{path} is one file with {names} names (hard links, as cp -al creates them): decisions under one name"
            " would destroy those under the other",
            hint="turn it into a separate file: negwb backup COPY.db, then negwb restore COPY.db",
        )


def _migrate(path: Path, revision: str) -> None:
    # deferred: Alembic costs 0.4 s, needed only when the file is behind
    from curation_db.storage.migrations.upgrade import upgrade  # noqa: PLC0415
    from curation_db.storage.work_sessions import refuse_while_in_use  # noqa: PLC0415

    refuse_while_in_use(path, "this newer negwb would change the record while the older one uses it")
    upgrade(path, revision)


def _warn_if_network(path: Path) -> None:
    kind = filesystem.network_file_system_type(path)
    if kind is not None:
        warnings.warn(
            f"{path} is on a network file system ({kind}), where SQLite's locks do not work between machines: use the"
            " record from one machine at a time, and keep backups elsewhere",
            NetworkFileSystemWarning,
            stacklevel=3,
        )


def open_read_only(path: Path) -> Store:
    """Open the record at `path` for reading: as `open_store` does or, without write access, unchanged.

    Raises:
        RecordUnwritable: the record cannot be read without write access: it needs a migration, or its newest
            decisions are still in the log.
        NotARecord, NewerRecord, UnreleasedSchema, RecordInUse, LinkedRecord, CorruptRecord, RecordBusy: as
            `open_store`.
    """
    try:
        return _open(path)
    except RecordUnwritable:
        return open_without_writing(path)


def open_without_writing(path: Path) -> Store:
    """Open the record at `path` so that nothing can be written, also with write access.

    Raises:
        RecordUnwritable: the record needs a migration, or its newest decisions are still in a log that cannot be read
            without write access.
        NotARecord, NewerRecord, UnreleasedSchema, CorruptRecord: as `open_store`.
    """
    if not path.is_file():
        checked_revision(path)  # raises
    mode = _read_only_mode(path)
    if checked_revision(path, mode) != HEAD:
        raise _needs_migration(path)
    return Store(path, mode)


def _needs_migration(path: Path) -> RecordUnwritable:
    """Return the error about an older record that is opened only for reading."""
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return RecordUnwritable(
            f"{path} was written by an older negwb, and a migration writes",
            hint="migrate it once, with a backup: negwb status",
        )
    return RecordUnwritable(
        f"{path} was written by an older negwb and cannot be migrated without write access",
        hint=sqlite.COPY_WORKSPACE_HINT,
    )


def _read_only_mode(path: Path) -> sqlite.Mode:
    try:
        return sqlite.read_only_mode(path)
    except sqlite3.Error as error:
        raise sqlite_errors.translate(error, path) from error


def checked_revision(path: Path, mode: sqlite.Mode = sqlite.Mode.WRITE, *, shown_path: Path | None = None) -> str:
    """Return the schema revision of the file at `path`: HEAD or an older one.

    Args:
        path: the file.
        mode: how it is opened.
        shown_path: the path that messages name instead of `path`.

    Raises:
        NotARecord: the file does not exist or is not a negwb database.
        NewerRecord: a newer negwb wrote the file.
        UnreleasedSchema: a development version before the first release wrote the file.
        CorruptRecord: the file is damaged or has no schema version.
        RecordUnwritable: the file cannot be opened.
    """
    name = shown_path or path
    if not path.is_file():
        raise NotARecord(
            f"no database at {name}",
            hint="restore a backup (negwb backup --list), or create a workspace: negwb init",
        )
    try:
        if sqlite.application_id(path, mode) != sqlite.APPLICATION_ID:
            raise NotARecord(f"{name} is not a negwb database", hint="select the workspace with --workspace")
        revision, empty = sqlite.schema_revision(path, mode), not sqlite.has_tables(path, mode)
    except sqlite3.Error as error:
        raise sqlite_errors.translate(error, name) from error
    if not revision and not empty:
        raise CorruptRecord(f"{name} has no schema version (table alembic_version)", hint=sqlite_errors.RESTORE_HINT)
    if revision in NEVER_RELEASED and revision not in REVISIONS:
        raise UnreleasedSchema(
            f"{name} was written by a development version of negwb (schema {revision}) and cannot be read",
            hint="nothing was changed; export the record with the version that wrote it, and import the export here",
        )
    if revision and revision not in REVISIONS:
        raise NewerRecord(
            f"{name} was written by a newer negwb (schema {revision}; this version reads up to {HEAD})",
            hint="update negwb, or open a copy that this version wrote",
        )
    return revision
