"""Tests that hostile captions, answers, names and notes are shown as plain text on every screen."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from support.curating import field_text
from support.workspaces import HOSTILE, Case, press, settled

from workbench.tui.app import NegwbApp
from workbench.tui.screens.curate import CurateScreen

BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


def look(app: NegwbApp) -> str:
    """Return the text of the screen; check that it has no control or bidirectional override characters."""
    strips = app.screen._compositor.render_strips()
    text = "".join(segment.text for strip in strips for segment in strip)
    assert not [c for c in text if unicodedata.category(c) == "Cc"], "a control character reaches the terminal"
    assert not BIDI.search(text)
    return text


def hostile_case(text: str) -> Case:
    """Create a card with `text` in every data field; only one field is a million characters long."""
    beside = text[:500]
    return Case(caption=beside + " [b]", text=text, concept=text[:300], siblings=(beside, "[/]"), raw=text)


async def test_hostile_cards_are_only_text(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(cases=[hostile_case(text) for text in HOSTILE.values()])
    app = open_app(workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        for name, text in HOSTILE.items():
            await settled(pilot)
            look(app)
            if name in {"markup", "closing", "link"}:
                assert text in field_text(app, "negated").replace("«", "").replace("»", "")
            await press(pilot, "a")
    assert [kind for _, kind, _ in workspace.events()] == ["accept"] * len(HOSTILE)


@pytest.mark.parametrize("size", [(80, 24)])
async def test_hostile_text_is_plain_text_on_every_screen(
    make_workspace: Any, open_app: Any, size: tuple[int, int]
) -> None:
    text = " ".join(content[:60] for content in HOSTILE.values())
    workspace = make_workspace(cases=[hostile_case(text), hostile_case(text)])
    with workspace.store.write() as connection:
        connection.exec_driver_sql("UPDATE image SET file_name = ? WHERE id = 2", (text,))
        connection.exec_driver_sql("UPDATE verdict SET judge = judge || ?, model = ?", (text, text))
        connection.exec_driver_sql("INSERT INTO image_object VALUES (1, ?, 2)", (text,))
    app = open_app(workspace, name="ana [/x] [@click=app.quit]", app={"banner": text})
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        look(app)
        for keys in (["x"], ["escape", "v"], ["escape", "n"], ["escape", "slash", *"dog"], ["escape", "e"], ["escape"]):
            await press(pilot, *keys)
            look(app)
        assert isinstance(app.screen, CurateScreen)
        app.screen.show_message(text, hint=text)
        await app.screen._save_note(1, text)
        await pilot.pause()
        look(app)
        for key in ("a", "i", "escape", "[", "]", "a"):
            await press(pilot, key)
            look(app)
    assert app.return_code in (None, 0)
    assert [kind for _, kind, _ in workspace.events()] == ["note", "accept", "accept"]
