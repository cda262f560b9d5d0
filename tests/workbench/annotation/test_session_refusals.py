"""A refused decision, and changes by others meanwhile, keep the session as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from support.curating import current_id, wait_for_card

from curation_db.enums import Kind
from curation_db.errors import RecordBusy, RecordError
from curation_db.queue.claims import Queue
from workbench.annotation.session import AnnotationSession

SessionOpener = Callable[..., AnnotationSession]


def test_a_locked_record_refuses_a_decision_and_the_card_stays(
    make_workspace: Any, open_session: SessionOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation_db.storage.sqlite._PRAGMAS", ("PRAGMA busy_timeout=50", "PRAGMA foreign_keys=ON"))
    workspace = make_workspace(5)
    session = open_session(workspace)
    assert current_id(session) == 1
    other = sqlite3.connect(workspace.root / "curation.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RecordError, match="another process"):
            session.submit(Kind.ACCEPT)
        with pytest.raises(RecordError):
            session.undo()
        assert current_id(session) == 1
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert workspace.events() == []
    for number in (1, 2, 3, 4, 5):
        assert current_id(session) == number
        session.submit(Kind.ACCEPT)
    assert session.problem is None


def test_a_busy_record_after_a_stored_decision_raises_no_error(
    make_workspace: Any, open_session: SessionOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(make_workspace(3))
    wait_for_card(session)
    session.submit(Kind.ACCEPT)
    wait_for_card(session)
    session.undo()

    def busy(*_: Any) -> None:
        raise RecordBusy("held by another process")

    monkeypatch.setattr(Queue, "release", busy)
    assert session.redo() is Kind.ACCEPT
    assert current_id(session) == 2
    session.open(3)
    assert session.look_forward()
    assert current_id(session) == 2


def test_a_card_that_another_annotator_edited_is_left_for_the_next_one(
    make_workspace: Any, open_session: SessionOpener, join: Any
) -> None:
    workspace = make_workspace(3)
    session = open_session(workspace)
    wait_for_card(session)
    assert not session.leave_replaced()
    assert current_id(session) == 1
    join(workspace, "ben").edit(1, "a woman in a field, no hat")
    assert session.leave_replaced()
    assert current_id(session) == 2
    assert workspace.rows("SELECT 1 FROM lease WHERE candidate_id = 1") == []
    assert [kind for _, kind, _ in workspace.events()] == ["edit"]


def test_a_replaced_caption_cannot_be_decided(make_workspace: Any, open_session: SessionOpener) -> None:
    workspace = make_workspace(2)
    session = open_session(workspace)
    wait_for_card(session)
    session.edit("a woman without a hat")
    session.open(1)
    with pytest.raises(RecordError, match="replaced"):
        session.submit(Kind.ACCEPT)
