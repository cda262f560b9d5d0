"""Bench `generate-memory`: memory of a run of `negwb generate` over many captions, with an engine that answers at once.

The run is the whole of `generate`: plan, pipeline P1, record, progress. Only the network is left out.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from benchmarks.speed.support.harness import report_progress
from curation_db.enums import Method, Stage
from curation_db.generation.progress import StageProgress
from curation_db.language.sanitize import raw_hash
from curation_db.storage.sqlite import batches
from curation_db.storage.store import Store, open_store
from workbench.generation.budget import Budget
from workbench.generation.engines.protocol import Engine, EngineContext, StoreAnswer
from workbench.generation.engines.requests import AnswerFormat, ModelAnswer, ModelRequest
from workbench.generation.runs.plan import make_plan
from workbench.generation.runs.session import GenerationOptions, generate
from workbench.workspace.create import create_workspace
from workbench.workspace.picture_folders import PictureFolders
from workbench.workspace.settings.engines import EngineSettings
from workbench.workspace.settings.generation import GenerateSettings

ITEMS: Final = 100_000
_QUICK_ITEMS: Final = 1_000
_CAPTIONS: Final = 5
_ENGINE: Final = "bench"


class InstantEngine:
    """An engine that answers every request at once, and counts it in the budget."""

    model, simulated, capacity = "instant", True, 32

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    async def answer(self, group: Sequence[ModelRequest], store_answer: StoreAnswer) -> None:
        """See `Engine`."""
        for index, request in enumerate(group):
            self._budget.reserve()
            await store_answer(index, _answer(request))

    async def close(self) -> None:
        """See `Engine`."""


def _answer(request: ModelRequest) -> ModelAnswer:
    if request.answer_format is AnswerFormat.YES_NO:
        p = 0.9 if request.stage is Stage.ACCEPTABLE else 0.1
        return ModelAnswer(text="yes" if p > 0.5 else "no", p=p, label_mass=1.0, method=Method.LOGPROBS)
    if request.stage is Stage.PROPOSE:
        return ModelAnswer(text="a unicycle")
    return ModelAnswer(text=f"{request.facts['caption']} without a {request.facts['concept']}")


async def _open(settings: EngineSettings, context: EngineContext) -> Engine:
    return InstantEngine(context.budget)


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    items = _QUICK_ITEMS if quick else ITEMS
    return measure(items, items // 10)  # by then the caches of SQLite and of texts are full


def measure(items: int, first: int) -> dict[str, Any]:
    """Generate for `items` captions; measure the resident memory after the first ones and near the end."""
    samples: list[tuple[int, int]] = []

    def on_progress(progress: StageProgress) -> None:
        if progress.items_done and (not samples or progress.items_done > samples[-1][0]):
            gc.collect()
            samples.append((progress.items_done, resident_bytes()))
            report_progress(f"{progress.items_done:,} items, {samples[-1][1] / 2**20:.1f} MiB")

    with _workspace(items) as (workspace, store):
        plan = make_plan(
            GenerateSettings(engines={_ENGINE: EngineSettings(name=_ENGINE, kind="instant")}),
            proposer=_ENGINE,
            judges=(_ENGINE,),
        )
        ended = generate(
            workspace,
            store,
            plan,
            GenerationOptions(),
            PictureFolders(workspace.root, {}),
            on_progress=on_progress,
            factory=_open,
        )
    assert ended.progress.items_kept == items, ended
    begin = next((sample for sample in samples if sample[0] >= first), samples[0])
    end = samples[-1]
    return {
        "items": items,
        "first_items": begin[0],
        "first_mib": round(begin[1] / 2**20, 1),
        "last_items": end[0],
        "last_mib": round(end[1] / 2**20, 1),
        "bytes_per_item": round((end[1] - begin[1]) / max(1, end[0] - begin[0]), 1),
        "notes": ["resident memory of the process without mapped files; growth from first_items to last_items"],
    }


def resident_bytes() -> int:
    """Return the resident anonymous memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


@contextmanager
def _workspace(items: int) -> Iterator[tuple[Any, Store]]:
    with tempfile.TemporaryDirectory() as folder:
        workspace = create_workspace(Path(folder) / "ws")
        with open_store(workspace.database) as store:
            for numbers in batches(range(items), 10_000):
                _insert(store, numbers)
            yield workspace, store


def _insert(store: Store, numbers: Sequence[int]) -> None:
    images = [{"n": n // _CAPTIONS + 1, "key": str(n // _CAPTIONS)} for n in numbers if n % _CAPTIONS == 0]
    captions = []
    for n in numbers:
        caption = f"a man with badge {n} riding a horse in a field"
        captions.append({"image": n // _CAPTIONS + 1, "key": str(n), "text": caption, "hash": raw_hash(caption)})
    with store.write() as connection:
        connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'bench') ON CONFLICT DO NOTHING"))
        connection.execute(text("INSERT INTO image(id, source_id, key) VALUES (:n, 1, :key)"), images)
        connection.execute(
            text("""INSERT INTO caption(source_id, key, image_id, text, raw_sha256)
                    VALUES (1, :key, :image, :text, :hash)"""),
            captions,
        )
