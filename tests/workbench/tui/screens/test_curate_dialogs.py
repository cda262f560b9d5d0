"""Tests of edits, notes and searches typed with real keys, and of notifications and palette above them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.curating import field_text, lines, running, shown, until
from support.workspaces import Case, press, settled
from textual.events import Key
from textual.widgets import Input, OptionList
from textual.widgets._toast import Toast
from textual.worker import WorkerFailed

from curation_db.lint.linter import LintSettings
from curation_db.search.queries import Match
from workbench.tui.app import NegwbApp, PrefetchChanged
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.modals.dialog import Dialog
from workbench.tui.screens.modals.find import FindModal
from workbench.tui.screens.modals.note import NoteModal
from workbench.tui.screens.queue_end import QueueEndScreen
from workbench.tui.widgets.card.edit_dock import CaptionArea, EditDock
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.tui.widgets.zoom_view import ZoomView
from workbench.workspace.keymap import KeyScope


async def test_an_edit_counts_against_the_limit_of_the_model(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(1), checks=LintSettings(most_tokens=32))
    async with running(app) as pilot:
        await settled(pilot)
        assert "/32 tokens" in lines(app)
        await press(pilot, "e")
        assert "/32 tokens" in lines(app)


async def test_an_edit_creates_a_child_and_shows_the_next_card(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "e")
        assert app.screen.is_editing
        assert app.screen.query_one(CaptionArea).text == "a woman not wearing hat number 0"
        assert "✓ cue “not”" in lines(app)
        assert "/77 tokens" in lines(app)
        await pilot.press(*" new")
        await press(pilot, "ctrl+s")
        assert shown(app) == 2
        rows = workspace.rows("SELECT text, parent_id, pipeline FROM candidate WHERE id = 3")
        assert rows == [("a woman not wearing hat number 0 new", 1, "edit")]
        assert workspace.states() == {1: "superseded", 2: "open", 3: "accepted"}
        await press(pilot, "z")
        assert shown(app) == 1
        assert workspace.states()[3] == "superseded"


async def test_an_edit_may_set_its_concept_or_be_cancelled(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "e", "q", "escape")
        assert workspace.events() == []
        await press(pilot, "e", "enter")
        assert app.screen.is_editing  # unchanged: nothing to save
        await press(pilot, "!", "tab")
        app.screen.query_one(Input).value = "sombrero"
        await press(pilot, "enter")
    assert workspace.rows("SELECT concept FROM candidate WHERE id = 2") == [("sombrero",)]


async def test_the_dialog_shows_the_denied_concept_while_typing(make_workspace: Any, open_app: Any) -> None:
    """If the text no longer negates anything, the field is empty and no concept is stored."""
    workspace = make_workspace(3)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "e")
        field, area = app.screen.query_one(Input), app.screen.query_one(CaptionArea)
        assert field.value == "hat number 0"
        area.text = "a woman not wearing a scarf"
        await until(pilot, lambda: field.value == "scarf")
        area.text = "a woman in a field"
        await until(pilot, lambda: field.value == "")
        assert "not known: name it" in lines(app)
        await press(pilot, "enter")
        assert shown(app) == 2
        await press(pilot, "e")
        field, area = app.screen.query_one(Input), app.screen.query_one(CaptionArea)
        field.value = "sombrero"
        area.text = "a woman not wearing a scarf"
        await pilot.pause()
        assert field.value == "sombrero", "what the person named stays"
        await press(pilot, "enter")
        await press(pilot, "e")
        app.screen.query_one(CaptionArea).text = "a woman not wearing a scarf in a field"
        await press(pilot, "enter")
    named = workspace.rows("SELECT concept FROM candidate WHERE parent_id IS NOT NULL ORDER BY id")
    assert named == [(None,), ("sombrero",), ("scarf",)]


async def test_notes_and_flags(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "n")
        assert isinstance(app.screen, NoteModal)
        await pilot.press(*"a [b] z")
        await press(pilot, "enter", "f")
        assert shown(app) == 1
        assert field_text(app, "remarks") == "⚑ flagged\n✎ a [b] z"
        await press(pilot, "f", "n", "escape")
        assert field_text(app, "remarks") == "✎ a [b] z"
    assert [kind for _, kind, _ in workspace.events()] == ["note", "flag", "undo"]


async def test_find_opens_a_card(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(8)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "slash")
        await pilot.press(*"num")
        assert isinstance(app.screen, FindModal)
        matches = app.screen.query_one(OptionList)
        await until(pilot, lambda: matches.option_count == 8)
        await pilot.press(*"ber 5")
        await until(pilot, lambda: matches.option_count == 1)
        await press(pilot, "enter")
        assert shown(app) == 6
        await press(pilot, "a")
        assert shown(app) == 1
        await press(pilot, "slash")
        await pilot.press(*"zebra")
        await until(pilot, lambda: "0 found" in lines(app))
        await press(pilot, "enter", "escape")
        assert shown(app) == 1
        await press(pilot, "slash")
        await pilot.press(*"number 3", "enter")  # enter before the matches are shown opens the right card
        await until(pilot, lambda: shown(app) == 4)
    assert workspace.events() == [(6, "accept", None)]


async def test_the_save_key_is_handled_after_the_letters_before_it(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "e")
        for key in [*" at all", "ctrl+s"]:  # in one read, as a paste
            character = key if len(key) == 1 else None
            app.post_message(Key("space" if key == " " else key, character))
        await until(pilot, lambda: len(workspace.events()) == 2)
    assert workspace.rows("SELECT text FROM candidate WHERE id = 2") == [("a woman not wearing hat number 0 at all",)]


async def test_a_message_replaces_the_one_before_it(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(3))
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "a", "a", "z", "z", "z", "z", "z")
        assert lines(app).count("undone") == 0
        assert lines(app).count("nothing to undo") == 1
        for key in "]]]":
            app.post_message(Key("right_square_bracket", key))
        await until(pilot, lambda: "this is the newest card" in lines(app))
        await pilot.pause()
        assert not app.screen.query(Toast)
        assert app.screen.query_one(ActionLine).text == "this is the newest card"
        await press(pilot, "e")
        assert not app.screen.query(Toast)  # no notification covers the bottom of a dialog


async def test_the_palette_over_a_dialog_offers_only_actions_that_apply(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(1))
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "e")
        offered = [command.title for command in app.get_system_commands(app.screen)]
        assert offered
        assert all(title.startswith("theme: ") for title in offered)
        await press(pilot, "escape", "a")
        assert "revisit  (r)" in [command.title for command in app.get_system_commands(app.screen)]


async def test_the_end_of_the_queue_never_covers_a_dialog(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a", "slash")
        app.post_message(PrefetchChanged())
        await pilot.press(*"hat")
        assert isinstance(app.screen, FindModal)
        await press(pilot, "escape")
        await until(pilot, lambda: isinstance(app.screen, QueueEndScreen))
        assert sum(isinstance(screen, QueueEndScreen) for screen in app.screen_stack) == 1
        await press(pilot, "z")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen) and shown(app) == 1)


@pytest.mark.parametrize("opener", ["e", "n", "slash"])
async def test_letters_typed_after_the_key_of_a_dialog_go_into_it(
    make_workspace: Any, open_app: Any, opener: str
) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        for key in (opener, "a", "x", "q"):  # in one read, as over a slow connection
            app.post_message(Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: isinstance(app.screen, Dialog) or app.screen.is_editing)
        field = app.screen.query("TextArea, Input").first()
        await until(pilot, lambda: str(getattr(field, "text", "") or getattr(field, "value", "")).endswith("axq"))
        assert app.is_running
    assert workspace.events() == []


@pytest.mark.parametrize(
    ("others", "message"),
    [(["ben"], "saved; another person will check it"), ([], "saved and accepted: you work alone")],
)
async def test_after_an_edit_its_outcome_is_shown(
    make_workspace: Any, open_app: Any, join: Any, others: list[str], message: str
) -> None:
    workspace = make_workspace(2)
    for name in others:
        join(workspace, name)
    app = open_app(workspace)
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "e")
        await pilot.press(*" mended")
        await press(pilot, "enter")
        await until(pilot, lambda: message in lines(app))
    child = workspace.rows("SELECT id FROM candidate WHERE parent_id IS NOT NULL")[0][0]
    assert workspace.states()[child] == ("open" if others else "accepted")


async def test_ctrl_z_suspends_from_the_card_a_question_and_a_dialog(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, suspended = open_app(make_workspace(2)), list[type]()
    monkeypatch.setattr(NegwbApp, "action_suspend_process", lambda self: suspended.append(type(self.screen)))
    async with running(app) as pilot:
        await settled(pilot)
        for keys in ((), ("x",), ("escape", "v")):
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            await pilot.press("ctrl+z")
            await pilot.pause()
    assert [each.__name__ for each in suspended] == ["CurateScreen", "CurateScreen", "JudgesModal"]


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36)])
async def test_editing_covers_neither_the_image_nor_the_caption_that_is_replaced(
    make_workspace: Any, open_app: Any, size: tuple[int, int]
) -> None:
    case = Case(text="a woman riding a horse without a hat in a field", siblings=("a rider with a red scarf",))
    app = open_app(make_workspace(cases=[case]))
    async with running(app, size) as pilot:
        await settled(pilot)
        image = app.screen.picture.region
        await press(pilot, "e")
        assert app.screen.picture.region == image
        dock = app.screen.query_one(EditDock)
        assert dock.region.intersection(image).area == 0
        assert dock.region.bottom <= size[1] - 1
        app.screen.query_one(CaptionArea).text = "a woman riding a horse without a scarf in a field"
        await until(pilot, lambda: "‹hat›" in lines(app))
        content = lines(app)
        for shown_text in ("«scarf»", "cue “without”", "⚠ a sibling caption names", "esc cancel", "concept"):
            assert shown_text in content
        card = app.screen.card_view
        box_end = next(number for number, line in enumerate(card._lines) if "╰" in line.plain)
        assert card.region.y + box_end < dock.region.y
        assert app.screen.scope is KeyScope.EDIT
        assert "a accept" not in lines(app)  # the keys of the card do not apply
        await pilot.press("f2", "1", "z")  # letters for the text; the keys of the app do not apply
        assert app.theme == "negwb-dark"
        await press(pilot, "escape")
        assert "a accept" in lines(app)


async def test_a_zoomed_caption_is_edited_below_the_image(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        await press(pilot, "i", "e")
        await pilot.press(*" new")
        assert "«new»" in lines(app)
        await until(
            pilot,
            lambda: app.screen.query_one(EditDock).region.y >= app.screen.query_one(ZoomView).pane.region.bottom > 5,
        )
        await press(pilot, "enter")
        await until(pilot, lambda: shown(app) == 2 and not app.screen.is_editing)
        assert app.screen.is_zoomed
        assert "esc leave zoom" in lines(app)
    assert workspace.rows("SELECT text FROM candidate WHERE id = 3") == [("a woman not wearing hat number 0 new",)]


async def test_a_closed_edit_takes_no_key_after_another_dialog(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "e", "escape", "n")
        await until(pilot, lambda: isinstance(app.screen, NoteModal))
        await press(pilot, "escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        assert app.screen.focused is None
        await press(pilot, "a")
    assert workspace.events() == [(1, "accept", None)]


async def test_an_answer_during_the_removal_of_a_dialog_has_no_effect(make_workspace: Any, open_app: Any) -> None:
    answered = asyncio.Event()

    async def search(query: str) -> tuple[list[Match], str]:
        await answered.wait()
        return [], ""

    app = open_app(make_workspace(1))
    async with running(app) as pilot:
        await settled(pilot)
        dialog = FindModal(search)
        await app.push_screen(dialog)
        await press(pilot, "c")
        (worker,) = [each for each in dialog.workers if each.node is dialog and not each.is_finished]
        dialog._pruning = True  # what Textual does first when it removes a screen
        await dialog.query_one(OptionList).remove()
        answered.set()
        await worker.wait()
        assert not dialog.is_whole
        assert app._exception is None
        dialog._pruning = False


async def test_a_missing_widget_of_a_whole_dialog_is_an_error(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(1))
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "slash")

        async def look() -> None:
            app.screen.query_one("#absent")

        with pytest.raises(WorkerFailed, match="absent"):
            await app.screen.run_worker(look, exit_on_error=False).wait()
