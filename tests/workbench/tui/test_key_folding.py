"""Keys of other layouts mean the key at their place; unknown keys are named."""

from __future__ import annotations

from typing import Any

import pytest
from support.curating import lines, running, shown, until
from support.workspaces import press, settled
from textual.events import Key

from workbench.tui.key_folding import fold_key
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.queue_end import QueueEndScreen

CARD = frozenset(
    {"a", "x", "e", "E", "z", "Z", "full_stop", "comma", "left_square_bracket", "slash", "question_mark", "G", "p"}
)


@pytest.mark.parametrize(
    ("character", "key"),
    [
        ("ф", "a"),
        ("ч", "x"),
        ("я", "z"),
        ("Я", "Z"),
        ("х", "left_square_bracket"),
        ("ю", "full_stop"),
        ("б", "comma"),
        ("α", "a"),
        ("χ", "x"),
        ("ש", "a"),
        ("ס", "x"),
        ("ａ", "a"),
        ("？", "question_mark"),
        ("A", "a"),
        ("X", "x"),
        ("Ф", "a"),
        ("a", None),
        ("Z", None),
        ("E", None),
        ("P", "p"),
        ("g", None),
        ("к", None),
        ("ﬁ", None),
        (None, None),
        ("", None),
    ],
)
def test_a_key_is_folded_to_a_bound_key_at_its_place(character: str | None, key: str | None) -> None:
    assert fold_key(character, CARD) == key


async def test_a_russian_layout_decides(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(4)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "ф", "ч", "з", "A")
        assert workspace.events() == [(1, "accept", None), (2, "reject", "present"), (3, "accept", None)]
        await press(pilot, "я")
        assert shown(app) == 3


async def test_an_unknown_key_is_named(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "w")
        assert "w has no action here · ? lists the keys" in lines(app)
        app.post_message(Key("ж", "ж"))
        await settled(pilot)
        assert "ж has no action here" in lines(app)
        await press(pilot, "x", "ж")  # the message covers no reason
        assert "image missing or unusable" in lines(app)
        assert "ж is not an answer · esc cancels" in lines(app)
        await press(pilot, "z")
        assert "z is not an answer · esc cancels" in lines(app)
        await press(pilot, "escape", "y", "a")
        assert "a is not an answer · esc cancels" in lines(app)
    assert workspace.events() == []


async def test_a_key_without_action_is_named_at_the_end_of_the_queue(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(1)
    app = open_app(workspace)
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "a")
        await until(pilot, lambda: isinstance(app.screen, QueueEndScreen) and app.screen.is_current)
        for key in "xae":
            await press(pilot, key)
            assert f"{key} has no action here · ? lists the keys" in lines(app)
        assert workspace.events() == [(1, "accept", None)]
        await press(pilot, "я")  # z
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
        assert [kind for _, kind, _ in workspace.events()] == ["accept", "undo"]
