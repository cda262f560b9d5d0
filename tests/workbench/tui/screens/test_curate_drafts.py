"""Tests that a draft is kept in its fields when the record refuses it, and that the record is unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import lines, locked_record, running, shown, until
from support.workspaces import Case, press, settled
from textual.events import Key, Paste
from textual.widgets import Input

from curation_db.events.annotators import begin_session
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.modals.note import NoteModal
from workbench.tui.screens.queue_end import QueueEndScreen
from workbench.tui.widgets.card.edit_dock import CaptionArea
from workbench.tui.widgets.draft import RefusalLine

TYPED = "a woman not wearing hat number 0 mended"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the timeout of a busy record."""
    monkeypatch.setattr("curation_db.storage.sqlite._PRAGMAS", ("PRAGMA busy_timeout=50", "PRAGMA foreign_keys=ON"))


async def type_edit(pilot: Any) -> None:
    """Open the edit dialog and type a text."""
    await settled(pilot)
    await press(pilot, "e")
    await pilot.press(*" mended")


def closed(app: Any) -> bool:
    return isinstance(app.screen, CurateScreen) and not app.screen.is_editing


def refusal(app: Any) -> str:
    return str(app.screen.query_one(RefusalLine).content)


def draft(app: Any) -> str:
    return str(app.screen.query_one(CaptionArea).text)


async def test_a_busy_record_keeps_the_typed_edit_and_enter_retries(
    make_workspace: Any, open_app: Any, impatient: None
) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace)
    async with running(app) as pilot:
        await type_edit(pilot)
        await pilot.press("tab", *"a mended hat")
        before = workspace.rows("SELECT * FROM lease ORDER BY candidate_id")
        with locked_record(workspace.root):
            await press(pilot, "enter")
            await until(pilot, lambda: "⚠ not saved" in lines(app))
            assert draft(app) == TYPED
            assert app.screen.query_one(Input).value == "a mended hat"
            assert app.focused is app.screen.query_one(Input)
            await pilot.press("s")
        assert workspace.events() == []
        assert workspace.rows("SELECT * FROM lease ORDER BY candidate_id") == before
        assert shown(app) == 1
        await press(pilot, "enter")
        await until(pilot, lambda: closed(app))
        assert shown(app) == 2
    assert workspace.rows("SELECT text, concept FROM candidate WHERE id = 4") == [(TYPED, "a mended hats")]
    assert workspace.rows("SELECT late FROM event") == [(0,), (0,)]


async def test_a_busy_record_keeps_the_typed_note(make_workspace: Any, open_app: Any, impatient: None) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "n")
        await pilot.press(*"look left")
        with locked_record(workspace.root):
            await press(pilot, "enter")
            await until(pilot, lambda: "⚠ not saved" in lines(app))
        assert isinstance(app.screen, NoteModal)
        assert app.screen.query_one(Input).value == "look left"
        await pilot.press("!")
        await press(pilot, "enter")
        await until(pilot, lambda: closed(app))
    assert workspace.rows("SELECT candidate_id, note FROM event") == [(1, "look left!")]


async def test_keys_pressed_while_the_record_is_busy_do_not_change_the_draft(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation_db.storage.sqlite._PRAGMAS", ("PRAGMA busy_timeout=9000", "PRAGMA foreign_keys=ON"))
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await type_edit(pilot)
        await until(pilot, lambda: len(workspace.rows("SELECT 1 FROM lease")) == 2)
        with locked_record(workspace.root):
            await pilot.press("enter")
            await until(pilot, lambda: "waiting for the record" in lines(app))
            await pilot.press("q", "enter", "escape", "x")
            assert draft(app) == TYPED
            assert app.screen.is_editing
        await until(pilot, lambda: closed(app))
        assert shown(app) == 2
    assert workspace.rows("SELECT text FROM candidate WHERE id > 2") == [(TYPED,)]


async def test_after_an_edit_of_another_annotator_the_draft_can_be_copied(
    make_workspace: Any, open_app: Any, join: Any
) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace)
    async with running(app, (80, 24)) as pilot:
        await type_edit(pilot)
        child = join(workspace, "ben").edit(1, "a woman in a field, no hat").child_id
        events, leases = workspace.events(), workspace.rows("SELECT * FROM lease WHERE candidate_id = 1")
        for _ in range(2):  # a retry is refused too
            await press(pilot, "enter")
            await until(pilot, lambda: "another annotator has edited this caption meanwhile" in refusal(app))
            assert draft(app) == TYPED
            assert "esc cancel" in lines(app)
        assert workspace.events() == events
        assert workspace.rows("SELECT * FROM lease WHERE candidate_id = 1") == leases != []
        assert shown(app) == 1
        await press(pilot, "escape")
        await until(pilot, lambda: shown(app) == 2)
        assert "an edit has replaced that caption" in lines(app)
        assert workspace.events() == events
        assert workspace.rows("SELECT * FROM lease WHERE candidate_id = 1") == []
        await press(pilot, "a", "a", "enter")  # at the end of the queue: check for new cards
        await until(pilot, lambda: shown(app) == child)
    assert workspace.states() == {1: "superseded", 2: "accepted", 3: "accepted", child: "open"}


async def test_a_withdrawn_caption_keeps_the_draft(make_workspace: Any, open_app: Any, join: Any) -> None:
    workspace = make_workspace(1)
    other = join(workspace, "ben")
    begin_session(workspace.store, "ana", version="test")  # a second annotator, so that ben's edit waits for her
    child = other.edit(1, "a woman without hat number 0").child_id
    app = open_app(workspace)
    async with running(app) as pilot:
        await type_edit(pilot)
        assert shown(app) == child
        other.undo()
        events = workspace.events()
        await press(pilot, "enter")
        await until(pilot, lambda: "the edit that wrote this caption was undone meanwhile" in refusal(app))
        assert draft(app) == "a woman without hat number 0 mended"
        assert workspace.events() == events
        await press(pilot, "escape")
        await until(pilot, lambda: shown(app) in {1, None})
    assert workspace.events() == events
    assert len(workspace.rows("SELECT 1 FROM candidate")) == 2


async def test_after_a_temporary_refusal_escape_keeps_the_card(
    make_workspace: Any, open_app: Any, impatient: None
) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await type_edit(pilot)
        with locked_record(workspace.root):
            await press(pilot, "enter")
            await until(pilot, lambda: "not saved" in lines(app))
        await press(pilot, "escape")
        assert shown(app) == 1
        await press(pilot, "a")
        assert shown(app) == 2
    assert workspace.rows("SELECT candidate_id, kind, late FROM event") == [(1, "accept", 0)]


async def test_letters_typed_after_the_save_key_are_not_in_the_text(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await type_edit(pilot)
        for key in ("enter", "a", "x"):  # in one read, as over a slow connection
            app.post_message(Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: closed(app))
    assert workspace.rows("SELECT text FROM candidate WHERE id = 3") == [(TYPED,)]


async def test_pasted_text_becomes_one_line(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await type_edit(pilot)
        app.post_message(Paste(" at\r\nall,\tno \x1b[31mhat\n"))
        await until(pilot, lambda: "hat" in draft(app).removeprefix(TYPED))
        assert draft(app) == TYPED + "at all, no [31mhat"
        app.copy_to_clipboard("one\ntwo")
        await press(pilot, "ctrl+v", "enter")
    assert workspace.rows("SELECT text FROM candidate WHERE id = 3") == [(TYPED + "at all, no [31mhatone two",)]


async def test_an_edit_saved_while_the_window_is_too_small_closes_when_it_is_large_again(
    make_workspace: Any, open_app: Any
) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with running(app) as pilot:
        await type_edit(pilot)
        with locked_record(workspace.root):
            await pilot.press("enter")
            await pilot.resize_terminal(40, 10)
            await until(pilot, lambda: "negwb needs" in lines(app))
        await until(pilot, lambda: len(workspace.events()) == 2)
        await settled(pilot)
        await pilot.resize_terminal(120, 36)
        await until(pilot, lambda: isinstance(app.screen, QueueEndScreen))
    assert workspace.rows("SELECT text FROM candidate WHERE id = 2") == [(TYPED,)]


@pytest.mark.parametrize("size", [(60, 20), (80, 24)])
async def test_the_dialog_fits_a_small_window_with_a_long_caption_and_a_refusal(
    make_workspace: Any, open_app: Any, impatient: None, size: tuple[int, int]
) -> None:
    long = Case(caption="a woman riding a horse in a field of tall grass " * 5, text="no hat " * 12)
    workspace = make_workspace(cases=[long])
    app = open_app(workspace)
    async with running(app, size) as pilot:
        await type_edit(pilot)
        with locked_record(workspace.root):
            await press(pilot, "enter")
            await until(pilot, lambda: "not saved" in lines(app))
        content = lines(app)
        assert "mended" in content
        assert "tokens" in content
        assert "esc cancel" in content


@pytest.mark.parametrize("size", [(120, 36), (80, 24), (60, 20)])
async def test_the_fields_have_the_edges_of_the_box_above_and_a_line_of_keys(
    make_workspace: Any, open_app: Any, size: tuple[int, int]
) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app, size) as pilot:
        await settled(pilot)
        await press(pilot, "e")
        await until(pilot, lambda: "enter save" in lines(app))
        shown_lines = lines(app).splitlines()
        boxes = [line for line in shown_lines if "─ NEGATED ─" in line or "─ edit the negated caption ─" in line]
        assert len({(line.rindex("╭"), line.rindex("╮")) for line in boxes}) == 1, "the same edges"
        assert len(boxes) == 2
        assert all(words in shown_lines[-1] for words in ("enter save", "tab other field", "esc cancel"))
        await pilot.press("x", "ctrl+z")
        await until(pilot, lambda: not app.screen.query_one(CaptionArea).text.endswith("x"))
        await app.screen.run_action("other_edit_field")
        assert isinstance(app.focused, Input)
        await app.screen.run_action("cancel_edit")
        await until(pilot, lambda: closed(app))
        await press(pilot, "e")
        await pilot.press(*" mended")
        await app.screen.run_action("save_edit")
        await until(pilot, lambda: closed(app))
    assert [kind for _, kind, _ in workspace.events()] == ["edit", "accept"]
