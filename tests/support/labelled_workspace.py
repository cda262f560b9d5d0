"""A workspace whose candidates two people decided: the input of a benchmark from the record."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text
from support.clip_models import draw_pictures

from curation_db.enums import Kind, Reason
from curation_db.events.annotators import begin_session
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

THINGS = ("hat", "ball", "cup")


def negated_caption(number: int) -> str:
    thing = THINGS[number // 4 % 3]
    return f"a man with no {thing}" if number // 2 % 2 else f"a man without a {thing}"


def is_true(number: int) -> bool:
    return number % 2 == 0


def make_labelled(root: Path, count: int = 24, *, images: int | None = None) -> Workspace:
    """Create a workspace with `count` candidates that ana and bob decided alike: every other one is true.

    Args:
        images: Number of images; further candidates are of the first ones again. None: one per candidate.
    """
    images = images or count
    workspace = create_workspace(root)
    paths = draw_pictures(workspace.root / "pictures", images)
    workspace.settings.write_text('[pictures]\nsmall = ["pictures"]\n', encoding="utf-8")
    with open_store(workspace.database) as store:
        with store.write() as connection:
            connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'small')"))
            for number, path in enumerate(paths, 1):
                connection.execute(
                    text("INSERT INTO image(id, source_id, key, file_name) VALUES (:n, 1, :n, :file)"),
                    {"n": number, "file": path.name},
                )
            drafts = [
                NewCandidate(
                    source_id=1,
                    key=f"g/{number}",
                    image_id=number % images + 1,
                    raw_text=negated_caption(number),
                    concept=THINGS[number // 4 % 3],
                    pipeline="P1",
                    generator="g",
                )
                for number in range(count)
            ]
            ids = insert_candidates(connection, drafts, Intake(overlap="2+1", audit_rate=0.0))
        for name in ("ana", "bob"):
            writer = DecisionWriter(store, begin_session(store, name, version="test"))
            for number, candidate in enumerate(ids):
                if is_true(number):
                    writer.decide(candidate, Kind.ACCEPT)
                else:
                    writer.decide(candidate, Kind.REJECT, reason=Reason.PRESENT)
    return workspace
