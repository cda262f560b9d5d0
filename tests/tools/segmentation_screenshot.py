"""Takes the README's screenshot of an item with masks, from a workspace with results of `negwb apply ris`.

`python -m tools.segmentation_screenshot W FOLDER`, after the commands that the README names below the picture. The
masks depend on a training, so a test compares only the texts that belong to the screen.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.results_screenshots import take
from tools.screenshots import Shot

from workbench.workspace.layout import Workspace

ROW = "demo-regions-clipseg-affirm", "tuned"
"""Task and model of the row under the cursor of the report."""
SHOT = Shot("ris-item", (120, 36), "negwb-dark", ("i", "enter"))


def main(arguments: Sequence[str]) -> None:
    """Run the script."""
    workspace, folder = arguments
    path = Path(folder) / f"{SHOT.name}.svg"
    content = asyncio.run(take(Workspace(Path(workspace).absolute()), "report", SHOT, row=ROW))
    path.write_text(content, encoding="utf-8", newline="\n")
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
