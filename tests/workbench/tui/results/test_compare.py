"""Marking, comparing and grouping training runs, with real key presses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.results import HOSTILE, build_workspace, lines, make_run, running, until
from support.screen_sizes import SIZES, THEMES

from trainers.run_files import METRICS, RunWriter
from trainers.settings import TrainSettings
from workbench.tui.rendering.runs import COLUMNS, columns_for, comparison_rows
from workbench.tui.results.app import ResultsApp
from workbench.tui.results.compare import CompareScreen
from workbench.tui.results.runs import RunsScreen
from workbench.tui.widgets.curve import Curve, spread
from workbench.tui.widgets.lines.action_line import ActionLine
from workbench.workspace.layout import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Create runs whose newest is first in the list: c, b, a."""
    created = build_workspace(tmp_path / "workspace")
    make_run(created, "a", 40, settings=TrainSettings(lr=5e-6, seed=1), guard=True)
    make_run(created, "b", 20, done=False, settings=TrainSettings(lr=1e-6, seed=1), guard=True)
    make_run(created, "c", 40, settings=TrainSettings(lr=1e-6, seed=2, keep="last"), guard=True)
    return created


def listed(app: ResultsApp) -> list[str]:
    """Return the names in the list of runs, in its order."""
    assert isinstance(app.screen, RunsScreen)
    return list(app.screen.table._keys)


def line(app: ResultsApp, name: str) -> str:
    return next(row for row in lines(app).split("\n") if row.lstrip(" │▸≠●").startswith(name))


async def compare(app: ResultsApp, pilot: Any, *keys: str) -> CompareScreen:
    await until(pilot, lambda: "40/40" in lines(app))
    await pilot.press(*keys, "c")
    await until(pilot, lambda: isinstance(app.screen, CompareScreen) and "differ" in lines(app))
    assert isinstance(app.screen, CompareScreen)
    return app.screen


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", THEMES)
async def test_exactly_the_settings_that_differ_are_highlighted(
    workspace: Workspace, size: tuple[int, int], theme: str
) -> None:
    app = ResultsApp(workspace, theme=theme)
    async with running(app, size) as pilot:
        screen = await compare(app, pilot, "space", "down", "space", "down")
        assert screen.names == ["c", "b", "a"]
        assert "3 settings differ" in lines(app)
        signs = [row.replace("▸", "").replace("│", "").split() for row in lines(app).split("\n") if "≠" in row]
        assert [row[:5] for row in signs] == [
            ["≠", "lr", "1e-06", "1e-06", "5e-06"],
            ["≠", "keep", "last", "best", "best"],
            ["≠", "seed", "2", "1", "1"],
        ]
        assert screen.snapshot is not None
        rows = comparison_rows(screen.snapshot)
        assert [row.name for row in rows if row.differs] == ["lr", "keep", "seed"]
        assert all(len(set(row.values)) == 1 for row in rows if row.quiet)
        await until(pilot, lambda: all(mark in lines(app) for mark in ("● c", "■ b", "▲ a")))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert [line(app, name).count("●") for name in "cba"] == [1, 1, 0]


async def test_a_comparison_needs_two_runs_and_the_chosen_one_is_part_of_it(workspace: Workspace) -> None:
    app = ResultsApp(workspace)
    async with running(app, (80, 24)) as pilot:
        await until(pilot, lambda: "40/40" in lines(app))
        await pilot.press("c")
        await until(pilot, lambda: "a comparison needs two runs" in lines(app))
        await pilot.press("space", "c")
        await pilot.pause()
        assert isinstance(app.screen, RunsScreen), "one run is marked, and it is the chosen one"
        await pilot.press("space")
        assert app.context.marked == [], "a second space removes the mark"
        screen = await compare(app, pilot, "space", "end")
        assert screen.names == ["c", "a"]


async def test_the_comparison_follows_the_runs_and_draws_each_figure(workspace: Workspace) -> None:
    app = ResultsApp(workspace)
    async with running(app, (80, 24)) as pilot:
        screen = await compare(app, pilot, "space", "down")
        titles = [str(screen.query_one("#overlay").border_title)]
        for _ in range(7):
            await pilot.press("v")
            await pilot.pause()
            titles.append(str(screen.query_one("#overlay").border_title))
        assert titles[0] == titles[7] == "validation loss"
        assert set(titles) == {
            "training loss", "validation loss", "masked validation loss", "validation R@1", "learning rate",
            "affirmative R@1, images", "affirmative R@1, texts",
        }  # fmt: skip
        await pilot.press("V")
        await until(pilot, lambda: str(screen.query_one("#overlay").border_title) == "training loss")
        drawn = screen.query_one(Curve)._series
        assert [(each.label, len(each.points)) for each in drawn] == [("c", 40), ("b", 20)]
        RunWriter(workspace.root / "runs" / "b").metrics({"step": 21, "steps": 40, "loss": 1.5})
        await until(pilot, lambda: "21/40" in line(app, "step"))
        assert len(screen.query_one(Curve)._series[1].points) == 21


@pytest.mark.parametrize("size", SIZES)
async def test_runs_are_grouped_by_a_setting(workspace: Workspace, size: tuple[int, int]) -> None:
    app = ResultsApp(workspace)
    async with running(app, size) as pilot:
        await until(pilot, lambda: "40/40" in lines(app))
        await pilot.press("down", "g")
        await until(pilot, lambda: "group by" in lines(app) and "1e-06, 5e-06" in lines(app))
        choices = [row.strip(" │") for row in lines(app).split("\n") if " · " not in row and "│" in row]
        assert not [row for row in choices if row.startswith("batch")], "only settings that differ"
        await pilot.press("down", "enter")
        await until(pilot, lambda: " lr " in lines(app) and "mean val" in lines(app))
        assert listed(app) == ["c", "b", "a"]
        assert app.screen.query_one(RunsScreen.table.selector).chosen == "b", "the cursor stays on its run"  # type: ignore[attr-defined]
        group = next(row for row in lines(app).split("\n") if "1e-06" in row and "/40" in row)
        assert "2.4500" in group, "the mean of 2.2 and 2.7"
        await pilot.press("g", "down", "down", "enter")
        await until(pilot, lambda: " seed " in lines(app) and listed(app) == ["b", "a", "c"])
        await pilot.press("g", "home", "enter")
        await until(pilot, lambda: "mean val" not in lines(app))
        assert listed(app) == ["c", "b", "a"]


async def test_equal_runs_have_no_group(tmp_path: Path) -> None:
    workspace = build_workspace(tmp_path / "workspace")
    for name in ("a", "b"):
        make_run(workspace, name)
    app = ResultsApp(workspace)
    async with running(app, (80, 24)) as pilot:
        await until(pilot, lambda: "40/40" in lines(app))
        await pilot.press("g")
        await until(pilot, lambda: "no setting differs between the runs" in lines(app))


@pytest.mark.parametrize("size", SIZES)
async def test_damaged_and_hostile_runs_are_compared_as_text(workspace: Workspace, size: tuple[int, int]) -> None:
    hostile = make_run(workspace, "[red]x\u202e[", 20, model=HOSTILE, settings=TrainSettings(lr=2e-6))
    with (hostile / METRICS).open("a") as file:
        file.write('{"step": "x", "loss": NaN, "lr": 1e999}\n\x1b[2J\n')
    damaged = make_run(workspace, "damaged", 3)
    (damaged / "config.json").write_bytes(b"\xff")
    app = ResultsApp(workspace)
    async with running(app, size) as pilot:
        await until(pilot, lambda: "damaged" in lines(app))
        screen = await compare(app, pilot, "space", "down", "space", "down")
        await until(pilot, lambda: "[red]x[" in lines(app))
        await pilot.press("v", "down", "end", "v")
        lines(app)
        for path in (hostile, damaged):
            for part in path.iterdir():
                part.unlink()
            path.rmdir()
        await until(pilot, lambda: screen.snapshot is not None and [each.row.name for each in screen.snapshot] == ["c"])
        await pilot.press("escape", "g")
        await until(pilot, lambda: "group by" in lines(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "mean val" in lines(app))


@pytest.mark.parametrize("size", SIZES)
async def test_the_log_can_have_the_place_of_the_curve(workspace: Workspace, size: tuple[int, int]) -> None:
    writer = RunWriter(workspace.root / "runs" / "c")
    for number in range(60):
        writer.log(f"line {number} \x1b[2J[/x]")
    app = ResultsApp(workspace)
    async with running(app, size) as pilot:
        await until(pilot, lambda: "line 59 [2J[/x]" in lines(app) and "training loss" in lines(app))
        few = lines(app).count("line ")
        await pilot.press("l")
        await until(pilot, lambda: lines(app).count("line ") > few + 4)
        assert "training loss" not in lines(app)
        assert "line 59" in lines(app)
        await pilot.press("l")
        await until(pilot, lambda: "training loss" in lines(app) and lines(app).count("line ") == few)


async def test_no_key_is_dead_without_a_run(tmp_path: Path) -> None:
    app = ResultsApp(build_workspace(tmp_path / "workspace"))
    async with running(app, (80, 24)) as pilot:
        await until(pilot, lambda: "No training run yet" in lines(app))
        for key in ("s", "r", "space", "c", "g", "l", "n"):
            before = lines(app)
            await pilot.press(key)
            await until(pilot, lambda: "there is no" in lines(app))
            app.screen.query_one(ActionLine).clear()
            app.clear_notifications()
            await until(pilot, lambda before=before: lines(app) == before)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("width", [80, 115, 120])
def test_all_columns_of_the_list_fit(width: int, grouped: bool) -> None:
    columns = [COLUMNS[name] for name in columns_for(width, grouped=grouped)]
    fixed = sum(column.width for column in columns) + 2 * (len(columns) - 1)
    outside = 2 + 3  # the sign of the cursor, margins and scroll bar
    assert width - fixed - outside >= 8, "cells for the name of the run"


def test_marks_are_spread_over_a_line() -> None:
    points = tuple((float(step), 0.0) for step in range(100))
    assert [step for step, _ in spread(points, 4)] == [0, 33, 66, 99]
    assert spread(points[:3], 4) == points[:3]
