"""A full run of `negwb generate` against the bench's server: captions, images, all stages, a record."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from PIL import Image
from sqlalchemy import text

from curation_db.generation.work_items import Scope
from curation_db.language.sanitize import raw_hash
from curation_db.review.candidates import Intake
from curation_db.storage.store import Store, create_store
from workbench.generation.engines.openai import engine as openai
from workbench.generation.engines.protocol import EngineContext
from workbench.generation.pipelines.registry import steps_of
from workbench.generation.prompts.loader import find_prompts
from workbench.generation.recipe import Recipe
from workbench.generation.runs.counters import RunCounters
from workbench.generation.runs.record_writer import RecordWriter
from workbench.generation.runs.runner import Runner, RunStopped
from workbench.generation.runs.work_source import read_image_tasks
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.engines import EngineSettings, JudgeSettings

_SIZE: Final = (640, 480)
_CAPTIONS: Final = 5
_PER_CAPTION: Final = 4
"""Requests per caption: propose, presence, rewrite, acceptable."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """Figures of a run."""

    per_s: float
    """Answers stored in the record, per second."""
    steady_per_s: float
    """The same in the second half of the run."""
    cpu_ms: float
    """CPU time of this process per request: images, pipelines, transactions of the record."""
    candidates: int


def measure_run(settings: EngineSettings, context: EngineContext, seconds: float, max_per_s: float) -> RunFigures:
    """Run P1 for `seconds`, with more captions than the server can process."""
    with tempfile.TemporaryDirectory() as folder:
        images = max(8, int(max_per_s * seconds * 1.2 / _PER_CAPTION / _CAPTIONS))
        with create_store(Path(folder) / "curation.db") as store:
            _fill(store, Path(folder), images)
            return asyncio.run(_run(store, Path(folder), settings, context, seconds))


def _fill(store: Store, folder: Path, count: int) -> None:
    images, captions = [], []
    for n in range(1, count + 1):
        noise = Image.effect_noise((_SIZE[0] // 8, _SIZE[1] // 8), 90).resize(_SIZE).convert("RGB")
        noise.save(folder / f"{n}.jpg", quality=90)
        images.append({"n": n, "key": str(n), "file": f"{n}.jpg"})
        for index in range(_CAPTIONS):
            caption = f"a man with badge {n}-{index} riding a horse in a field"
            captions.append({"image": n, "key": f"{n}/{index}", "text": caption, "hash": raw_hash(caption)})
    with store.write() as connection:
        connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'bench')"))
        connection.execute(text("INSERT INTO image(id, source_id, key, file_name) VALUES (:n, 1, :key, :file)"), images)
        connection.execute(
            text("""INSERT INTO caption(source_id, key, image_id, text, raw_sha256)
                    VALUES (1, :key, :image, :text, :hash)"""),
            captions,
        )


async def _run(
    store: Store, folder: Path, settings: EngineSettings, context: EngineContext, seconds: float
) -> RunFigures:
    prompts = find_prompts("negwb-p1-1")
    engine = await openai.make(settings, context)
    recipe = Recipe(
        prompts=prompts.version, proposer="bench", judges=(JudgeSettings(name="bench"),), models={"bench": engine.model}
    )
    recorder, counters = RecordWriter(store), RunCounters(None)
    runner = Runner(
        recorder,
        recipe,
        partial(steps_of, recipe=recipe, prompts=prompts),
        {"bench": engine},
        counters=counters,
        budget=context.budget,
        intake=Intake(),
    )
    units = read_image_tasks(
        recorder, Scope(recipe=recipe.hash, kind="caption"), PictureFolders(folder, {"bench": (str(folder),)})
    )
    answers: list[int] = []

    async def watch() -> None:
        await asyncio.sleep(seconds / 2)
        answers.append(_answers(counters))
        await asyncio.sleep(seconds / 2)
        answers.append(_answers(counters))
        runner.stop()

    cpu = time.process_time()
    watching = asyncio.create_task(watch())
    try:
        await runner.run(units)
    except RunStopped:
        pass
    finally:
        watching.cancel()
        await engine.close()
        await asyncio.to_thread(recorder.close)
    cpu = time.process_time() - cpu
    return RunFigures(
        per_s=answers[1] / seconds,
        steady_per_s=(answers[1] - answers[0]) / (seconds / 2),
        cpu_ms=1000 * cpu / max(1, context.budget.requests),
        candidates=_count_candidates(store),
    )


def _answers(counters: RunCounters) -> int:
    return counters.progress(0, {}).answers


def _count_candidates(store: Store) -> int:
    with store.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM candidate")).scalar_one())
