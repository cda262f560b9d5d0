"""Making a workspace: settings file and record, both or neither; what is there already is never touched."""

from __future__ import annotations

from pathlib import Path

from curation_db.atomic_write import replace_file
from workbench.errors import NegwbError, UsageError
from workbench.workspace.guidelines import shipped_guidelines
from workbench.workspace.layout import Workspace
from workbench.workspace.settings_template import settings_template


def create_workspace(folder: Path) -> Workspace:
    """Make `folder` (created where missing; other files in it stay) a workspace.

    Raises:
        UsageError: it is one already, or holds half of one.
        NegwbError: it cannot be written.
    """
    workspace = Workspace(folder.absolute())
    for path in (workspace.settings, workspace.database):
        if path.exists():
            raise UsageError(f"{path} exists", hint="a workspace is never overwritten: take another folder")
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
        _create_record(workspace.database)
        if not workspace.guidelines.exists():
            replace_file(workspace.guidelines, shipped_guidelines())
            workspace.guidelines.chmod(0o644)
        # last: a folder is a workspace from the moment it has this file
        replace_file(workspace.settings, settings_template())
        workspace.settings.chmod(0o644)
    except OSError as error:
        raise NegwbError(f"cannot create a workspace in {folder}: {error.strerror or error}") from error
    return workspace


def _create_record(path: Path) -> None:
    from curation_db.storage.store import create_store  # noqa: PLC0415 -- 0.5 s, only when a record is made

    try:
        create_store(path).close()
    except BaseException:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        raise
