"""Everything that can be wrong with a workspace, asked in turn: its files, its record, its pictures, this machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from curation_db.errors import RecordError
from curation_db.image_paths import FOLLOW_LINKS_HINT
from curation_db.integrity import checks
from curation_db.integrity.checks import CheckResult, Level, StepProgress
from curation_db.search import overview
from curation_db.storage import store
from curation_db.storage.database_file import reading_mode
from curation_db.storage.migrations import HEAD
from workbench.diagnostics import environment
from workbench.errors import ExitCode, UsageError
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings import Settings, read_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from workbench.workspace.layout import Workspace

RECORD = "record"
"""The group whose errors mean that the database is unsound."""
SAMPLE = 500
_EXAMPLES = 20


def examine(
    workspace: Workspace,
    *,
    all_pictures: bool = False,
    progress: StepProgress | None = None,
    check_settings: Callable[[Settings], None] = lambda settings: None,
) -> Iterator[tuple[str, CheckResult]]:
    """What is found in the workspace, each with its group (workspace, record, pictures), as it is found.

    `check_settings` raises UsageError for settings that only a screen can check.
    """
    settings, told = _settings(workspace, check_settings)
    yield from (("workspace", each) for each in (told, _writable(workspace)))
    sound = True
    for finding in checks.check_record(workspace.database, progress=progress):
        sound = sound and not (finding.name == "database" and finding.level is Level.ERROR)
        yield RECORD, finding
    if settings is not None and sound:
        yield from (("pictures", each) for each in pictures(workspace, settings, every=all_pictures, progress=progress))


def around(workspace: Workspace) -> Iterator[tuple[str, CheckResult]]:
    """What the workspace stands on. Asks the terminal what it can draw, so nothing else may write to it meanwhile."""
    settings, _ = _settings(workspace)
    made: tuple[Callable[[], CheckResult], ...] = (
        lambda: environment.disk(workspace.database),
        lambda: environment.mount(workspace.database),
        lambda: environment.graphics(settings.curate.images if settings else "auto"),
        environment.gpu,
    )
    yield from (("machine", look()) for look in made)
    yield from (("versions", each) for each in environment.versions())


def exit_code(findings: list[tuple[str, CheckResult]]) -> ExitCode:
    """0: nothing is wrong; 3: the database is unsound; 1: something else is wrong."""
    wrong = {group for group, finding in findings if finding.level is Level.ERROR}
    if RECORD in wrong:
        return ExitCode.DATABASE
    return ExitCode.UNEXPECTED if wrong else ExitCode.OK


def _settings(
    workspace: Workspace, check: Callable[[Settings], None] = lambda settings: None
) -> tuple[Settings | None, CheckResult]:
    try:
        settings = read_settings(workspace.settings)
        check(settings)
    except UsageError as error:
        return None, CheckResult("settings", Level.ERROR, error.message, error.hint)
    return settings, CheckResult("settings", Level.OK, f"{workspace.settings} is as it must be")


def _writable(workspace: Workspace) -> CheckResult:
    barred = [path for path in (workspace.root, workspace.database) if path.exists() and not os.access(path, os.W_OK)]
    if barred:
        hint = "it can be looked at; to decide, copy the whole workspace to where you may write"
        return CheckResult("folder", Level.WARNING, f"{barred[0]} cannot be written", hint)
    return CheckResult("folder", Level.OK, f"{workspace.root} can be written")


def pictures(
    workspace: Workspace, settings: Settings, *, every: bool = False, progress: StepProgress | None = None
) -> Iterator[CheckResult]:
    """Whether the pictures' folders, and the files in them, are there; a sample of the files unless `every`."""
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    try:
        mode = reading_mode(workspace.database)
        if store.checked_revision(workspace.database, mode) != HEAD:
            yield CheckResult(
                "files", Level.WARNING, "not looked at: the record is from an older negwb", checks.UPGRADE_HINT
            )
            return
        with store.Store(workspace.database, mode) as opened, opened.read() as connection:
            yield from _folders(connection, folders)
            yield _files(connection, folders, every=every, progress=progress)
    except (RecordError, sqlite3.Error) as error:
        yield CheckResult("files", Level.WARNING, f"the record does not tell which pictures there are: {error}")


def _folders(connection: Connection, folders: PictureFolders) -> Iterator[CheckResult]:
    for name in overview.source_names(connection):
        known = folders.folders(name)
        gone = [path for path in known if not os.path.isdir(path)]
        hint = f"negwb import FILE --source {name} --pictures FOLDER, or [pictures] in negwb.toml"
        if not known:
            yield CheckResult("folders", Level.WARNING, f"no picture folder is known for {name}", hint)
        elif gone:
            yield CheckResult(
                "folders", Level.WARNING, f"the pictures of {name} are not in {gone[0]}: no such folder", hint
            )
        else:
            yield CheckResult("folders", Level.OK, f"{name}: {', '.join(map(str, known))}")


def _files(
    connection: Connection, folders: PictureFolders, *, every: bool, progress: StepProgress | None
) -> CheckResult:
    total = overview.image_count(connection)
    if not total:
        return CheckResult("files", Level.OK, "nothing is imported yet")
    step = 1 if every else max(1, total // SAMPLE)
    missing: list[str] = []
    looked = links = 0
    for image in overview.image_files(connection, step=step):
        looked += 1
        if folders.locate(image.source, image.file_name) is None:
            missing.append(f"{image.source}/{image.file_name or image.key}")
            links += folders.escapes_by_link(image.source, image.file_name)
        if progress is not None and looked % 1_000 == 0:
            progress("looking for pictures", looked, total // step)
    of = f"{looked:,} pictures" if step == 1 else f"a sample of {looked:,} pictures ({total:,} in all)"
    if missing:
        hint = "the cards say so, and can be decided all the same" + ("" if every else "; all of them: --pictures")
        if links:
            hint = f"{links:,} are links that leave the picture folder; {FOLLOW_LINKS_HINT}"
        named = ", ".join(missing[:_EXAMPLES] if every else missing[:1])
        return CheckResult("files", Level.WARNING, f"{len(missing):,} missing of {of}: {named}", hint)
    return CheckResult("files", Level.OK, f"{of}: all there")
