"""Fixtures for small workspaces, and for sessions, writers and apps on them; all are closed after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.workspaces import Case, WorkspaceFixture, build

from curation_db.events.annotators import begin_session
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import Store, open_store
from workbench.annotation import open as session_factory
from workbench.annotation.models import SessionSettings
from workbench.annotation.session import AnnotationSession
from workbench.tui.app import NegwbApp
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.settings import Settings

SETTINGS = Settings(pictures={"small": ("pictures",)})
Make = Callable[..., WorkspaceFixture]


@pytest.fixture
def make_workspace(tmp_path: Path) -> Iterator[Make]:
    """Return a function that builds a workspace; close the workspaces afterwards."""
    workspaces: list[WorkspaceFixture] = []

    def make(count: int = 5, *, cases: list[Case] | None = None, **options: Any) -> WorkspaceFixture:
        cases = cases or [
            Case(text=f"a woman not wearing hat number {n}", concept=f"hat number {n}") for n in range(count)
        ]
        workspaces.append(build(tmp_path / f"workspace{len(workspaces)}", cases, **options))
        return workspaces[-1]

    yield make
    for workspace in workspaces:
        workspace.store.close()


@pytest.fixture
def open_session(make_workspace: Make) -> Iterator[Callable[..., AnnotationSession]]:
    """Return a function that opens and starts a session on a workspace."""
    sessions: list[AnnotationSession] = []

    def open_one(
        workspace: WorkspaceFixture, name: str = "ana", *, prefetch: bool = True, **settings: Any
    ) -> AnnotationSession:
        explicit = {key: settings.pop(key) for key in ("clock", "wall_clock", "role") if key in settings}
        serving = SessionSettings(**{"ordering": "oldest", "audit_share": 0.0, "guard_seconds": 0.0, **settings})
        sessions.append(
            session_factory.open_session(
                Workspace(workspace.root),
                name,
                settings=SETTINGS,
                serving=serving,
                box=(200, 200),
                version="test",
                **explicit,
            )
        )
        sessions[-1].start(prefetch=prefetch)
        return sessions[-1]

    yield open_one
    for session in sessions:
        session.close()


@pytest.fixture
def join(make_workspace: Make) -> Iterator[Callable[[WorkspaceFixture, str], DecisionWriter]]:
    """Return a function that opens a `DecisionWriter` of an annotator, without an annotation session."""
    stores: list[Store] = []

    def join(workspace: WorkspaceFixture, name: str) -> DecisionWriter:
        stores.append(open_store(workspace.root / "curation.db"))
        return DecisionWriter(stores[-1], begin_session(stores[-1], name, version="test"))

    yield join
    for store in stores:
        store.close()


@pytest.fixture
def open_app(open_session: Callable[..., AnnotationSession]) -> Callable[..., NegwbApp]:
    """Return a function that builds an app with its own session."""

    def make(
        workspace: WorkspaceFixture, name: str = "ana", *, app: dict[str, Any] | None = None, **settings: Any
    ) -> NegwbApp:
        return NegwbApp(open_session(workspace, name, **settings), **(app or {}))

    return make
