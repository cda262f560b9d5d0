"""Tests of Settings: lines of negwb.toml, and changes that leave the rest of the file as it is."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from support.results import lines, until
from support.screen_sizes import SIZES
from support.workspaces import HOSTILE, settled

from curation_db.lint.linter import LintSettings
from curation_db.queue.ordering import MISTAKEN, OLDEST, PrioritySignal
from trainers.settings import TrainSettings
from workbench.errors import UsageError
from workbench.tui.app import NegwbApp
from workbench.tui.screens.curate import CurateScreen
from workbench.tui.screens.settings import SettingsScreen
from workbench.tui.themes import check_theme
from workbench.workspace.create import settings_template
from workbench.workspace.keymap import ActionMap, KeyScope
from workbench.workspace.layout import Workspace
from workbench.workspace.settings.catalog import Applies, can_change, choices, help_of, list_settings, read_setting_list
from workbench.workspace.settings.generation import GenerateSettings
from workbench.workspace.settings.settings import CurateSettings, read_settings

TEMPLATE = settings_template()


def opened(open_app: Any, workspace: Any, **content: Any) -> NegwbApp:
    app: NegwbApp = open_app(workspace, app={"workspace": Workspace(workspace.root), **content})
    return app


def ready(app: NegwbApp) -> bool:
    return isinstance(app.screen, SettingsScreen) and bool(app.screen.rows) and "curate" in lines(app)


@pytest.mark.parametrize("size", SIZES)
async def test_a_change_writes_only_its_setting(make_workspace: Any, open_app: Any, size: Any) -> None:
    workspace = make_workspace(3)
    file = workspace.root / "negwb.toml"
    file.write_text(TEMPLATE)
    app = opened(open_app, workspace)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("comma")
        await until(pilot, lambda: ready(app) and "enter change" in lines(app))
        await pilot.press("enter")
        await until(pilot, lambda: "cards on which the judges are least sure" in lines(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: 'order = "threshold"' in file.read_text())
        await until(pilot, lambda: "this session uses: oldest" in lines(app))
        await pilot.press("j", "enter")  # overlap cannot be edited here
        await until(pilot, lambda: "with any editor" in lines(app) and isinstance(app.screen, SettingsScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))
    assert file.read_text() == TEMPLATE.replace('order = "conflict"', 'order = "threshold"')


@pytest.mark.long
async def test_a_theme_preview_is_reverted_on_cancel(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    before = (workspace.root / "negwb.toml").read_text()
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("comma")
        await until(pilot, lambda: ready(app))
        await pilot.press(*["j"] * list(help_of(CurateSettings)).index("theme"), "enter")
        await until(pilot, lambda: "negwb theme" in lines(app))
        await pilot.press("down")
        await until(pilot, lambda: app.theme == "negwb-light")
        await pilot.press("escape")
        await until(pilot, lambda: app.theme == "negwb-dark")
        await pilot.press("f2", "enter")  # the other theme for this session only
        await until(pilot, lambda: "negwb theme" in lines(app))
        await pilot.press("down")
        await until(pilot, lambda: app.theme == "ansi-dark")
        await pilot.press("escape")
        await until(pilot, lambda: app.theme == "negwb-light")
        await pilot.press("f2")
        assert (workspace.root / "negwb.toml").read_text() == before
        await pilot.press("enter")
        await until(pilot, lambda: "negwb theme" in lines(app))
        await pilot.press("j", "enter")
        await until(pilot, lambda: read_settings(workspace.root / "negwb.toml").curate.theme == "negwb-light")
    assert app.theme == "negwb-light"
    assert (workspace.root / "negwb.toml").read_text() == before + '\n[curate]\ntheme = "negwb-light"\n'


async def test_f2_offers_to_save_and_f3_saves(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("f2")
        await until(pilot, lambda: "f3 saves it" in lines(app))
        assert read_settings(workspace.root / "negwb.toml").curate.theme == "auto"
        await pilot.press("f3")
        await until(pilot, lambda: read_settings(workspace.root / "negwb.toml").curate.theme == "negwb-light")


async def test_a_failed_write_is_reported(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    (workspace.root / "negwb.toml").write_text("curate = { theme = 'nord' }\n")
    app = opened(open_app, workspace)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("comma")
        await until(pilot, lambda: ready(app))
        await pilot.press("enter")
        await until(pilot, lambda: "cards on which the judges disagree" in lines(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "no safe" in lines(app))  # the rest may be wrapped: the path is in the message
    assert (workspace.root / "negwb.toml").read_text() == "curate = { theme = 'nord' }\n"


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_settings_are_only_text(make_workspace: Any, open_app: Any, size: Any) -> None:
    workspace = make_workspace(1)
    text = "".join(HOSTILE[name] for name in ("markup", "closing", "link", "emoji", "bidi"))
    own = {"small": text, "[/x]": "[@click=app.quit]x[/]"}
    quoted = "\n".join(f'"{name}" = ["{folder}"]' for name, folder in own.items())
    (workspace.root / "negwb.toml").write_text(f"[pictures]\n{quoted}\n", encoding="utf-8")
    app = opened(open_app, workspace)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("comma")
        await until(pilot, lambda: ready(app))
        await pilot.press(*["j"] * 12, "enter")
        await until(pilot, lambda: "pictures.[/x]" in lines(app) and "[@click=app.quit]x[/]" in lines(app))
        assert "\u202e" not in lines(app)


async def test_user_defined_keys_work_on_side_screens(make_workspace: Any, open_app: Any) -> None:
    workspace = make_workspace(2)
    app = opened(open_app, workspace, actions=ActionMap({"progress": "f8", "leave-screen": "f9", "next-page": "y"}))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("f8")
        await until(pilot, lambda: "▸pace◂" in lines(app))
        await pilot.press("y")
        await until(pilot, lambda: "▸decisions◂" in lines(app))
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.screen, CurateScreen))


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"screen-progress": "6"}, "'6' would mean both screen-progress and screen-guidelines"),
        ({"next-page": "r"}, "'r' would mean both next-page and count-anew"),
        ({"progress": "a"}, "'a' would mean both accept and progress"),
        ({"leave-screen": "?"}, "would mean both leave-screen and screen-help"),
    ],
)
def test_key_clashes_on_side_screens_are_refused(own: dict[str, str], expected: str) -> None:
    with pytest.raises(UsageError) as refused:
        ActionMap(own)
    assert expected in refused.value.message


def test_every_setting_has_a_row_and_a_description(tmp_path: Path) -> None:
    assert help_of(CurateSettings).keys() == {each.name for each in fields(CurateSettings)} - {"keys", "panels"}
    assert help_of(TrainSettings).keys() == {each.name for each in fields(TrainSettings)}
    assert help_of(GenerateSettings).keys() == {each.name for each in fields(GenerateSettings)} - {"engines"}
    assert help_of(LintSettings).keys() == {each.name for each in fields(LintSettings)} - {"counter"}
    file = tmp_path / "negwb.toml"
    file.write_text(TEMPLATE)
    settings, rows = read_setting_list(file, ActionMap())
    by_name = {row.name: row for row in rows}
    assert len(by_name) == len(rows)
    text = TEMPLATE.splitlines()
    for name, start in {"curate.order": "order = ", "progress.targets.cue": "cue = "}.items():
        assert text[(by_name[name].line or 0) - 1].startswith(start)
    assert by_name["train.lr"].line is None
    assert all(row.value == row.default for row in rows)
    assert settings.curate == CurateSettings()
    assert [name for name in by_name if can_change(name)] == ["curate.order", "curate.images", "curate.theme"]


def test_every_order_is_a_choice_and_each_setting_says_when_it_applies(tmp_path: Path) -> None:
    offered = {choice.value for choice in choices("order")}
    assert offered == {OLDEST, MISTAKEN, *PrioritySignal}
    file = tmp_path / "negwb.toml"
    file.write_text(TEMPLATE)
    _, rows = read_setting_list(file, ActionMap())
    applies = {row.name: row.applies for row in rows}
    assert [name for name, when in applies.items() if when is Applies.AT_ONCE] == ["curate.theme"]
    assert {applies[name] for name in applies if name.startswith("train.")} == {Applies.NEXT_RUN}
    assert applies["curate.overlap"] is Applies.NEXT_IMPORT
    assert {applies["curate.order"], applies["curate.keys.accept"]} == {Applies.NEXT_START}


def test_user_defined_keys_come_first_with_their_defaults(tmp_path: Path) -> None:
    file = tmp_path / "negwb.toml"
    file.write_text('[curate.keys]\nundo = "f9"\n')
    settings = read_settings(file)
    rows = [
        row
        for row in list_settings(settings, file.read_text(), ActionMap(settings.curate.keys))
        if ".keys." in row.name
    ]
    assert (rows[0].name, rows[0].value, rows[0].default, rows[0].line) == ("curate.keys.undo", "f9", "z", 2)
    assert len(rows) == len(ActionMap().at(*KeyScope))


def test_an_unknown_theme_is_refused_before_the_screen_opens(tmp_path: Path) -> None:
    file = tmp_path / "negwb.toml"
    check_theme("nord", file)
    with pytest.raises(UsageError, match=r"negwb\.toml: \[curate\] theme = 'nope'") as refused:
        check_theme("nope", file)
    assert "negwb-dark, negwb-light" in refused.value.hint
