"""The whole of `negwb generate` against the bench's server: captions, pictures, all stages, a record."""

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
from workbench.workspace.engine_settings import EngineSettings, JudgeSettings
from workbench.workspace.picture_folders import PictureFolders

_SIZE: Final = (640, 480)
_CAPTIONS: Final = 5
_PER_CAPTION: Final = 4
"""Questions: which concept, is it there, the rewrite, the whole."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What a run of so many seconds came to."""

    per_s: float
    """Answers that are in the record."""
    steady_per_s: float
    """In its second half."""
    cpu_ms: float
    """Of this process, a request: pictures, pipelines, the record's transactions, all in all."""
    kept: int


def whole(settings: EngineSettings, surroundings: EngineContext, seconds: float, most_per_s: float) -> Whole:
    """P1 for so long, with more captions than the server can answer for."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = max(8, int(most_per_s * seconds * 1.2 / _PER_CAPTION / _CAPTIONS))
        with create_store(Path(folder) / "curation.db") as store:
            _fill(store, Path(folder), pictures)
            return asyncio.run(_run(store, Path(folder), settings, surroundings, seconds))


def _fill(store: Store, folder: Path, pictures: int) -> None:
    images, captions = [], []
    for n in range(1, pictures + 1):
        noise = Image.effect_noise((_SIZE[0] // 8, _SIZE[1] // 8), 90).resize(_SIZE).convert("RGB")
        noise.save(folder / f"{n}.jpg", quality=90)
        images.append({"n": n, "key": str(n), "file": f"{n}.jpg"})
        for place in range(_CAPTIONS):
            said = f"a man with badge {n}-{place} riding a horse in a field"
            captions.append({"image": n, "key": f"{n}/{place}", "text": said, "hash": raw_hash(said)})
    with store.write() as connection:
        connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'bench')"))
        connection.execute(text("INSERT INTO image(id, source_id, key, file_name) VALUES (:n, 1, :key, :file)"), images)
        connection.execute(
            text("""INSERT INTO caption(source_id, key, image_id, text, raw_sha256)
                    VALUES (1, :key, :image, :text, :hash)"""),
            captions,
        )


async def _run(
    store: Store, folder: Path, settings: EngineSettings, surroundings: EngineContext, seconds: float
) -> Whole:
    prompts = find_prompts("negwb-p1-1")
    engine = await openai.make(settings, surroundings)
    recipe = Recipe(
        prompts=prompts.version, proposer="bench", judges=(JudgeSettings(name="bench"),), models={"bench": engine.model}
    )
    recorder, tally = RecordWriter(store), RunCounters(None)
    runner = Runner(
        recorder,
        recipe,
        partial(steps_of, recipe=recipe, prompts=prompts),
        {"bench": engine},
        counters=tally,
        budget=surroundings.budget,
        intake=Intake(),
    )
    units = read_image_tasks(
        recorder, Scope(recipe=recipe.hash, kind="caption"), PictureFolders(folder, {"bench": (str(folder),)})
    )
    answers: list[int] = []

    async def watch() -> None:
        await asyncio.sleep(seconds / 2)
        answers.append(_answers(tally))
        await asyncio.sleep(seconds / 2)
        answers.append(_answers(tally))
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
    return Whole(
        per_s=answers[1] / seconds,
        steady_per_s=(answers[1] - answers[0]) / (seconds / 2),
        cpu_ms=1000 * cpu / max(1, surroundings.budget.requests),
        kept=_kept(store),
    )


def _answers(tally: RunCounters) -> int:
    return tally.progress(0, {}).answers


def _kept(store: Store) -> int:
    with store.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM candidate")).scalar_one())
