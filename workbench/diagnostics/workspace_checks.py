"""The checks of `negwb doctor`: files of the workspace, the record, the images, this machine."""

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
from workbench.workspace.settings.settings import Settings, read_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from workbench.workspace.layout import Workspace

RECORD = "record"
"""The group whose errors mean that the database is damaged or inconsistent."""
SAMPLE = 500
_EXAMPLES = 20


def examine(
    workspace: Workspace,
    *,
    all_pictures: bool = False,
    progress: StepProgress | None = None,
    check_settings: Callable[[Settings], None] = lambda settings: None,
) -> Iterator[tuple[str, CheckResult]]:
    """Check the workspace; yield each finding with its group: workspace, record or pictures.

    Args:
        all_pictures: Look for all image files instead of a sample.
        check_settings: Raises UsageError for settings that only a screen can check.
    """
    settings, finding = _settings(workspace, check_settings)
    yield from (("workspace", each) for each in (finding, _writable(workspace)))
    sound = True
    for finding in checks.check_record(workspace.database, progress=progress):
        sound = sound and not (finding.name == "database" and finding.level is Level.ERROR)
        yield RECORD, finding
    if settings is not None and sound:
        yield from (("pictures", each) for each in pictures(workspace, settings, every=all_pictures, progress=progress))


def around(workspace: Workspace) -> Iterator[tuple[str, CheckResult]]:
    """Check the machine. Queries the terminal, so nothing else may write to it meanwhile."""
    settings, _ = _settings(workspace)
    machine_checks: tuple[Callable[[], CheckResult], ...] = (
        lambda: environment.disk(workspace.database),
        lambda: environment.mount(workspace.database),
        lambda: environment.graphics(settings.curate.images if settings else "auto"),
        environment.gpu,
    )
    yield from (("machine", check()) for check in machine_checks)
    yield from (("versions", each) for each in environment.versions())


def exit_code(findings: list[tuple[str, CheckResult]]) -> ExitCode:
    """Return 0 without an error, 3 for errors of the record, 1 for other errors."""
    failed = {group for group, finding in findings if finding.level is Level.ERROR}
    if RECORD in failed:
        return ExitCode.DATABASE
    return ExitCode.UNEXPECTED if failed else ExitCode.OK


def _settings(
    workspace: Workspace, check: Callable[[Settings], None] = lambda settings: None
) -> tuple[Settings | None, CheckResult]:
    try:
        settings = read_settings(workspace.settings)
        check(settings)
    except UsageError as error:
        return None, CheckResult("settings", Level.ERROR, error.message, error.hint)
    return settings, CheckResult("settings", Level.OK, f"{workspace.settings} is valid")


def _writable(workspace: Workspace) -> CheckResult:
    read_only = [
        path for path in (workspace.root, workspace.database) if path.exists() and not os.access(path, os.W_OK)
    ]
    if read_only:
        hint = "you can browse; to decide, copy the whole workspace to a folder that you may write to"
        return CheckResult("folder", Level.WARNING, f"{read_only[0]} cannot be written", hint)
    return CheckResult("folder", Level.OK, f"{workspace.root} can be written")


def pictures(
    workspace: Workspace, settings: Settings, *, every: bool = False, progress: StepProgress | None = None
) -> Iterator[CheckResult]:
    """Check the image folders and the files in them; a sample of the files unless `every`."""
    folders = PictureFolders(workspace.root, settings.pictures, follow_links=settings.follow_links)
    try:
        mode = reading_mode(workspace.database)
        if store.checked_revision(workspace.database, mode) != HEAD:
            yield CheckResult(
                "files", Level.WARNING, "not checked: the record is from an older negwb", checks.UPGRADE_HINT
            )
            return
        with store.Store(workspace.database, mode) as opened, opened.read() as connection:
            yield from _folders(connection, folders)
            yield _files(connection, folders, every=every, progress=progress)
    except (RecordError, sqlite3.Error) as error:
        yield CheckResult("files", Level.WARNING, f"cannot read the list of images: {error}")


def _folders(connection: Connection, folders: PictureFolders) -> Iterator[CheckResult]:
    for name in overview.source_names(connection):
        paths = folders.folders(name)
        gone = [path for path in paths if not os.path.isdir(path)]
        hint = f"negwb import FILE --source {name} --pictures FOLDER, or [pictures] in negwb.toml"
        if not paths:
            yield CheckResult("folders", Level.WARNING, f"no image folder is known for {name}", hint)
        elif gone:
            yield CheckResult("folders", Level.WARNING, f"the image folder {gone[0]} of {name} does not exist", hint)
        else:
            yield CheckResult("folders", Level.OK, f"{name}: {', '.join(map(str, paths))}")


def _files(
    connection: Connection, folders: PictureFolders, *, every: bool, progress: StepProgress | None
) -> CheckResult:
    total = overview.image_count(connection)
    if not total:
        return CheckResult("files", Level.OK, "no images are imported yet")
    step = 1 if every else max(1, total // SAMPLE)
    missing: list[str] = []
    checked = links = 0
    for image in overview.image_files(connection, step=step):
        checked += 1
        if folders.locate(image.source, image.file_name) is None:
            missing.append(f"{image.source}/{image.file_name or image.key}")
            links += folders.escapes_by_link(image.source, image.file_name)
        if progress is not None and checked % 1_000 == 0:
            progress("looking for images", checked, total // step)
    of = f"{checked:,} images" if step == 1 else f"a sample of {checked:,} images ({total:,} in all)"
    if missing:
        hint = "their cards show that, and can be decided" + ("" if every else "; to check all images: --pictures")
        if links:
            hint = f"{links:,} are links that leave the image folder; {FOLLOW_LINKS_HINT}"
        names = ", ".join(missing[:_EXAMPLES] if every else missing[:1])
        return CheckResult("files", Level.WARNING, f"{len(missing):,} missing of {of}: {names}", hint)
    return CheckResult("files", Level.OK, f"{of}: all there")
