"""The record as a file: open, create, migrate, and the two kinds of transaction.

Everything that touches the database does so inside `Store.read()` or `Store.write()`; a writer holds the write lock
from its first statement, so it waits instead of failing half way. Fresh files are created from the table classes;
older ones are brought up by Alembic after a backup, unless somebody is at work in them; newer ones are refused.

Every write looks whether the record is still the one that was opened: what is written into a file that was moved
away, or by the rules of an older schema, would be lost.
"""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

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
"""A new record's permissions, less the umask: not everybody on the machine may read what people decide."""


class NetworkFileSystemWarning(UserWarning):
    """The record lies on a network file system: told once where it is opened to write."""


class Store:
    """An open record. Share one between threads; each transaction takes a connection of its own."""

    def __init__(self, path: Path, mode: sqlite.Mode = sqlite.Mode.WRITE, *, lean: bool = False) -> None:
        self.path = path
        self._mode, self._lean = mode, lean
        self._engine = sqlite.create_file_engine(path, mode, lean=lean)
        self._writer = sqlite.write_engine(self._engine)
        # on a network file system files are numbered as it likes
        self._identity = None if filesystem.network_file_system_type(path) else sqlite.file_identity(path)
        self._checked_cookie: int | None = None
        self._log = LogLimit(path)
        self.on_replaced: Callable[[RecordReplaced], None] | None = None
        """Called, in the thread that finds it out, when the record is not the one any more that was opened."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view of the record; keep it short, a held reader keeps the log from shrinking."""
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: committed and on the disk when the block ends, undone when it raises.

        Raises:
            RecordReplaced: what was opened is not there any more; nothing was written.
        """
        with self._translated():
            self._check_file()
            with self._writer.begin() as connection:
                self._check_schema(connection)
                yield connection
                self._check_file()  # the process that moved the file did not wait for our lock
            self._log.check()

    def _check_file(self) -> None:
        if self._identity is not None and sqlite.file_identity(self.path) != self._identity:
            raise RecordReplaced(
                f"{self.path.name} was replaced, moved or deleted while it was open; the last change was not written",
                hint="start again; where it is gone put it back first: negwb backup --list",
            )

    def _check_schema(self, connection: Connection) -> None:
        cookie = sqlite.schema_cookie(connection)
        if cookie == self._checked_cookie:
            return
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if revision != HEAD:
            raise RecordReplaced(
                f"another version of negwb has changed {self.path.name} (schema {revision or 'none'}; this one works"
                f" with {HEAD}); nothing was written",
                hint="leave, and start the newer negwb",
            )
        self._checked_cookie = cookie

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            try:
                yield
            except DBAPIError as error:
                self._check_file()  # that the file is gone explains more than what SQLite makes of it
                raise sqlite_errors.translate(error, self.path) from error
        except RecordReplaced as error:
            if self.on_replaced is not None:
                self.on_replaced(error)
            raise

    def lean(self) -> Store:
        """The same record with connections of its own that keep little in memory, for reading all of it; close it."""
        lean = Store(self.path, self._mode, lean=True)
        lean.on_replaced = self.on_replaced
        return lean

    def close(self) -> None:
        """Release the file; the store cannot be used afterwards."""
        try:
            self._check_file()  # a file that was moved is not ours to write statistics into
            if not self._lean:  # whoever is left by in passing must not wait for that
                sqlite.optimise(self._engine)
        except (DBAPIError, RecordReplaced):
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
    """Open the record at `path` to write, migrating it first (after a backup) where it is behind.

    Warns of a record on a network file system (`NetworkFileSystemWarning`).

    Raises:
        NotARecord: no such file, or something else than a negwb database.
        NewerRecord: written by a newer negwb.
        UnreleasedSchema: written by a development version before the first release.
        CorruptRecord: damaged, or without its schema version.
        RecordInUse: it is behind, and somebody is at work in it with the negwb that wrote it.
        LinkedRecord: the file has a second name.
        RecordBusy, RecordUnwritable: as they say.
    """
    opened = _open(path)
    _warn_if_network(path)
    return opened


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
        with contextlib.suppress(sqlite3.OperationalError):  # no room, say: the log itself keeps everything
            sqlite.checkpoint_log(path)
    except (DBAPIError, sqlite3.Error) as error:
        raise sqlite_errors.translate(error, path) from error
    return Store(path)


def _check_after_unclean_end(path: Path) -> None:
    """Raises CorruptRecord where the last process did not close the file and left it damaged."""
    try:
        faults = database_file.faults_after_unclean_end(path)
    except sqlite3.Error as error:
        raise sqlite_errors.translate(error, path) from error
    if faults:
        raise CorruptRecord(
            f"{path} is damaged, and the last process that had it open did not close it: {faults[0]}",
            hint=sqlite_errors.RESTORE_HINT,
        )


def refuse_links(path: Path) -> None:
    """See that the file has one name only.

    SQLite keeps the log beside the name by which a file was opened: what is written under one name is lost when the
    file is written under the other.

    Raises:
        LinkedRecord: it has more (hard links, as `cp -al` makes them).
    """
    names = path.stat().st_nlink
    if names > 1:
        raise LinkedRecord(
            f"{path} is one file with {names} names (hard links, as cp -al makes them): decisions under one name would"
            " destroy those under the other",
            hint="make it a file of its own: negwb backup COPY.db, then negwb restore COPY.db",
        )


def _migrate(path: Path, revision: str) -> None:
    # deferred: Alembic costs 0.4 s, needed only when the file is behind
    from curation_db.storage.migrations.upgrade import upgrade  # noqa: PLC0415
    from curation_db.storage.work_sessions import refuse_while_in_use  # noqa: PLC0415

    refuse_while_in_use(path, "this newer negwb would change it under their hands")
    upgrade(path, revision)


def _warn_if_network(path: Path) -> None:
    kind = filesystem.network_file_system_type(path)
    if kind is not None:
        warnings.warn(
            f"{path} is on a network file system ({kind}): SQLite's locks do not hold there between machines, so only"
            " one machine may work in it at a time, and backups belong elsewhere",
            NetworkFileSystemWarning,
            stacklevel=3,
        )


def open_read_only(path: Path) -> Store:
    """Open the record at `path` for who only reads: as ever, or where nothing can be written, as it is.

    Raises:
        RecordUnwritable: it cannot be read without writing: it is to be migrated, or others' newest decisions are
            still in its log.
        NotARecord, NewerRecord, UnreleasedSchema, RecordInUse, LinkedRecord, CorruptRecord, RecordBusy: as
            `open_store`.
    """
    try:
        return _open(path)
    except RecordUnwritable:
        mode = _read_only_mode(path)
    if checked_revision(path, mode) != HEAD:
        raise RecordUnwritable(
            f"{path} is from an older negwb, and cannot be brought up to date where nothing can be written",
            hint=sqlite.COPY_WORKSPACE_HINT,
        )
    return Store(path, mode)


def _read_only_mode(path: Path) -> sqlite.Mode:
    try:
        return sqlite.read_only_mode(path)
    except sqlite3.Error as error:
        raise sqlite_errors.translate(error, path) from error


def checked_revision(path: Path, mode: sqlite.Mode = sqlite.Mode.WRITE, *, called: Path | None = None) -> str:
    """The schema revision of the file at `path`: HEAD, or an older one.

    Args:
        path: The file.
        mode: How it is opened.
        called: How the messages call it.

    Raises:
        NotARecord, NewerRecord, UnreleasedSchema, CorruptRecord, RecordUnwritable: as they say.
    """
    name = called or path
    if not path.is_file():
        raise NotARecord(
            f"no database at {name}",
            hint="put a backup back (negwb backup --list), or create a workspace with: negwb init",
        )
    try:
        if sqlite.application_id(path, mode) != sqlite.APPLICATION_ID:
            raise NotARecord(f"{name} is not a negwb database", hint="name the workspace with --workspace")
        revision, empty = sqlite.schema_revision(path, mode), not sqlite.has_tables(path, mode)
    except sqlite3.Error as error:
        raise sqlite_errors.translate(error, name) from error
    if not revision and not empty:
        raise CorruptRecord(
            f"{name} has lost its schema version (table alembic_version)", hint=sqlite_errors.RESTORE_HINT
        )
    if revision in NEVER_RELEASED and revision not in REVISIONS:
        raise UnreleasedSchema(
            f"{name} was written by a development version of negwb (schema {revision}) and cannot be read",
            hint="nothing was changed; export it with the version that wrote it, and import the export here",
        )
    if revision and revision not in REVISIONS:
        raise NewerRecord(
            f"{name} was written by a newer negwb (schema {revision}; this one knows up to {HEAD})",
            hint="update negwb, or open a copy that this version wrote",
        )
    return revision
