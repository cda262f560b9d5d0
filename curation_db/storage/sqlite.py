"""SQLite: pragmas, transaction modes, triggers, full-text search. No other module depends on the database system,
except `database_file`, which handles the file as a whole.

Transactions follow the SQLAlchemy documentation (`dialects/sqlite/base.py`, "sqlite_transactions"): the driver's own
transaction handling is off, a reader begins DEFERRED, a writer IMMEDIATE. With the driver's defaults, four processes
counting to 1,200 together reached 566.
"""

from __future__ import annotations

import json
import os
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from curation_db.errors import RecordUnwritable
from curation_db.storage.sqlite_errors import primary_code

T = TypeVar("T")
APPLICATION_ID = 0x6E677762  # "ngwb": identifies a negwb database, also to file(1)
BUSY_MS = 15_000
LOG_BYTES = 64 * 2**20
"""SQLite truncates a larger write-ahead log to this size when it starts again at the log's beginning."""
_FIRST_BLOCK_ROWS, _LARGEST_BLOCK_ROWS = 256, 16_384
_WAL_HEADER = b"\x02\x02"
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
_HAS_ANY_TABLE = """
    SELECT 1 FROM sqlite_master
    WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@' AND name != 'alembic_version'
"""
COPY_WORKSPACE_HINT = "copy the whole workspace to a writable folder, and open the copy"

# Many processes share one database. FULL: a committed decision survives a power cut, not only a crash.
_PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_MS}",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-32000",
    f"PRAGMA journal_size_limit={LOG_BYTES}",
)

# The file may come from an untrusted source. Its views and triggers must not call functions with side effects, and a
# page with an impossible layout is reported as damage.
_SAFETY_PRAGMAS = ("PRAGMA trusted_schema=OFF", "PRAGMA cell_size_check=ON")

# For a read of the whole record: a cache of more than a few pages only duplicates the file cache of the system.
_LEAN_PRAGMAS = ("PRAGMA cache_size=-4000", "PRAGMA temp_store=FILE")

BASELINE_EXTRAS = (
    "CREATE TRIGGER event_never_changes BEFORE UPDATE ON event "
    "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    "CREATE TRIGGER event_never_goes BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    "CREATE VIRTUAL TABLE caption_text USING fts5(text, content='caption', content_rowid='id')",
    "CREATE VIRTUAL TABLE candidate_text USING fts5(text, concept, content='candidate', content_rowid='id')",
)
"""Parts of the schema that the table classes cannot express: append-only events and the full-text indexes."""


TEXT_PREFIX = "substr(text, 1, 32)"
"""First sort key of texts. Its index takes a third of the space of an index on whole texts."""
VERDICT_WORD = "CASE WHEN p IS NULL THEN 'unclear' WHEN p >= 0.5 THEN 'yes' ELSE 'no' END"
"""A verdict's answer as a word. SQLite uses its index only for a statement with exactly this expression."""


class Mode(StrEnum):
    """How a file is opened, as parameters of a SQLite URI."""

    CREATE = "mode=rwc"
    """Create the file if it is missing."""
    WRITE = "mode=rw"
    """The file must exist. An open of a record that was moved away must not create an empty one."""
    READ = "mode=ro"
    """Read while others may write. Needs the log and its index beside the file, or a writable folder for them."""
    FROZEN = "mode=ro&immutable=1"
    """Read the main file only, without a log. Correct only while the log beside the file is empty or missing."""


def create_file_engine(path: Path, mode: Mode = Mode.WRITE, *, lean: bool = False) -> Engine:
    """Return an engine for the file at `path`, which must exist; with `lean`, its connections use a small cache."""
    # Made absolute here: the pool opens connections later, possibly from another current folder.
    engine = create_engine("sqlite://", creator=partial(open_file, path.absolute(), mode), poolclass=QueuePool)
    event.listen(engine, "connect", _set_pragmas)
    if lean:
        event.listen(engine, "connect", _set_lean_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def open_file(path: Path, mode: Mode = Mode.WRITE, patience: float = BUSY_MS / 1000) -> sqlite3.Connection:
    """Open a database file. Every connection to a file is opened here, so that a path always means the same file.

    The driver begins no transactions by itself (`isolation_level`).
    """
    connection = sqlite3.connect(
        file_uri(path, mode), uri=True, isolation_level=None, timeout=patience, check_same_thread=False
    )
    for pragma in _SAFETY_PRAGMAS:
        connection.execute(pragma)
    return connection


def in_memory_engine() -> Engine:
    """Return an engine for an empty database without a file, for one thread."""
    return create_engine("sqlite://")


def file_uri(path: Path, mode: Mode) -> str:
    """Return the SQLite URI of the file, with every special character of the path encoded."""
    return f"file://{quote(os.fsencode(path.absolute()))}?{mode}"


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _set_lean_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in _LEAN_PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("begin_mode", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def write_engine(engine: Engine) -> Engine:
    """Return `engine` with transactions that take the write lock at their start, so that no upgrade can fail later."""
    return engine.execution_options(begin_mode="IMMEDIATE")


def initialise_file(path: Path) -> None:
    """Write negwb's application ID into the file's header and switch the file to WAL mode."""
    with raw_connection(path, Mode.CREATE) as connection:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("PRAGMA journal_mode=WAL")


def is_wal(path: Path, mode: Mode = Mode.WRITE) -> bool:
    """Return whether the file is in WAL mode, in which readers and one writer work at the same time.

    SQLite is asked; the file's header is never read directly. Closing a file handle of our own would release all
    locks that this process holds on the file (POSIX). The next process to close the database would then take itself
    for the last user and delete the log that this process still writes to.
    """
    if mode is Mode.FROZEN:  # in this mode SQLite ignores the log, and no process holds a lock
        with path.open("rb") as file:
            return file.read(20)[18:] == _WAL_HEADER
    with raw_connection(path, mode) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"


def enable_wal(path: Path) -> None:
    """Switch the file to WAL mode, for example after another tool has switched it off.

    Raises:
        sqlite3.Error: another process has the file open, or the file is not writable.
    """
    with raw_connection(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def checkpoint_log(path: Path) -> None:
    """Copy the log of a killed process into the database file, except for pages that a reader still needs.

    A later loss of the log, for example in a copy of the main file alone, then loses no earlier decision.

    Raises:
        sqlite3.Error: the database cannot be written.
    """
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        with raw_connection(path) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()  # waits for no reader and no writer


def database_path(connection: Connection) -> Path | None:
    """Return the path of the database's file; None: it is in memory."""
    files = {row[1]: row[2] for row in connection.exec_driver_sql("PRAGMA database_list")}
    return Path(files["main"]) if files.get("main") else None


def words_with_counts(connection: Connection, table: str, words: Sequence[str]) -> dict[str, int]:
    """Return the number of rows of the full-text index `<table>_text` with each word; words without rows are left out.

    A word of every row of 300,000 takes 20 ms, a rare one 0.1 ms.
    """
    name = f"{table}_words"  # of this connection; nothing is written to the file
    connection.exec_driver_sql(
        f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{name} USING fts5vocab(main, {table}_text, row)"
    )
    rows = (connection.exec_driver_sql(f"SELECT term, doc FROM temp.{name} WHERE term = ?", (word,)) for word in words)
    return {term: int(count) for found in rows for term, count in found}


def schema_cookie(connection: Connection) -> int:
    """Return a number that changes with every change of the schema; takes a few microseconds."""
    return int(connection.exec_driver_sql("PRAGMA schema_version").scalar_one())


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return (device, inode) of the file at `path`; None if there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def log_path(path: Path) -> Path:
    """Return the path of the write-ahead log. SQLite keeps it beside the real file, not beside a symbolic link."""
    real = Path(os.path.realpath(path))
    return real.with_name(f"{real.name}-wal")


def read_only_mode(path: Path) -> Mode:
    """Return the mode that opens the file at `path` where nothing can be written.

    Raises:
        RecordUnwritable: the log is not empty. SQLite cannot read it without writing its index, and the main file
            alone lacks the newest decisions.
        sqlite3.Error: the file cannot be read.
    """
    try:
        application_id(path, Mode.READ)
    except sqlite3.OperationalError as error:
        if primary_code(error) not in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:
            raise
        log = log_path(path)
        if log.exists() and log.stat().st_size:
            raise RecordUnwritable(
                f"{log} holds decisions that cannot be read without write access", hint=COPY_WORKSPACE_HINT
            ) from error
        return Mode.FROZEN
    return Mode.READ


def application_id(path: Path, mode: Mode = Mode.WRITE) -> int:
    """Return the application ID in the file's header; 0 if there is none."""
    with raw_connection(path, mode) as connection:
        return int(connection.execute("PRAGMA application_id").fetchone()[0])


def schema_revision(path: Path, mode: Mode = Mode.WRITE) -> str:
    """Return the Alembic revision of the file; "" if the file has none."""
    with raw_connection(path, mode) as connection:
        if not connection.execute(_HAS_TABLE, ("alembic_version",)).fetchone():
            return ""
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row and row[0] is not None else ""


def has_tables(path: Path, mode: Mode = Mode.WRITE) -> bool:
    """Return whether the file holds any table other than those of SQLite and Alembic."""
    with raw_connection(path, mode) as connection:
        return connection.execute(_HAS_ANY_TABLE).fetchone() is not None


@contextmanager
def raw_connection(
    path: Path, mode: Mode = Mode.WRITE, *, patience: float = BUSY_MS / 1000
) -> Iterator[sqlite3.Connection]:
    """Yield a connection of the driver, for work that must not go through the engine, and close it at the end.

    Args:
        path: the file.
        mode: how it is opened.
        patience: seconds to wait for a lock.
    """
    connection = open_file(path, mode, patience)
    try:
        yield connection
    finally:
        connection.close()


def optimise(engine: Engine) -> None:
    """Update the statistics of the query planner where tables have changed; cheap, done when a store closes."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA optimize")


def insert_or_ignore_sql(table: str, columns: Sequence[str]) -> str:
    """Return an INSERT with positional parameters that skips rows whose key exists."""
    marks = ", ".join("?" * len(columns))
    quoted = ", ".join(f'"{column}"' for column in columns)
    return f'INSERT INTO "{table}" ({quoted}) VALUES ({marks}) ON CONFLICT DO NOTHING'


def insert_or_ignore(connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> int:
    """Insert `rows`, skip those whose key exists, and return the number of inserted rows."""
    if not rows:
        return 0
    return int(connection.exec_driver_sql(insert_or_ignore_sql(table, columns), rows).rowcount)


IN_IDS: Final = "IN (SELECT value FROM json_each(:ids))"
"""SQL condition: in the list of the parameter `ids`, a `json_array`. A statement takes at most 32,766 parameters."""


def json_array(values: Iterable[object]) -> str:
    """Return `values` as one parameter of a statement that reads them with `json_each`."""
    return json.dumps(list(values), separators=(",", ":"))


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `values` in lists of `size`; the last list may be shorter."""
    # itertools.batched needs Python 3.12
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch


def select_in(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    column: str,
    values: Sequence[str] | Sequence[int],
    *,
    source_id: int | None = None,
) -> list[Any]:
    """Return the rows of `table` whose `column` is one of `values`, of any number, by the column's index.

    Args:
        connection: an open transaction.
        table: name of the table.
        columns: columns of the result.
        column: the compared column.
        values: values of `column`.
        source_id: only rows of this source.
    """
    source = "" if source_id is None else f"source_id = {source_id:d} AND "
    statement = f'SELECT {", ".join(columns)} FROM "{table}" WHERE {source}{column} IN (SELECT value FROM json_each(?))'
    return list(connection.exec_driver_sql(statement, (json_array(values),)))


def index_text(connection: Connection, table: str, columns: Sequence[str], after: int, until: int) -> None:
    """Add the rows of `table` with after < id <= until to its full-text index `<table>_text`."""
    names = ", ".join(columns)
    connection.exec_driver_sql(
        f"INSERT INTO {table}_text(rowid, {names}) SELECT id, {names} FROM {table} WHERE id > ? AND id <= ?",
        (after, until),
    )


def phrase_query(words: str) -> str:
    """Return a full-text query for rows with all of `words`, the last one as a prefix; '' without words."""
    terms = ['"' + word.replace('"', '""') + '"' for word in words.split()]
    return " ".join(terms) + "*" if terms else ""


def exact_query(words: str) -> str:
    """Return a full-text query for rows with the phrase `words`; a * at its end makes the last word a prefix."""
    suffix = "*" if words.endswith("*") else ""
    return '"' + words.rstrip("*").replace('"', '""') + '"' + suffix


def stream_numbers(connection: Connection, statement: str, values: Mapping[str, object]) -> Iterator[array[int]]:
    """Yield the first column of a query's rows in blocks; the first block is small, so that a screen can show it early.

    The rows of SQLAlchemy are bypassed: for a million rows they take longer than SQLite itself.
    """
    driver = connection.connection.dbapi_connection
    assert driver is not None
    cursor = driver.cursor()
    try:
        cursor.execute(statement, values)
        size = _FIRST_BLOCK_ROWS
        while rows := cursor.fetchmany(size):
            yield array("q", map(itemgetter(0), rows))
            size = min(size * 4, _LARGEST_BLOCK_ROWS)
    except sqlite3.Error as error:  # the exception that SQLAlchemy would raise
        raise DBAPIError(statement, None, error) from error
    finally:
        cursor.close()
