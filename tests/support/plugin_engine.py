"""An engine that somebody else wrote: a package in a folder, found by its entry point; slow, so it can be watched."""

from __future__ import annotations

from pathlib import Path

_CODE = """
import asyncio

from curation_db.enums import Method
from workbench.generation.engines.requests import Answer, Want


class Engine:
    model, simulated, capacity = "toy-1", True, 2

    def __init__(self, pause):
        self.pause = pause

    async def answer(self, group, stored):
        for at, ask in enumerate(group):
            await asyncio.sleep(self.pause)
            p = 0.1 if ask.want is Want.YES_NO else None
            await stored(at, Answer(text="I would rather not say", p=p, tries=1))

    async def close(self):
        pass


async def make(settings, surroundings):
    return Engine(float(settings.options.get("pause", 0)))
"""


def install(folder: Path) -> Path:
    """Put the package into `folder`, for PYTHONPATH; its kind is "toy"."""
    told = folder / "toy_engine-1.0.dist-info"
    told.mkdir(parents=True)
    (folder / "toy_engine.py").write_text(_CODE)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-engine\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[negwb.engines]\ntoy = toy_engine:make\n")
    return folder
