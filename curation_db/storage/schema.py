"""Schema of a record: builds it, and compares the schema of a file with it.

A schema version in a file proves nothing: any program can write it. A foreign trigger can change every decision, and a
missing trigger allows changes to events. A file is therefore compared with the schema that this code builds, object by
object: tables with their columns and constraints, indexes, triggers, views.

The comparison ignores white space, comments, the case and quotes of names, the order of the clauses of a table (a
migration appends columns), and SQLite's internal tables (statistics, the parts of a full-text index).
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, create_mock_engine

from curation_db.storage import sqlite
from curation_db.storage.migrations import HEAD

# The same statement that Alembic uses.
_ALEMBIC_TABLE = """
    CREATE TABLE alembic_version (
        version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
    )
"""
_TOKEN = re.compile(
    r"""
    (?P<skip>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    | (?P<word>[^\W\d][\w$]*)
    | (?P<other>\d[\w.]*|<>|[<>=!]=|\|\||<<|>>|->>?|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(r"[^\W\d][\w$]*")
_SQLITE_TABLES = frozenset({"sqlite_sequence", "sqlite_stat1", "sqlite_stat2", "sqlite_stat3", "sqlite_stat4"})
_FTS5_SUFFIXES = ("data", "idx", "content", "docsize", "config")
_MAX_CLAUSE_CHARS = 90
_MAX_DEVIATIONS = 3
DIGESTS: Mapping[str, str] = {
    "0004": "cd2fdea38a9cb8c655797390c62f145056485721e7cb688ec0f344f959369834",
    "0005": "204879ca945ba21e4ecb2af3bd5f022115ff43f9af9b4b04253544e0ea1168ad",
    "0006": "4209ccc4165d054db393604836726a2e94dd97abd4906282e60e750cef57b7eb",
    "0007": "4209ccc4165d054db393604836726a2e94dd97abd4906282e60e750cef57b7eb",
}
"""Digest of each schema version. With it, the schema (and its imports) is built only for a file that differs. A test
compares the digests with the built schemas."""


@dataclass(frozen=True, slots=True)
class Definition:
    """Object of a schema, in the normal form for comparison."""

    kind: str
    """table, index, trigger or view."""
    name: str
    table: str
    """Table that the object belongs to."""
    head: str
    """Text before the clauses; of an object other than a table the whole definition."""
    clauses: tuple[str, ...] = ()
    """Columns and constraints of a table, sorted."""
    tail: str = ""
    """Text after the clauses."""


Schema = Mapping[tuple[bool, str], Definition]
"""Definitions by (is a trigger, name): triggers have a name space of their own."""


def build(connection: Connection) -> None:
    """Create every table, index and trigger of the newest schema in an empty database."""
    for statement in (*_tables_and_indexes(), *sqlite.BASELINE_EXTRAS, _ALEMBIC_TABLE):
        connection.exec_driver_sql(statement)


@cache
def _tables_and_indexes() -> tuple[str, ...]:
    """Return the statements that create the tables and indexes of the models; to compile them takes 15 ms."""
    from curation_db.storage.models import metadata  # noqa: PLC0415 -- 0.4 s that only a new record needs

    statements: list[str] = []
    engine: Any = create_mock_engine(
        "sqlite://", lambda ddl, *_, **__: statements.append(str(ddl.compile(dialect=engine.dialect)))
    )
    metadata.create_all(engine, checkfirst=False)
    return tuple(statements)


def deviations(connection: sqlite3.Connection, revision: str) -> list[str]:
    """Return the deviations of the file's schema from the one that this code builds for `revision`, one line each.

    Args:
        connection: to the file.
        revision: a known revision; "" is a database without tables.
    """
    actual = schema_of(connection)
    if revision in DIGESTS and digest(actual) == DIGESTS[revision]:
        return []
    return list(_compare(actual, expected(revision)))


def digest(schema: Schema) -> str:
    """Return a hash of the schema; equal schemas have equal hashes."""
    lines = sorted(
        "\0".join((each.kind, each.name, each.table, each.head, *each.clauses, each.tail)) for each in schema.values()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def summary(deviations: Sequence[str]) -> str:
    """Return the first deviations and the number of the others in one line."""
    more = f" and {len(deviations) - _MAX_DEVIATIONS:,} more deviations" if len(deviations) > _MAX_DEVIATIONS else ""
    return "; ".join(deviations[:_MAX_DEVIATIONS]) + more


def schema_of(connection: sqlite3.Connection) -> Schema:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    indexes = {name for kind, name, _, sql in rows if kind == "table" and _is_fts5(sql)}
    parts = {f"{name}_{part}" for name in indexes for part in _FTS5_SUFFIXES}
    definitions = [
        _definition(str(kind), str(name), str(table), str(sql or ""))
        for kind, name, table, sql in rows
        if not _is_internal(kind, name, sql) and not (kind == "table" and name in parts)
    ]
    return {(each.kind == "trigger", each.name): each for each in definitions}


def _is_internal(kind: str, name: str, sql: str | None) -> bool:
    if kind == "table":
        return name in _SQLITE_TABLES
    return kind == "index" and sql is None and name.startswith("sqlite_autoindex_")


def _is_fts5(sql: str | None) -> bool:
    words = _tokens(sql or "")
    return words[:3] == ["create", "virtual", "table"] and words[4:6] == ["using", "fts5"]


def _definition(kind: str, name: str, table: str, sql: str) -> Definition:
    tokens = _tokens(sql)
    if kind != "table" or tokens[:2] != ["create", "table"]:
        return Definition(kind, name, table, " ".join(tokens))
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        outer = (token == "(" and depth == 1) or (token == ")" and depth == 0)
        if outer or (token == "," and depth == 1):
            parts.append([])
        else:
            parts[-1].append(token)
    head, *clauses, tail = [" ".join(part) for part in parts] if len(parts) > 1 else [" ".join(parts[0]), ""]
    return Definition(kind, name, table, head, tuple(sorted(clauses)), tail)


def _tokens(sql: str) -> list[str]:
    return [_normalise(match) for match in _TOKEN.finditer(sql) if match.lastgroup != "skip"]


def _normalise(match: re.Match[str]) -> str:
    token = match[0]
    if match.lastgroup == "word":
        return token.lower()
    if match.lastgroup != "quoted":
        return token
    name = token[1:-1]
    return name.lower() if _PLAIN.fullmatch(name) else f'"{name}"'


@cache
def expected(revision: str) -> Schema:
    """Return the schema that this code builds: the newest from the table classes, an older one by its migrations."""
    engine = sqlite.in_memory_engine()
    try:
        with engine.begin() as connection:
            if revision == HEAD:
                build(connection)
            elif revision:
                # deferred: Alembic costs 0.4 s, needed only for an older file
                from curation_db.storage.migrations.upgrade import run_scripts  # noqa: PLC0415

                run_scripts(connection, revision)
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            return schema_of(driver)
    finally:
        engine.dispose()


def _compare(actual: Schema, expected: Schema) -> Iterator[str]:
    for key, wanted in expected.items():
        present = actual.get(key)
        if present is None:
            yield f"{wanted.kind} {wanted.name} is missing"
        elif present.kind != wanted.kind:
            yield f"{wanted.name} is a {present.kind} instead of a {wanted.kind}"
        elif present != wanted:
            yield f"{wanted.kind} {wanted.name} differs{_first_difference(present, wanted)}"
    for key, present in actual.items():
        if key not in expected:
            yield f"{present.kind} {present.name}{_table_suffix(present)} is foreign"


def _first_difference(present: Definition, wanted: Definition) -> str:
    """Return the first clause that only one of the two definitions has."""
    for clause in wanted.clauses:
        if clause not in present.clauses:
            return f": it lacks {_shortened(clause)}"
    for clause in present.clauses:
        if clause not in wanted.clauses:
            return f": it has {_shortened(clause)}"
    return ""


def _shortened(clause: str) -> str:
    return clause if len(clause) <= _MAX_CLAUSE_CHARS else f"{clause[: _MAX_CLAUSE_CHARS - 1]}…"


def _table_suffix(present: Definition) -> str:
    return f" on {present.table}" if present.kind in {"trigger", "index"} else ""
