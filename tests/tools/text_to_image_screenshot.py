"""Takes the README's screenshot of a text-to-image item, from a workspace with results of `negwb apply t2i`.

`python -m tools.text_to_image_screenshot W FOLDER`. Shows the first item of the task t2i-everyday and the model tuned.
The README names the commands that made the workspace.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tools import results_screenshots
from tools.screenshots import Shot

from workbench.workspace.layout import Workspace

SHOT = Shot("t2i", (120, 36), "negwb-light", ("i", "enter"))
ROW = "t2i-everyday", "tuned"


def main(arguments: Sequence[str]) -> None:
    """Run the script."""
    workspace, folder = arguments
    svg = asyncio.run(results_screenshots.take(Workspace(Path(workspace).absolute()), "report", SHOT, row=ROW))
    path = Path(folder) / f"{SHOT.name}.svg"
    path.write_text(svg, encoding="utf-8", newline="\n")
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
