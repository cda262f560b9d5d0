"""Takes the README's screenshots of the side screens, from a demo decided by three scripted annotators.

`python -m tools.side_screen_screenshots FOLDER`. A test takes them again and compares all words except times of day.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path

from sqlalchemy import text
from tools.screenshots import Shot, settled

from curation_db.enums import Kind, Reason, Role, Stream
from curation_db.events.annotators import begin_session
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.storage.store import Store, open_store
from workbench.annotation.models import SessionSettings
from workbench.annotation.open import open_session
from workbench.demo.build import DemoFiles, DemoSize, build_demo
from workbench.demo.simulation.annotator import Decisions, read_truth
from workbench.tui.app import NegwbApp
from workbench.workspace.layout import Workspace

SHOTS = (
    Shot("browse", (120, 36), "negwb-dark", ("b", "s", "g", *["down"] * 5)),
    Shot("adjudicate", (120, 36), "negwb-dark", ("d",), "hidden until you have decided"),
    Shot("progress", (120, 36), "negwb-dark", ("p", "right", "right", "right"), "votes in force"),
    Shot("calibration", (120, 36), "negwb-dark", ("p", "left", "n"), "share = P"),
    Shot("history", (120, 36), "negwb-light", ("d", "5"), "imported"),
    Shot("guidelines", (120, 36), "negwb-dark", ("g",)),
    Shot("settings", (120, 36), "negwb-light", ("comma",)),
)
_PICTURES, _DECIDED = 160, 260
_ERROR_RATES = {"ana": 0.04, "ben": 0.08, "cho": 0.15}
"""Share of wrong decisions of each scripted annotator."""
_TITLE = "negwb curate"


def take_side_screens(folder: Path) -> list[Path]:
    """Write the screenshots as SVG into `folder`; return the paths."""
    with tempfile.TemporaryDirectory() as temporary:
        workspace = build_workspace(Path(temporary))
        paths = []
        for shot in SHOTS:
            path = folder / f"{shot.name}.svg"
            path.write_text(asyncio.run(take(workspace, shot)), encoding="utf-8", newline="\n")
            paths.append(path)
        return paths


def build_workspace(folder: Path) -> Workspace:
    """Build the demo below `folder`, with the decisions of the scripted annotators."""
    size = DemoSize(pictures=_PICTURES, pool=1, scenes=1, gallery=2)
    workspace = build_demo(folder / "demo", size=size, overlap="2+1", progress=lambda *_: None)
    with open_store(workspace.database) as store:
        _decide(store, read_truth(DemoFiles(workspace.root).truth))
    return workspace


def _decide(store: Store, truth: Decisions) -> None:
    rng = random.Random(5)
    with store.read() as connection:
        rows = connection.execute(text("SELECT id, key, audit FROM candidate ORDER BY id LIMIT :n"), {"n": _DECIDED})
        cards = [(row.id, row.key, bool(row.audit)) for row in rows]
    writers = {name: DecisionWriter(store, begin_session(store, name, version="screenshots")) for name in _ERROR_RATES}
    for number, key, audit in cards:
        correct, reason = truth[key]
        for name in rng.sample(sorted(writers), 2):
            kind = correct
            if rng.random() < _ERROR_RATES[name]:
                kind = Kind.REJECT if correct is Kind.ACCEPT else Kind.ACCEPT
            used_reason = None if kind is Kind.ACCEPT else (reason or Reason.PRESENT)
            elapsed_ms = round(rng.lognormvariate(0.9, 0.5) * 1000)
            stream = Stream.AUDIT if audit else Stream.REVIEW
            context = PresentationContext(stream=stream, blind=audit, elapsed_ms=elapsed_ms, leased=False)
            writers[name].decide(number, kind, reason=used_reason, shown=context)


async def take(workspace: Workspace, shot: Shot) -> str:
    """Return a screenshot as SVG."""
    serving = SessionSettings(audit_share=0.0, guard_seconds=0.0)
    with open_session(workspace, "dan", role=Role.ADJUDICATOR, serving=serving, version="screenshots") as session:
        session.start()
        app = NegwbApp(session, theme=shot.theme, workspace=workspace)
        async with app.run_test(size=shot.size) as pilot:
            await settled(pilot, _TITLE)
            for key in shot.keys:
                await pilot.press(key)
                await settled(pilot, _TITLE)
            return await settled(pilot, _TITLE, shot.shows)


if __name__ == "__main__":
    for each in take_side_screens(Path(sys.argv[1])):
        sys.stdout.write(f"{each}\n")
