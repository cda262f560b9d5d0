"""Bring an older record up to date: backup first, then Alembic, in one transaction a revision."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from curation_db.storage import backup, sqlite
from curation_db.storage.migrations import HEAD

SCRIPTS = ":".join(__name__.rsplit(".", 2)[:2])
"""The package with `env.py` and the folder `versions`, as Alembic names it. Tests put another one in its place."""


def upgrade(path: Path, revision: str, *, to: str = HEAD) -> Path:
    """Migrate the record at `path` from `revision`; returns the backup that was made first.

    A migration that failed has left its backup; a retry uses that one where it is good and nothing was written since.

    Raises:
        RecordError: no backup could be made; nothing was changed.
    """
    before = f"schema-{to}-from-{revision or 'none'}"
    kept = backup.find_reusable(path, before) or backup.back_up(path, before=before)
    migrate(path, to=to)
    return kept.path


def migrate(path: Path, *, to: str = HEAD) -> None:
    """Migrate the database at `path`, of which there is a copy already."""
    engine = sqlite.create_file_engine(path)
    try:
        # IMMEDIATE: another process that opens the file meanwhile waits until the schema is whole
        with sqlite.write_engine(engine).begin() as connection:
            run_scripts(connection, to)
    finally:
        engine.dispose()


def run_scripts(connection: Connection, to: str) -> None:
    """Run the migrations up to a revision on an open connection, inside its transaction."""
    config = Config()
    # the name of the package: a path would be interpolated, and a % in it would be refused
    config.set_main_option("script_location", SCRIPTS)
    config.attributes["connection"] = connection
    command.upgrade(config, to)
