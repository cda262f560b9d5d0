"""Run SugarCrepe's captions through P1 with the scripted engine, and count the rewrites that each rule rejects.

`python -m support.sugarcrepe` in the folder tests prints the table for all of them.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from support.pipeline_driver import drive, make_image_task

from workbench.demo.simulation.scripted_engine import ScriptedEngine, make
from workbench.generation.budget import Budget
from workbench.generation.engines.protocol import EngineContext
from workbench.generation.models import CaptionItem
from workbench.generation.pipelines.object_absence import object_absence
from workbench.generation.prompts.loader import find_prompts
from workbench.generation.recipe import Recipe
from workbench.workspace.settings.engines import EngineSettings, JudgeSettings


def read_captions(folder: Path) -> list[str]:
    """Return the distinct captions of SugarCrepe's files in `folder`, in the order of the files."""
    rows = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    return list(dict.fromkeys(row["caption"] for table in rows for row in table.values()))


def scripted(**options: object) -> ScriptedEngine:
    """Return a scripted engine with these options."""
    settings = EngineSettings(name="script", kind="scripted", options=options)
    return asyncio.run(make(settings, EngineContext(budget=Budget())))


def lint_yield(captions: Sequence[str], *, rewrites: int = 1) -> Counter[str]:
    """Count the results of `captions` by reason of rejection, or "kept"."""
    engine, prompts = scripted(), find_prompts("negwb-p1-1")
    recipe = Recipe(
        prompts=prompts.version, proposer="script", judges=(JudgeSettings(name="script"),), rewrites=rewrites
    )
    counts = Counter[str]()
    for number, text in enumerate(captions):
        caption = CaptionItem(number, str(number), text)
        image_task = replace(make_image_task(), captions=(caption,), wanted=frozenset({caption.item}))
        (outcome,) = drive(
            object_absence(image_task, recipe, prompts), lambda request: engine.reply(request.request)
        ).outcomes
        counts[outcome.reason or "kept"] += 1
    return counts


def table(counts: Counter[str]) -> str:
    """Return a table of counts and shares in descending order."""
    total = counts.total()
    return "\n".join(f"{reason:24}{count:6,}  {count / total:7.2%}" for reason, count in counts.most_common())


def sample(captions: Sequence[str], size: int) -> list[str]:
    """Return a sample of `size` captions, the same in every run."""
    return random.Random(0).sample(captions, min(size, len(captions)))


if __name__ == "__main__":
    REAL = read_captions(Path(__file__).resolve().parents[3] / "shared" / "data" / "sugarcrepe")
    for tries in (1, 2):
        print(f"{len(REAL):,} captions, {tries} rewrites at most", table(lint_yield(REAL, rewrites=tries)), sep="\n")  # noqa: T201
