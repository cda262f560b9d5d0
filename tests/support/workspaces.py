"""Small workspaces for tests of screens, and key presses that wait for the screen."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from sqlalchemy import text
from textual.pilot import Pilot

from curation_db.enums import NegationType, Question
from curation_db.language.sanitize import clean, raw_hash
from curation_db.review.candidates import Intake, NewCandidate, NewVerdict, insert_candidates, insert_verdicts
from curation_db.storage.store import Store, create_store
from workbench.annotation.session import AnnotationSession
from workbench.tui.screens.curate import CurateScreen

HOSTILE = {
    "markup": "a park with [not a dog] in it",
    "closing": "no dog [/x] here",
    "link": "[@click=app.quit]x[/] no cat",
    "escape": "a \x1b[31mred\x1b[0m \x1b]0;owned\x07 bus without a driver",
    "bidi": "no \u202edog\u202c and \u2067cat\u2069",
    "null": "no\x00thing at all",
    "emoji": "a family 👨‍👩‍👧‍👦 without a tent ⛺️",
    "long": "not " + "xy " * 333_333,
}


@dataclass
class Case:
    """One candidate of a test workspace."""

    caption: str = "a woman riding a horse in a field"
    text: str = "a woman not wearing a hat riding a horse in a field"
    concept: str | None = "hat"
    judges: tuple[float | None, ...] = (0.07, 0.76)
    siblings: tuple[str, ...] = ()
    raw: str = "No."
    simulated: bool = False
    picture: bool = True


@dataclass
class WorkspaceFixture:
    """A workspace on disk."""

    root: Path
    store: Store
    ids: list[int] = field(default_factory=list)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read through a second connection, which sees only committed rows."""
        connection = sqlite3.connect(self.root / "curation.db")
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def events(self) -> list[tuple[Any, ...]]:
        """Return (candidate, kind, reason) of all events, in order."""
        return self.rows("SELECT candidate_id, kind, reason FROM event ORDER BY seq")

    def states(self) -> dict[int, str]:
        """Return the state of every candidate."""
        return dict(self.rows("SELECT candidate_id, state FROM candidate_state"))


def draw(path: Path, number: int) -> None:
    """Draw a small image: sky, grass and two shapes."""
    image = Image.new("RGB", (160, 120), (150, 190, 225))
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, 78, 160, 120), fill=(110, 150, 90))
    canvas.ellipse((50 + number % 5 * 8, 45, 100, 95), fill=(120, 80, 60))
    canvas.rectangle((20, 20, 36, 90), fill=(90, 70, 60))
    image.save(path)


def build(root: Path, cases: list[Case], *, audit_rate: float = 0.0, overlap: str = "1") -> WorkspaceFixture:
    """Create a workspace with one image and one candidate per case."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "pictures").mkdir()
    (root / "negwb.toml").write_text('[pictures]\nsmall = ["pictures"]\n', encoding="utf-8")
    store = create_store(root / "curation.db")
    workspace = WorkspaceFixture(root, store)
    with store.write() as connection:
        connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'small')"))
        for number, case in enumerate(cases, 1):
            if case.picture:
                draw(root / "pictures" / f"{number:03}.png", number)
            workspace.ids.append(_insert(connection, number, case, Intake(overlap=overlap, audit_rate=audit_rate)))
            # fmt: off
            opinions = [
                NewVerdict(candidate_id=workspace.ids[-1], judge=f"judge-{i}", model=f"model-{i}", prompt_version="v1",
                        question=Question.PRESENT, p=p, raw_text=case.raw, simulated=case.simulated)
                for i, p in enumerate(case.judges)
            ]
            # fmt: on
            insert_verdicts(connection, opinions)
    return workspace


def _insert(connection: Any, number: int, case: Case, intake: Intake) -> int:
    connection.execute(
        text("INSERT INTO image(id, source_id, key, file_name) VALUES (:n, 1, :key, :file)"),
        {"n": number, "key": f"{number:03}", "file": f"{number:03}.png"},
    )
    caption_id = None
    for offset, words in enumerate((case.caption, *case.siblings)):
        row = connection.execute(
            text("""INSERT INTO caption(source_id, key, image_id, text, raw_sha256)
                    VALUES (1, :key, :n, :text, :hash) RETURNING id"""),
            {"key": f"{number}/{offset}", "n": number, "text": clean(words), "hash": raw_hash(words)},
        )
        inserted = row.scalar_one()
        caption_id = inserted if caption_id is None else caption_id
    # fmt: off
    draft = NewCandidate(source_id=1, key=f"k{number}", image_id=number, raw_text=case.text, pipeline="P1",
                  generator="test", negation_type=NegationType.ATTRIBUTE, caption_id=caption_id,
                  concept=case.concept)
    # fmt: on
    return insert_candidates(connection, [draft], intake)[0]


async def settled(pilot: Pilot[Any], *, seconds: float = 45.0) -> None:
    """Wait until the card or the end of the queue is shown and painted."""
    session: AnnotationSession = pilot.app.session  # type: ignore[attr-defined]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await pilot.pause(0)
        screens = [screen for screen in pilot.app.screen_stack if isinstance(screen, CurateScreen)]
        ready = session.finished or (session.current is not None and screens[0].shown is session.current)
        ready = ready or (session.probe is not None and screens[0]._probe is session.probe)
        if ready and not screens[0]._turn.locked():
            await pilot.pause(0)
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no card was shown in time")


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys one after the other; wait for the screen after each."""
    for key in keys:
        await pilot.press(key)
        await settled(pilot)
