"""Everything that is SQLite: pragmas, transaction modes, triggers, full text, error texts. Nothing else in the
house knows which database it talks to, but for `database_file`, which has what concerns the file as a whole.

The recipe is measured (SQLAlchemy docs, `dialects/sqlite/base.py`, "sqlite_transactions"): the driver's own
transaction handling is off, a reader begins DEFERRED, a writer IMMEDIATE. With the driver's defaults, four processes
counting to 1,200 together reached 566.
"""

from __future__ import annotations

import json
import os
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
APPLICATION_ID = 0x6E677762  # "ngwb": what `file` and we know our databases by
BUSY_MS = 15_000
LOG_BYTES = 64 * 2**20
"""A log that grew beyond this while somebody read is cut to it when SQLite writes at its beginning again."""
_FIRST_BLOCK_ROWS, _LARGEST_BLOCK_ROWS = 256, 16_384
_WAL_HEADER = b"\x02\x02"
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
_HAS_ANY_TABLE = """
    SELECT 1 FROM sqlite_master
    WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@' AND name != 'alembic_version'
"""
COPY_WORKSPACE_HINT = "copy the whole workspace to where you may write, and open the copy"

# One database, many processes. FULL: an acknowledged decision survives a power cut, not just a crash.
_PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_MS}",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-32000",
    f"PRAGMA journal_size_limit={LOG_BYTES}",
)

# The file may be somebody else's: its views and triggers call no function that does more than compute, and a page with
# an impossible layout is reported as damage.
_SAFETY_PRAGMAS = ("PRAGMA trusted_schema=OFF", "PRAGMA cell_size_check=ON")

# For reading through all of a record: beyond a few pages a cache of our own only holds again what the system holds.
_LEAN_PRAGMAS = ("PRAGMA cache_size=-4000", "PRAGMA temp_store=FILE")

BASELINE_EXTRAS = (
    "CREATE TRIGGER event_never_changes BEFORE UPDATE ON event "
    "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    "CREATE TRIGGER event_never_goes BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    "CREATE VIRTUAL TABLE caption_text USING fts5(text, content='caption', content_rowid='id')",
    "CREATE VIRTUAL TABLE candidate_text USING fts5(text, concept, content='candidate', content_rowid='id')",
)
"""What the tables' classes cannot say: events are append-only; texts can be searched."""


TEXT_PREFIX = "substr(text, 1, 32)"
"""What texts are sorted by first: its index is a third of one of whole texts."""
VERDICT_WORD = "CASE WHEN p IS NULL THEN 'unclear' WHEN p >= 0.5 THEN 'yes' ELSE 'no' END"
"""What a judge answered, in a word. A statement finds the index of these only if it says it to the letter."""


class Mode(StrEnum):
    """What a file is opened for, as SQLite's URIs say it."""

    CREATE = "mode=rwc"
    """Made where it is missing."""
    WRITE = "mode=rw"
    """There already: a record that somebody has moved away must not come back empty."""
    READ = "mode=ro"
    """Beside whoever may be writing. It needs the log and its index beside the file, or a folder to make them in."""
    FROZEN = "mode=ro&immutable=1"
    """The file alone, as it lies there: only where nothing beside it holds anything."""


def create_file_engine(path: Path, mode: Mode = Mode.WRITE, *, lean: bool = False) -> Engine:
    """An engine on the file at `path`, which must exist; `lean`: its connections keep little in memory."""
    # absolute now: the pool opens connections later, and the current folder may be another one by then
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
    """An engine on an empty database without a file, for one thread."""
    return create_engine("sqlite://")


def file_uri(path: Path, mode: Mode) -> str:
    """The file as SQLite's URIs name it, with every special character of the path encoded."""
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
    """`engine` as a writer sees it: it takes the write lock at once, so it never has to give up half way."""
    return engine.execution_options(begin_mode="IMMEDIATE")


def initialise_file(path: Path) -> None:
    """Say in the file's header that it is a negwb database, and that readers and a writer may work at once."""
    with raw_connection(path, Mode.CREATE) as connection:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("PRAGMA journal_mode=WAL")


def is_wal(path: Path, mode: Mode = Mode.WRITE) -> bool:
    """Whether the file is in WAL mode: readers and a writer may work at once.

    Asked of SQLite and never read from the file's header: closing a handle of our own would give up all locks that
    this process has on the file (POSIX), and the next process to leave would take itself for the last one and throw
    away the log that we write into.
    """
    if mode is Mode.FROZEN:  # there SQLite does not look for a log, and nobody has a lock
        with path.open("rb") as file:
            return file.read(20)[18:] == _WAL_HEADER
    with raw_connection(path, mode) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"


def enable_wal(path: Path) -> None:
    """Put the file into WAL mode, as `mark_as_ours` does: a tool that is not ours may have taken it out.

    Raises:
        sqlite3.Error: somebody has it open, or it cannot be written.
    """
    with raw_connection(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def checkpoint_log(path: Path) -> None:
    """Copy into the database what a killed process left in the log, as far as no reader holds it back.

    Then a later loss of the log (by a copy of the database alone) costs nothing that was acknowledged before.

    Raises:
        sqlite3.Error: the database cannot be written.
    """
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        with raw_connection(path) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()  # waits for no reader and no writer


def schema_cookie(connection: Connection) -> int:
    """A number that changes whenever anybody changes the schema; a few microseconds."""
    return int(connection.exec_driver_sql("PRAGMA schema_version").scalar_one())


def file_identity(path: Path) -> tuple[int, int] | None:
    """Which file lies at `path`: another one gives another answer; None: none."""
    try:
        told = os.stat(path)
    except OSError:
        return None
    return told.st_dev, told.st_ino


def log_path(path: Path) -> Path:
    """The write-ahead log of the database at `path`, which lies beside the file itself and not beside a link to it."""
    real = Path(os.path.realpath(path))
    return real.with_name(f"{real.name}-wal")


def read_only_mode(path: Path) -> Mode:
    """How to open the file at `path` where nothing can be written.

    Raises:
        RecordUnwritable: its log holds something, which cannot be read without writing an index of it. The file alone
            would lack the newest decisions.
        sqlite3.Error: it cannot be read at all.
    """
    try:
        application_id(path, Mode.READ)
    except sqlite3.OperationalError as error:
        if primary_code(error) not in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:
            raise
        log = log_path(path)
        if log.exists() and log.stat().st_size:
            raise RecordUnwritable(
                f"{log} holds decisions that cannot be read where nothing can be written", hint=COPY_WORKSPACE_HINT
            ) from error
        return Mode.FROZEN
    return Mode.READ


def application_id(path: Path, mode: Mode = Mode.WRITE) -> int:
    """The mark in the file's header (0: none)."""
    with raw_connection(path, mode) as connection:
        return int(connection.execute("PRAGMA application_id").fetchone()[0])


def schema_revision(path: Path, mode: Mode = Mode.WRITE) -> str:
    """The Alembic revision the file is at; "": it says none."""
    with raw_connection(path, mode) as connection:
        if not connection.execute(_HAS_TABLE, ("alembic_version",)).fetchone():
            return ""
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row and row[0] is not None else ""


def has_tables(path: Path, mode: Mode = Mode.WRITE) -> bool:
    """Whether the file holds any table of a record, of whatever schema."""
    with raw_connection(path, mode) as connection:
        return connection.execute(_HAS_ANY_TABLE).fetchone() is not None


class raw_connection:  # noqa: N801 -- reads as the function it stands for
    """A bare connection for the few things that must not go through the engine; closed at the end."""

    def __init__(self, path: Path, mode: Mode = Mode.WRITE, *, patience: float = BUSY_MS / 1000) -> None:
        self._connection = open_file(path, mode, patience)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def optimise(engine: Engine) -> None:
    """Let the query planner look at what has changed; cheap, and done when a store closes."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA optimize")


def insert_or_ignore_sql(table: str, columns: Sequence[str]) -> str:
    """An INSERT that passes over rows whose key is there already; positional parameters."""
    marks = ", ".join("?" * len(columns))
    quoted = ", ".join(f'"{column}"' for column in columns)
    return f'INSERT INTO "{table}" ({quoted}) VALUES ({marks}) ON CONFLICT DO NOTHING'


def insert_or_ignore(connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> int:
    """Insert `rows`; those whose key is there already are passed over. Returns how many went in."""
    if not rows:
        return 0
    return int(connection.exec_driver_sql(insert_or_ignore_sql(table, columns), rows).rowcount)


IN_IDS: Final = "IN (SELECT value FROM json_each(:ids))"
"""SQL: among the values of the parameter `ids`, a `json_array`. A statement takes at most 32,766 parameters."""


def json_array(values: Iterable[object]) -> str:
    """`values` as one parameter of a statement that reads them with `json_each`."""
    return json.dumps(list(values), separators=(",", ":"))


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """`values` in lists of `size`, the last one shorter."""
    # itertools.batched needs Python 3.12
    rest = iter(values)
    while batch := list(islice(rest, size)):
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
    """The rows of `table` (of one source) whose `column` is among `values`, however many those are, by its index."""
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
    """`words` as a full-text query that finds rows with all of them, the last one as a beginning; none: ''."""
    terms = ['"' + word.replace('"', '""') + '"' for word in words.split()]
    return " ".join(terms) + "*" if terms else ""


def exact_query(words: str) -> str:
    """`words` as a full-text query that finds rows with this phrase; with a * at the end, one that goes on."""
    beginning = words.endswith("*")
    return '"' + words.rstrip("*").replace('"', '""') + '"' + ("*" if beginning else "")


def stream_numbers(connection: Connection, statement: str, values: Mapping[str, object]) -> Iterator[array[int]]:
    """The first column of a query's rows, in blocks: a small one first, so that something can be shown at once.

    Past SQLAlchemy's rows, which cost more than SQLite itself where there are a million of them.
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
    except sqlite3.Error as error:  # as SQLAlchemy would have raised it
        raise DBAPIError(statement, None, error) from error
    finally:
        cursor.close()
