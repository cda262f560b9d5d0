"""A read-only session: every card once, forward and back, and not a byte is written."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.curating import current_id, lines, running, until, wait_for, wait_for_end
from support.workspaces import WorkspaceFixture, settled

from curation_db.enums import Kind, Stream
from curation_db.errors import RecordUnwritable
from workbench.annotation.models import SessionSettings
from workbench.annotation.open import open_session
from workbench.annotation.session import AnnotationSession
from workbench.tui.app import NegwbApp
from workbench.tui.screens.browse import BrowseScreen
from workbench.workspace.keymap import ActionMap, KeyScope, results_actions
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.settings import Settings


def read_only(workspace: WorkspaceFixture, **settings: Any) -> AnnotationSession:
    serving = SessionSettings(**{"ordering": "oldest", "audit_share": 0.0, "guard_seconds": 0.0, **settings})
    known = Settings(pictures={"small": ("pictures",)})
    session = open_session(
        Workspace(workspace.root), "zoe", readonly=True, settings=known, serving=serving, box=(200, 200)
    )
    session.start()
    return session


def content(root: Path) -> list[str]:
    connection = sqlite3.connect(root / "curation.db")
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_the_cards_come_once_each_forward_and_back_and_nothing_is_written(
    make_workspace: Any, open_session: Any
) -> None:
    workspace = make_workspace(5)
    other = open_session(workspace, depth=1)
    assert current_id(other) == 1, "another annotator holds a lease on it"
    wait_for(lambda: other.prepared == 1)
    before = content(workspace.root)
    with read_only(workspace) as session:
        seen = []
        for _ in range(5):
            seen.append(current_id(session))
            assert session.look_forward()
        assert seen == [1, 2, 3, 4, 5]
        wait_for_end(session)
        assert not session.look_forward()
        assert session.look_back()
        assert current_id(session) == 5
        assert session.look_back()
        assert session.look_forward()
        session.open(2)
        assert current_id(session) == 2
        assert session.look_back()
        assert current_id(session) == 5
        assert len(session.find("woman")) <= 5
        for write in (
            lambda: session.submit(Kind.ACCEPT),
            lambda: session.edit("another text"),
            lambda: session.note("a note"),
            session.toggle_flag,
        ):
            with pytest.raises(RecordUnwritable):
                write()
        assert session.undo() is None
        assert session.current is not None
    assert content(workspace.root) == before


def test_only_one_stream_and_no_decided_cards(make_workspace: Any, open_session: Any) -> None:
    workspace = make_workspace(4, audit_rate=1.0)
    with read_only(workspace, only=Stream.REVIEW) as session:
        wait_for_end(session)
    other = open_session(workspace, audit_share=1.0)
    first = current_id(other)
    other.submit(Kind.ACCEPT)
    with read_only(workspace, ordering="conflict") as session:
        shown = set[int]()
        for _ in range(3):
            shown.add(current_id(session))
            assert session.current is not None
            assert session.current.hidden
            session.look_forward()
        wait_for_end(session)
        assert shown == set(workspace.ids) - {first}


async def test_deciding_keys_are_grey_and_show_why(make_workspace: Any) -> None:
    workspace = make_workspace(3)
    before = content(workspace.root)
    with read_only(workspace) as session:
        app = NegwbApp(session, actions=ActionMap(read_only=True), workspace=Workspace(workspace.root))
        async with running(app) as pilot:
            await settled(pilot)
            assert "read-only" in lines(app).splitlines()[0]
            for key, label in (("a", "accept"), ("x", "reject"), ("e", "edit"), ("z", "undo"), ("n", "note")):
                await pilot.press(key)
                await until(pilot, lambda label=label: f"{label}: nothing is written with --readonly" in lines(app))
            await pilot.press("]")
            await until(pilot, lambda: "hat number 1" in lines(app))
            await pilot.press("b")
            await until(pilot, lambda: isinstance(app.screen, BrowseScreen) and "hat number 2" in lines(app))
            assert "zoe · read-only" in lines(app).splitlines()[0]
            await pilot.press("A")
            await until(pilot, lambda: "accept all: nothing is written with --readonly" in lines(app))
    assert content(workspace.root) == before


def test_every_action_that_writes_is_refused() -> None:
    """The actions of a read-only app that are not refused; add an action that only reads, never one that writes."""
    actions = ActionMap(read_only=True)
    refused = {action.id for action in actions.all_actions if action.refused}
    assert {"accept", "reject", "skip", "undo", "flag", "browse-accept", "browse-undo", "keep-theme"} < refused
    assert {action.id for action in actions.at(KeyScope.ADJUDICATE) if action.id.startswith("settle")} - refused == {
        "settle-next",
        "settle-zoom",
    }
    assert not {"back", "forward", "find", "zoom", "browse-open", "quit", "help"} & refused
    results = {action.id for action in results_actions(read_only=True).all_actions if action.refused}
    assert results == {"generate", "generate-stop", "generate-go-on", "train", "stop", "resume"}
    assert not any(action.refused for action in ActionMap().all_actions)
