"""The README's screenshots of the lab, from a demo that has run by itself.

`negwb demo --auto W && python -m tools.lab_screenshots W FOLDER`. A training's last digits depend on the
machine, so no test compares them with the kept ones.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.screenshots import Shot, portable

from workbench.tui.results.app import ResultsApp
from workbench.tui.results.context import Page
from workbench.workspace.layout import Workspace

SHOTS: tuple[tuple[Page, Shot], ...] = (
    ("runs", Shot("runs", (120, 36), "negwb-dark", ("down",))),
    ("report", Shot("report", (120, 36), "negwb-dark", ("down",) * 5)),
    ("report", Shot("item", (120, 36), "negwb-light", (*("down",) * 5, "i", "down", "down", "enter"))),
)
"""The page that the lab opens with, and what is pressed there."""
_SETTLED_S = 1.5


def take_lab(workspace: Workspace, folder: Path) -> list[Path]:
    """Write all of them as SVG into `folder`; returns their paths."""
    made = []
    for page, shot in SHOTS:
        path = folder / f"{shot.name}.svg"
        path.write_text(asyncio.run(_take(workspace, page, shot)), encoding="utf-8", newline="\n")
        made.append(path)
    return made


async def _take(workspace: Workspace, page: Page, shot: Shot) -> str:
    app = ResultsApp(workspace, start=page, theme=shot.theme)
    async with app.run_test(size=shot.size) as pilot:
        await _settle(app)
        for key in shot.keys:
            await pilot.press(key)
            if len(key) == 1 or key == "enter":
                await _settle(app)
        await _settle(app)
        return portable(app.export_screenshot(title=f"negwb {page}"))


async def _settle(app: ResultsApp) -> None:
    """Until what is being read is read, however busy the machine is, and painted."""
    await asyncio.sleep(_SETTLED_S)
    await app.workers.wait_for_complete()
    await asyncio.sleep(_SETTLED_S)


def main(words: Sequence[str]) -> None:
    """The script."""
    workspace, folder = words
    for made in take_lab(Workspace(Path(workspace).absolute()), Path(folder)):
        sys.stdout.write(f"{made}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
