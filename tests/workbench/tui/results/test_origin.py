"""The screens from a run to its export and to the decisions behind it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.ablated import ablated_workspace
from support.results import HOSTILE, build_workspace, fill_results, lines, make_run, running, until

from curation_db.exporting.manifest import ITEMS_FILE
from workbench.tui.results.app import ResultsApp
from workbench.tui.results.origin import DecisionsScreen, OriginScreen
from workbench.tui.results.report import ReportScreen
from workbench.tui.results.runs import RunsScreen
from workbench.workspace.layout import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return ablated_workspace(tmp_path_factory.mktemp("origin"))


@pytest.mark.parametrize("size", [(120, 36), (60, 20)])
async def test_from_a_row_of_the_report_to_the_decisions_and_back(workspace: Workspace, size: tuple[int, int]) -> None:
    app = ResultsApp(workspace, start="report", base="set-001.ablate-accepted")
    async with running(app, size) as pilot:
        await until(pilot, lambda: "80.0" in lines(app))
        await pilot.press("home", "o")
        await until(pilot, lambda: "all pairs" in lines(app))
        assert isinstance(app.screen, OriginScreen)
        assert app.screen.origin is not None
        assert "4 accepted and 0 rejected" in " ".join(lines(app).split())
        rows = {row.value: (row.pairs, row.left_out) for row in app.screen.rows if row.cut in (None, "reason")}
        assert rows == {"all pairs": (4, 3), "present": (0, 2), "scope": (0, 1)}
        app.screen.table.choose("reason\0present")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DecisionsScreen))
        await until(pilot, lambda: "bob · present" in lines(app))
        assert "2 pairs" in lines(app)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, ReportScreen))


async def test_from_a_run_to_its_export(workspace: Workspace) -> None:
    app = ResultsApp(workspace, start="runs")
    async with running(app) as pilot:
        await until(pilot, lambda: "ablate-scope" in lines(app))
        await pilot.press("enter")
        await until(pilot, lambda: "all pairs" in lines(app))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


async def test_hostile_texts_of_an_export_are_shown_as_text(tmp_path: Path) -> None:
    workspace = ablated_workspace(tmp_path)
    file = workspace.exports / "set-001" / ITEMS_FILE
    items = [json.loads(line) | {"text": HOSTILE, "cue": HOSTILE} for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(item) + "\n" for item in items))
    app = ResultsApp(workspace, start="report", base="set-001.ablate-accepted")
    async with running(app) as pilot:
        await until(pilot, lambda: "80.0" in lines(app))
        await pilot.press("home", "o")
        await until(pilot, lambda: "[not a dog]" in lines(app))
        await pilot.press("enter")
        await until(pilot, lambda: "4 accepted" not in lines(app) and "[not a dog]" in lines(app))


async def test_a_model_without_a_run_and_a_run_without_its_export_are_named(tmp_path: Path) -> None:
    workspace = build_workspace(tmp_path / "ws")
    fill_results(workspace)
    make_run(workspace, "run-001")
    app = ResultsApp(workspace, start="report")
    async with running(app) as pilot:
        await until(pilot, lambda: "85.0" in lines(app))
        await pilot.press("o")
        await until(pilot, lambda: "no run of this workspace" in lines(app))
        await pilot.press("9")
        await until(pilot, lambda: "run-001" in lines(app))
        await pilot.press("o")
        await until(pilot, lambda: "does not exist here" in lines(app))
