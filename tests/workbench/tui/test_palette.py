"""The command palette: every action under its name and synonyms, and the commands of the shell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.curating import running, until
from support.results import lines
from support.workspaces import press, settled

from workbench.tui.palette import COMMAND_LINES, SYNONYMS, PaletteCommand, action_commands, score, synonyms
from workbench.tui.screens.modals.command_line import CommandLineModal
from workbench.workspace.keymap import ActionMap, KeyScope, results_actions
from workbench.workspace.layout import Workspace


def commands(actions: ActionMap, scope: KeyScope) -> list[PaletteCommand]:
    listed = []
    for same, title, help_text in action_commands(actions, actions.at(scope)):
        listed.append(PaletteCommand(title, help_text, lambda: None))
        listed[-1].synonyms = synonyms(same)
    return listed


def test_synonyms_belong_to_actions() -> None:
    known = {action.id for actions in (ActionMap(), results_actions()) for action in actions.all_actions}
    assert SYNONYMS.keys() <= known


@pytest.mark.parametrize(
    ("scope", "typed", "expected"),
    [
        (KeyScope.CARD, "quit", "quit"),
        (KeyScope.CARD, "exit", "quit"),
        (KeyScope.CARD, "redo", "redo"),
        (KeyScope.CARD, "search", "find"),
        (KeyScope.CARD, "filter", "find"),
        (KeyScope.CARD, "find", "find"),
        (KeyScope.CARD, "dark", "theme"),
        (KeyScope.CARD, "light", "theme"),
        (KeyScope.CARD, "clipboard", "copy"),
        (KeyScope.CARD, "copy", "copy"),
        (KeyScope.CARD, "next", "skip"),
        (KeyScope.CARD, "go to progress", "go to progress"),
        (KeyScope.CARD, "stats", "go to progress"),
        (KeyScope.CARD, "present", "reject: present"),
        (KeyScope.CARD, "acpt", "accept"),
        (KeyScope.BROWSE, "search", "filter"),
        (KeyScope.RUNS, "cancel", "stop"),
        (KeyScope.ITEM, "next", "next"),
    ],
)
def test_a_word_finds_its_action_first(scope: KeyScope, typed: str, expected: str) -> None:
    actions = results_actions() if scope in (KeyScope.RUNS, KeyScope.ITEM) else ActionMap()
    best = max(commands(actions, scope), key=lambda command: score(typed, command))
    assert best.title.partition("  (")[0] == expected
    assert score(typed, best) > 0


@pytest.mark.parametrize("make", [ActionMap, results_actions])
def test_every_action_of_a_screen_is_in_its_palette(make: Callable[[], ActionMap]) -> None:
    actions = make()
    for scope in KeyScope:
        found: set[str] = set()
        for same, title, _ in action_commands(actions, actions.at(scope)):
            found |= {each.id for each in same}
            assert title.startswith(("go to ", *(each.label for each in same)))
        assert {action.id for action in actions.at(scope)} - {"palette"} <= found


def test_actions_with_the_same_effect_are_one_command() -> None:
    titles = [title for _, title, _ in action_commands(ActionMap(), ActionMap().at(KeyScope.CARD))]
    assert "go to browse  (b 2)" in titles
    assert not any(title.startswith("browse") for title in titles)


async def test_the_palette_answers_a_question_and_shows_a_command_line(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = open_app(workspace, app={"workspace": Workspace(workspace.root)})
    copied: list[str] = []
    app.copy_to_clipboard = copied.append
    async with running(app) as pilot:
        await settled(pilot)
        await press(pilot, "ctrl+p")
        await pilot.press(*"gratuitous")
        await until(pilot, lambda: "reject: gratuitous" in lines(app))
        await press(pilot, "enter")
        await until(pilot, lambda: workspace.events() == [(1, "reject", "gratuitous")])
        await press(pilot, "ctrl+p")
        await pilot.press(*"export")
        await until(pilot, lambda: "export: command line" in lines(app))
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, CommandLineModal))
        await pilot.press("y", "escape")
        await until(pilot, lambda: not isinstance(app.screen, CommandLineModal))
    assert [line.rpartition(" ")[2] for line in copied] == ["export"]
    assert str(workspace.root) in copied[0]


def test_command_lines_are_commands_of_negwb() -> None:
    from typer.main import get_command

    from workbench.cli import app

    known = get_command(app).commands  # type: ignore[attr-defined]
    assert [each for each in COMMAND_LINES if each.arguments.partition(" ")[0] not in known] == []


def test_an_action_without_a_key_is_listed_without_one() -> None:
    actions = ActionMap({"accept": "a,1"})
    assert any(title == "go to curate" for _, title, _ in action_commands(actions, actions.at(KeyScope.HISTORY)))
