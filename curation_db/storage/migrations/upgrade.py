"""Migration of an older record: a backup first, then Alembic, in one transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from curation_db.storage import backup, sqlite
from curation_db.storage.migrations import HEAD

SCRIPTS = ":".join(__name__.rsplit(".", 2)[:2])
"""Package with `env.py` and the folder `versions`, in Alembic's notation. Tests replace it."""


def upgrade(path: Path, revision: str, *, to: str = HEAD) -> Path:
    """Back up and migrate the record at `path` from `revision`; return the path of the backup.

    A failed migration leaves its backup. A retry uses that backup again if it is good and equal to the record.

    Raises:
        RecordError: the backup failed; nothing was changed.
    """
    before = f"schema-{to}-from-{revision or 'none'}"
    copy = backup.find_reusable(path, before) or backup.back_up(path, before=before)
    migrate(path, to=to)
    return copy.path


def migrate(path: Path, *, to: str = HEAD) -> None:
    """Migrate the database at `path` without a backup."""
    engine = sqlite.create_file_engine(path)
    try:
        # IMMEDIATE: another process that opens the file meanwhile waits for the complete schema
        with sqlite.write_engine(engine).begin() as connection:
            run_scripts(connection, to)
    finally:
        engine.dispose()


def run_scripts(connection: Connection, to: str) -> None:
    """Run the migrations up to revision `to` on an open connection, inside its transaction."""
    config = Config()
    # A package name, not a path: Alembic interpolates the value, and a % in a path would be an error.
    config.set_main_option("script_location", SCRIPTS)
    config.attributes["connection"] = connection
    command.upgrade(config, to)
