"""An engine of another package, found by its entry point; slow, so that tests can observe it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_CODE = """
import asyncio
from pathlib import Path

from curation_db.enums import Method
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer


class Engine:
    model, simulated, capacity = "toy-1", True, 2

    def __init__(self, pause_file):
        self.pause_file = Path(pause_file)

    async def answer(self, group, store_answer):
        for index, request in enumerate(group):
            await asyncio.sleep(float(self.pause_file.read_text()))
            p = 0.1 if request.answer_format is AnswerFormat.YES_NO else None
            await store_answer(index, ModelAnswer(text="I would rather not say", p=p, tries=1))

    async def close(self):
        pass


async def make(settings, context):
    return Engine(settings.options["pause_file"])
"""


def install(folder: Path) -> Path:
    """Put the package into `folder`, for PYTHONPATH. Its kind is "toy"; `pause_file` holds the seconds per answer."""
    return install_module(folder, "toy_engine", _CODE, {"toy": "toy_engine:make"})


def install_module(folder: Path, module: str, code: str, kinds: Mapping[str, str]) -> Path:
    """Put a package of one module into `folder`; `kinds`: engine kind to its entry point."""
    dist_info = folder / f"{module}-1.0.dist-info"
    dist_info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(code)
    (dist_info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    points = "".join(f"{kind} = {point}\n" for kind, point in kinds.items())
    (dist_info / "entry_points.txt").write_text(f"[negwb.engines]\n{points}")
    return folder
