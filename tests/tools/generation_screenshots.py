"""Takes the README's screenshot of the generation screen: `python -m tools.generation_screenshots FOLDER`.

The shown run is written by this script with the functions of a real run. Images and captions are the demo's, so the
screenshot is the same on every machine, and a test takes it again and compares.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text
from tools.screenshots import Shot, portable

from curation_db.enums import GenerationState, ItemStatus, StopReason
from curation_db.generation.runs import StageProgress, end_run, record_heartbeat, start_run
from curation_db.generation.work_items import FinishedItem, store_finished
from curation_db.review.candidates import Intake
from curation_db.storage.ids import utc_text
from curation_db.storage.store import open_store
from workbench.demo.build import DemoSize, build_demo
from workbench.tui.results.app import ResultsApp
from workbench.workspace.layout import Workspace

SHOTS = (Shot("generate", (120, 36), "negwb-dark", (), "items without a candidate"),)
_PATIENCE: Final = 500
_RECIPE: Final = "5f0c2a9e1b47"
_HOUR: Final = 3_600.0
_MODELS: Final = {"llama": "llama-3.1-8b-instruct", "llava": "llava-v1.6-mistral-7b", "qwen": "qwen2.5-vl-7b-instruct"}
_DROPS: Final = (
    ("dropped", "present", "hat: llava .91, qwen .88"),
    ("failed", "failed:timeout", "qwen, 6 requests"),
    ("dropped", "present", "bench: llava .77, qwen .93"),
    ("dropped", "lint:chatter", "Sure! Here is the caption"),
    ("dropped", "no-concept", "3 proposals named what the caption names"),
    ("dropped", "present", "ball: qwen .81"),
)


def settings(pipeline: str = "P1", **more: Any) -> dict[str, Any]:
    """Return the settings that a run stores."""
    judges = [{"name": name, "questions": ["acceptable", "present"]} for name in ("llava", "qwen")]
    recipe = {"pipeline": pipeline, "proposer": "llama", "judges": judges, "models": _MODELS}
    engines = {name: {"kind": "openai", "url": "http://127.0.0.1:8000/v1"} for name in _MODELS}
    return {"pipeline": pipeline, "recipe": recipe, "engines": engines, "simulated": [], **more}


def half_way() -> StageProgress:
    """Return the progress of a run of 2,000 captions in its third minute."""
    stages = {
        "propose": (1_387, 1_374, 9, 240),
        "presence": (2_702, 2_688, 3, 481),
        "rewrite": (861, 850, 0, 133),
        "acceptable": (1_676, 1_671, 1, 262),
    }
    # fmt: off
    return StageProgress(
        items_total=2_000, items_done=1_248, items_kept=812, dropped=423, failed=13, requests=6_671, answers=6_583,
        remembered=1_116, tokens=4_812_404, cost=0.71, items_per_s=8.4, requests_per_s=44.9, eta_s=89.6, in_flight=96,
        stages={
            name: dict(zip(("asked", "answered", "failed", "remembered"), counts, strict=True))
            for name, counts in stages.items()
        },
        reasons={"present": 337, "lint:chatter": 41, "no-concept": 27, "unclear": 18, "failed:timeout": 9,
                 "failed:refused": 4},
        capacity={"llama": 32, "llava": 48, "qwen": 24},
    )
    # fmt: on


def write_runs(connection: Connection, now: float) -> int:
    """Write a finished run, a run stopped by its budget, and a live run on another machine; return the live run."""
    done = start_run(connection, recipe=_RECIPE, settings=settings(), now=utc_text(now - 26 * _HOUR))
    progress = StageProgress(
        items_total=500, items_done=500, items_kept=341, dropped=159, requests=2_610, answers=2_610
    )
    end_run(connection, done, GenerationState.DONE, progress, now=utc_text(now - 25.9 * _HOUR))
    capped = start_run(connection, recipe="a41b77d0c3e2", settings=settings("P2"), now=utc_text(now - 3 * _HOUR))
    progress = StageProgress(
        items_total=900, items_done=622, items_kept=471, dropped=151, requests=1_500, answers=1_500, cost=0.25
    )
    message = "the budget is reached: 1,500 of 1,500 requests"
    # fmt: off
    end_run(connection, capped, GenerationState.STOPPED, progress, message, stop_reason=StopReason.BUDGET,
            now=utc_text(now - 2.9 * _HOUR))
    # fmt: on
    live = start_run(connection, recipe=_RECIPE, settings=settings(limit=2_000), now=utc_text(now - 161))
    record_heartbeat(connection, live, half_way(), now=utc_text(now))
    connection.execute(text("UPDATE generation_run SET host = 'gpu-3', pid = 4217 WHERE id = :id"), {"id": live})
    return live


def write_drops(connection: Connection, run: int, drops: Sequence[tuple[str, str, str]] = _DROPS) -> None:
    """Write items of the run without a candidate: the first caption of each image."""
    captions = connection.execute(
        text("SELECT min(id) AS id, image_id FROM caption GROUP BY image_id ORDER BY image_id LIMIT :n"),
        {"n": len(drops)},
    ).all()
    # fmt: off
    finished = [
        FinishedItem(item=f"caption/{caption.id}", image_id=caption.image_id, status=ItemStatus(status), reason=reason,
                 detail=detail, attempts=3)
        for (status, reason, detail), caption in zip(drops, captions, strict=False)
    ]
    # fmt: on
    store_finished(connection, run, _RECIPE, finished, Intake(audit_rate=0.0))


def take_generation(folder: Path) -> list[Path]:
    """Write the screenshot as SVG into `folder`; return the paths."""
    with tempfile.TemporaryDirectory() as temporary:
        size = DemoSize(pictures=12, pool=1, scenes=1, gallery=2)
        workspace = build_demo(Path(temporary) / "demo", size=size, progress=lambda *_: None)
        paths = []
        for shot in SHOTS:
            with open_store(workspace.database) as store, store.write() as connection:
                write_drops(connection, write_runs(connection, time.time()))
            path = folder / f"{shot.name}.svg"
            path.write_text(asyncio.run(_take(workspace, shot)), encoding="utf-8", newline="\n")
            paths.append(path)
        return paths


async def _take(workspace: Workspace, shot: Shot) -> str:
    app = ResultsApp(workspace, start="generate", theme=shot.theme)
    async with app.run_test(size=shot.size) as pilot:
        for _ in range(_PATIENCE):
            await pilot.pause(0.02)
            shown = portable(app.export_screenshot(title="negwb generate"))
            if shot.shows in shown.replace("&#160;", " "):
                await pilot.press(*shot.keys)
                await pilot.pause()
                return portable(app.export_screenshot(title="negwb generate"))
    raise TimeoutError(f"the screen never showed {shot.shows!r}")


if __name__ == "__main__":
    for path in take_generation(Path(sys.argv[1])):
        sys.stdout.write(f"{path}\n")
