"""Opens an annotation session: the record, the prefetch buffer, the background threads, the images and the settings.

The Textual app, the plain mode, the benches and the tests all start here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from curation_db.enums import Role, Stream
from curation_db.events.annotators import begin_session
from curation_db.queue.margins import COMPUTE, NO_MARGINS, margin_source
from curation_db.queue.ordering import Policy
from curation_db.search import queries
from curation_db.storage.store import open_store, open_without_writing
from workbench import version as installed_version
from workbench.annotation.models import ImageLoader, SessionSettings
from workbench.annotation.read_only import ReadOnlySession, reader
from workbench.annotation.session import AnnotationSession
from workbench.errors import NothingToDo
from workbench.images.decode import ThumbnailCache
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.settings import read_settings

if TYPE_CHECKING:
    from curation_db.queue.leases import Clock
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings.settings import Settings

BOX = (1024, 1024)
"""Pixels that an image is decoded to at most: enough for a large terminal without its own pixel size."""


def open_session(
    workspace: Workspace,
    annotator: str,
    *,
    role: Role | None = None,
    readonly: bool = False,
    settings: Settings | None = None,
    serving: SessionSettings | None = None,
    box: tuple[int, int] = BOX,
    version: str | None = None,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Clock = time.time,
) -> AnnotationSession:
    """Open a session of `annotator`; the caller starts and closes it, or uses it as a context manager.

    Args:
        workspace: Has the record and names the image folders.
        role: The annotator's role from now on; None: as before.
        readonly: Write nothing: no decision, no lease, no session.
        box: Pixels that an image is decoded to at most.
        version: The version of negwb that is stored with the session; the installed one unless given.
        clock: Measures dwell times in seconds; it may stop while the machine is suspended.
        wall_clock: The clock of the leases, in seconds.

    Raises:
        NothingToDo: The record has no candidate, or no margins for the order that needs them.
        RetiredAnnotator: The name is retired.
        UsageError: negwb.toml has a wrong setting.
        RecordError: The record cannot be opened.
    """
    known = settings if settings is not None else read_settings(workspace.settings)
    folders = PictureFolders(workspace.root, known.pictures, follow_links=known.follow_links)
    store = open_without_writing(workspace.database) if readonly else open_store(workspace.database)
    try:
        with store.read() as connection:
            if not queries.has_candidates(connection):
                raise NothingToDo("the record has no candidates", hint="import captions with: negwb import")
            settings_of_session = serving or session_settings(known)
            if Policy.parse(settings_of_session.ordering).mistaken and margin_source(connection) is None:
                raise NothingToDo(NO_MARGINS, hint=f"compute them: {COMPUTE}")
        kind: type[AnnotationSession] = AnnotationSession
        if readonly:
            kind, actor = ReadOnlySession, reader(store, annotator)
        else:
            actor = begin_session(store, annotator, version=version or installed_version(), role=role)
        return kind(
            store,
            actor,
            ImageLoader(folders.locate, ThumbnailCache(box).get, folders.folders),
            settings_of_session,
            clock=clock,
            wall_clock=wall_clock,
            owns_store=True,
        )
    except BaseException:
        store.close()
        raise


def session_settings(
    settings: Settings,
    *,
    order: str | None = None,
    only: Stream | None = None,
    blind: bool | None = None,
    reveal: bool = False,
    goal: int | None = None,
    guard_seconds: float | None = None,
) -> SessionSettings:
    """Return the settings of a session; an argument that is not None replaces the setting."""
    curate = settings.curate
    serving = SessionSettings(
        ordering=order or curate.order,
        audit_share=curate.audit_share,
        gold_share=curate.gold_share,
        probe_share=curate.probe,
        only=only,
        blind=curate.blind if blind is None else blind,
        reveal=reveal,
        goal=curate.goal if goal is None else goal,
        checks=settings.checks,
    )
    return serving if guard_seconds is None else replace(serving, guard_seconds=guard_seconds)
