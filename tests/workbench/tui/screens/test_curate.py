"""Tests of Curate with real keys; their effect is read from the database by a second connection."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from support.curating import field_text, lines, running, shown, until
from support.workspaces import Case, press, settled

from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.help import HelpScreen
from workbench.tui.screens.modals.judges import JudgesModal
from workbench.tui.screens.queue_end import QueueEndScreen
from workbench.tui.screens.too_small import TooSmallScreen
from workbench.workspace.keymap import ActionMap, KeyScope
from workbench.workspace.layout import Workspace


async def test_every_deciding_key_is_committed_before_the_next_card(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(5)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        for number, (keys, event) in enumerate(
            [
                ("a", ("accept", None)),
                ("xp", ("reject", "present")),
                ("u", ("unsure", None)),
                ("space", ("skip", None)),
                ("xu", ("reject", "ungrammatical")),
            ],
            1,
        ):
            assert shown(app) == number
            await press(pilot, *(keys if keys[0] == "x" else [keys]))
            assert workspace.events()[-1] == (number, *event)
            assert len(workspace.events()) == number
        assert isinstance(app.screen, QueueEndScreen)


async def test_every_reason_has_its_key(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(8)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        for key in "prgusdb":
            await press(pilot, "x", key)
    reasons = [reason for _, _, reason in workspace.events()]
    assert reasons == ["present", "rest_false", "gratuitous", "ungrammatical", "scope", "duplicate", "bad_image"]


async def test_keys_typed_ahead_are_decided_in_order(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(6)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await until(pilot, lambda: app.session.prepared == 3)
        await pilot.press("a", "x", "p", "x", "u", "a")
        await settled(pilot)
    content = [(1, "accept", None), (2, "reject", "present"), (3, "reject", "ungrammatical"), (4, "accept", None)]
    assert workspace.events() == content


async def test_no_other_key_decides_while_the_reason_menu_is_open(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "x")
        assert "reject because" in lines(app)
        await press(pilot, "a", "e", "space", "z")
        assert workspace.events() == []
        await press(pilot, "escape")
        assert "reject because" not in lines(app)
        await press(pilot, "u")
    assert workspace.events() == [(1, "unsure", None)]


async def test_a_click_on_a_reason_and_on_the_key_line(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await pilot.click("#keys", offset=(2, 0))  # a accept
        await until(pilot, lambda: len(workspace.events()) == 1)
        await settled(pilot)
        await press(pilot, "x")
        row = next(n for n, line in enumerate(lines(app).splitlines()) if "unclear what is negated" in line)
        await pilot.click(offset=(lines(app).splitlines()[row].index("unclear"), row))
        await until(pilot, lambda: len(workspace.events()) == 2)
    assert workspace.events() == [(1, "accept", None), (2, "reject", "scope")]


async def test_undo_and_redo_by_keys_and_after_a_restart(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(4)
    async with running(first := open_app(workspace)) as pilot:
        await settled(pilot)
        await press(pilot, "a", "x", "s", "u")
    first.session.close()
    async with running(app := open_app(workspace)) as pilot:
        await settled(pilot)
        assert shown(app) == 4
        for number in (3, 2, 1):
            await press(pilot, "z")
            assert shown(app) == number
        assert set(workspace.states().values()) == {"open"}
        await press(pilot, "z")
        assert "nothing to undo" in lines(app)
        for number in (2, 3, 4):
            await press(pilot, "Z" if number != 3 else "ctrl+y")
            assert shown(app) == number
        assert "redone" in lines(app)
    assert workspace.states() == {1: "accepted", 2: "rejected", 3: "unsure", 4: "open"}


async def test_going_back_and_deciding_again(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(4)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a", "a", "[")
        assert shown(app) == 2
        assert field_text(app, "past").startswith("✓ accepted")
        assert " · history · " in lines(app)
        await press(pilot, "[", "]")
        assert shown(app) == 2
        await press(pilot, "x", "d")
        assert shown(app) == 3
        assert field_text(app, "past") == ""
    assert workspace.states()[2] == "rejected"
    assert workspace.rows("SELECT count(*) FROM event WHERE late OR kind = 'undo'") == [(0,)]


async def test_the_end_of_the_queue_shows_the_next_steps(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(3)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a", "space", "u")
        assert isinstance(app.screen, QueueEndScreen)
        text = lines(app)
        assert "negwb export" in text
        assert "negwb status" in text
        assert "2 you skipped, were unsure about or edited" in text
        await press(pilot, "z")
        assert shown(app) == 3
        await press(pilot, "a")
        assert isinstance(app.screen, QueueEndScreen)
        await press(pilot, "r")
        assert shown(app) == 2
        await press(pilot, "a")
        assert isinstance(app.screen, QueueEndScreen)
        await press(pilot, "[")
        assert shown(app) == 2
        await press(pilot, "]")
        assert isinstance(app.screen, QueueEndScreen)
        await press(pilot, "enter")
        assert isinstance(app.screen, QueueEndScreen)
        await press(pilot, "slash", "escape")
        assert isinstance(app.screen, QueueEndScreen)
    assert set(workspace.states().values()) == {"accepted"}


async def test_the_end_of_an_empty_queue_has_no_key_without_effect(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a")
        assert "d adjudicate" not in lines(app), "only adjudicators open it"
        assert app.screen.disabled_reason("undo", ()) == ""
        assert app.screen.disabled_reason("revisit", ()) != ""
        await press(pilot, "r")
        await until(pilot, lambda: "you have skipped" in lines(app))
        assert isinstance(app.screen, QueueEndScreen)
    app = open_app(workspace, "ben")
    async with running(app) as pilot:
        await until(pilot, lambda: isinstance(app.screen, QueueEndScreen))
        for key, reason in (("z", "nothing to undo"), ("Z", "nothing to redo"), ("left_square_bracket", "no earlier")):
            await press(pilot, key)
            await until(pilot, lambda reason=reason: reason in lines(app))


async def test_the_judges_dialog_opens(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(cases=[Case(raw="I see [no] hat.")]))
    async with running(app) as pilot:
        await settled(pilot)
        assert "they disagree" in field_text(app, "judges")
        await press(pilot, "v")
        assert isinstance(app.screen, JudgesModal)
        for content in ("model-1", "prompt v1", "I see [no] hat.", "P(present) = 0.7600"):
            assert content in lines(app)


@pytest.mark.parametrize(
    ("created", "settings", "why"), [({"audit_rate": 1.0}, {}, "audit"), ({}, {"blind": True}, "blind")]
)
async def test_hidden_judges_stay_hidden(
    make_workspace: Any, open_app: Any, created: dict[str, float], settings: dict[str, bool], why: str
) -> None:
    case = Case(judges=(0.07, 0.76), raw="a word of mine", siblings=("she wears a hat, others say",))
    workspace = make_workspace(cases=[case] * 2, **created)
    app = open_app(workspace, **settings)
    async with running(app) as pilot:
        await settled(pilot)
        assert field_text(app, "judges").startswith("hidden")
        assert why in field_text(app, "judges")
        await press(pilot, "v")
        assert isinstance(app.screen, CurateScreen)
        for content in (".76", "disagree", "model-1", "a word of mine", "others say", "sibling caption"):
            assert content not in lines(app)
        await pilot.press("n", *"hat!")
        await press(pilot, "enter")
        assert "hat!" in lines(app), "one's own note"
        await press(pilot, "a", "[")
        assert field_text(app, "judges").startswith("hidden")
    assert workspace.rows("SELECT kind, blind FROM event ORDER BY seq") == [("note", 1), ("accept", 1)]


async def test_bars_show_p_present_and_simulated_judges_are_named(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(cases=[Case(judges=(0.3, None), simulated=True)]))
    async with running(app) as pilot:
        await settled(pilot)
        content = field_text(app, "judges")
        assert "▓▓▓░░░░░░░  .30 absent" in content
        assert "·····" in content
        assert "unclear" in content
        assert "simulated judges" in content


async def test_help_and_palette_list_every_action(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(1))
    async with running(app, (120, 140)) as pilot:
        await settled(pilot)
        for key in ("question_mark", "f1"):
            await press(pilot, key)
            assert isinstance(app.screen, HelpScreen)
            text = lines(app)
            await press(pilot, "escape")
        assert [action.id for action in ActionMap().at(*ALL_PLACES) if action.help not in text] == []
        assert len({line.index("reason-") for line in text.splitlines() if "reason-" in line}) == 1, "one column"
        commands = {command.title for command in app.get_system_commands(app.screen)}
        assert "accept  (a)" in commands
        assert "theme: negwb-light" in commands
        await press(pilot, "ctrl+p")
        await pilot.press(*"flag")
        await until(pilot, lambda: "Flag this card" in lines(app))
        await press(pilot, "enter")
        await until(pilot, lambda: shown(app) is not None and app.screen.shown.card.flagged)


ALL_PLACES = (KeyScope.CARD, KeyScope.REASON, KeyScope.DONE)
"""Actions of the card; every other screen has its own help."""


async def test_user_defined_keys_and_the_theme_key(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace, app={"actions": ActionMap({"accept": "f5,c"})})
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a")
        assert workspace.events() == []
        assert "f5 accept" in lines(app)
        await press(pilot, "c", "f2")
        assert app.theme == "negwb-light"
        await press(pilot, "f2")
        assert app.theme == "negwb-dark"
    assert workspace.events() == [(1, "accept", None)]


async def test_any_theme_shows_the_card(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(1))
    async with running(app, (80, 24)) as pilot:
        await settled(pilot)
        for theme in ("negwb-light", "ansi-dark", "textual-light", "dracula", "negwb-dark"):
            app.theme = theme
            await press(pilot, "x", "escape")
            assert "«not wearing hat number" in lines(app)


async def test_resizing_the_window_keeps_the_card(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        for size in ((80, 24), (40, 10), (60, 20), (200, 60), (59, 20), (120, 36)):
            await pilot.resize_terminal(*size)
            small = size in {(40, 10), (59, 20)}
            await until(pilot, lambda small=small: isinstance(app.screen, TooSmallScreen) is small)
            await until(pilot, lambda small=small: ("negwb needs 60 × 20" in lines(app)) is small)
            await press(pilot, "u" if small else "x", "escape")
        assert workspace.events() == []
        assert shown(app) == 1


async def test_a_missing_image_is_reported_in_its_pane(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(cases=[Case(picture=False), Case()]))
    async with running(app) as pilot:
        await settled(pilot)
        assert "the image is missing: 001.png" in lines(app)
        await press(pilot, "i")
        assert "missing" in lines(app)
        await press(pilot, "escape", "a")
        assert "missing" not in lines(app)


async def test_the_card_works_without_images(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace, app={"protocol": "none"})
    async with running(app) as pilot:
        await settled(pilot)
        assert "images are turned off" in lines(app)
        await press(pilot, "a")
    assert len(workspace.events()) == 1


async def test_a_locked_record_is_reported_and_the_card_stays(
    make_workspace: Any, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation_db.storage.sqlite._PRAGMAS", ("PRAGMA busy_timeout=50", "PRAGMA foreign_keys=ON"))
    workspace = make_workspace(2)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        other = sqlite3.connect(workspace.root / "curation.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await press(pilot, "a")
        assert "held by another process" in lines(app)
        assert shown(app) == 1
        other.execute("ROLLBACK")
        other.close()
        await press(pilot, "a")
    assert workspace.events() == [(1, "accept", None)]


async def test_the_banner_and_the_progress_are_shown(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(2), app={"banner": "demo: drawn pictures"})
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a")
        text = lines(app)
        assert "demo: drawn pictures" in text
        top = text.splitlines()[0]
        assert top.startswith("  curate ")
        assert "P1 attribute · oldest first · streak ✓ · ana · " in top
        assert top.endswith(" · you 1 · all 1 of 2 ")


async def test_a_banner_that_changes_is_shown_again(make_workspace: Any, open_app: Any) -> None:
    banner = ["drawing images: 50 of 700"]
    app = open_app(make_workspace(2), app={"banner": lambda: banner[0]})
    async with running(app) as pilot:
        await until(pilot, lambda: banner[0] in lines(app))
        banner[0] = "drawing images: 700 of 700"
        app.session.notify()
        await until(pilot, lambda: banner[0] in lines(app))


async def test_q_quits(make_workspace: Any, open_app: Any) -> None:
    app = open_app(make_workspace(1))
    async with running(app) as pilot:
        await settled(pilot)
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
    assert app.return_code == 0
