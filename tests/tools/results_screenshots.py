"""Takes the README's screenshots of the results screens, from a demo run with --auto.

`negwb demo --auto W && python -m tools.results_screenshots W FOLDER`. The last digits of a training depend on the
machine, so a test compares only the texts that belong to the screens and not to the data.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.screenshots import Shot, settled

from workbench.tui.results.app import ResultsApp
from workbench.tui.results.context import Page
from workbench.tui.results.report import ReportScreen
from workbench.workspace.layout import Workspace

_ROW = "demo-negref", "tuned"
"""Task and model of the row under the cursor of the report."""
SHOTS: tuple[tuple[Page, Shot], ...] = (
    ("runs", Shot("runs", (120, 36), "negwb-dark", ("down",))),
    ("report", Shot("report", (120, 36), "negwb-dark", ())),
    ("report", Shot("slices", (80, 24), "negwb-dark", ("enter",))),
    ("report", Shot("item", (120, 36), "negwb-light", ("i", "plus", "down", "enter"))),
)
"""The first page of the app, and the keys to press there."""


def take_results(workspace: Workspace, folder: Path) -> list[Path]:
    """Write the screenshots as SVG into `folder`; return the paths."""
    paths = []
    for page, shot in SHOTS:
        path = folder / f"{shot.name}.svg"
        path.write_text(asyncio.run(take(workspace, page, shot)), encoding="utf-8", newline="\n")
        paths.append(path)
    return paths


async def take(workspace: Workspace, page: Page, shot: Shot, *, row: tuple[str, str] = _ROW) -> str:
    """Return a screenshot as SVG; the cursor of the report is on the task and model `row`."""
    app = ResultsApp(workspace, start=page, theme=shot.theme)
    title = f"negwb {page}"
    async with app.run_test(size=shot.size) as pilot:
        await settled(pilot, title)
        if isinstance(app.screen, ReportScreen):
            rows = [(line.main.task, line.main.model) for line in app.screen.lines]
            app.screen.table.go(rows.index(row))
            await settled(pilot, title)
        for key in shot.keys:
            await pilot.press(key)
            await settled(pilot, title)
        await app.workers.wait_for_complete()
        return await settled(pilot, title, shot.shows)


def main(arguments: Sequence[str]) -> None:
    """Run the script."""
    workspace, folder = arguments
    for path in take_results(Workspace(Path(workspace).absolute()), Path(folder)):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
