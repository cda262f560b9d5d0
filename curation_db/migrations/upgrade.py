"""Bring an older record up to date: backup first, then Alembic, in one transaction a revision."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config

from curation_db import dialect
from curation_db.migrations import HEAD


def backup_path(path: Path, revision: str) -> Path:
    """Where the copy made before a migration goes: beside the record, named by its schema."""
    stem = f"{path.name}.schema-{revision or 'none'}"
    free = (path.with_name(f"{stem}{f'-{n}' if n else ''}.bak") for n in range(10_000))
    return next(candidate for candidate in free if not candidate.exists())


def upgrade(path: Path, revision: str, *, to: str = HEAD) -> Path:
    """Migrate the record at `path` from `revision`; returns the backup that was made first."""
    backup = backup_path(path, revision)
    try:
        dialect.copy_database(path, backup)
    except sqlite3.Error as error:
        raise dialect.translate(error, path) from error
    engine = dialect.connect(path)
    try:
        # IMMEDIATE: another process that opens the file meanwhile waits until the schema is whole
        with dialect.writing(engine).begin() as connection:
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent))
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    finally:
        engine.dispose()
    return backup
