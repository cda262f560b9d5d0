"""Bring an older record up to date: backup first, then Alembic, in one transaction a revision."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from curation_db import backup, dialect
from curation_db.migrations import HEAD


def upgrade(path: Path, revision: str, *, to: str = HEAD) -> Path:
    """Migrate the record at `path` from `revision`; returns the backup that was made first.

    Raises:
        RecordError: no backup could be made; nothing was changed.
    """
    made = backup.back_up(path, before=f"schema-{to}-from-{revision or 'none'}").path
    engine = dialect.connect(path)
    try:
        # IMMEDIATE: another process that opens the file meanwhile waits until the schema is whole
        with dialect.writing(engine).begin() as connection:
            config = Config()
            # the name of the package: a path would be interpolated, and a % in it would be refused
            config.set_main_option("script_location", "curation_db:migrations")
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    finally:
        engine.dispose()
    return made
