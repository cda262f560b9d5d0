"""A workspace with an export, and a tiny CLIP on disk: the input of trainings and benchmark runs."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from sqlalchemy import text
from support.clip_models import draw_pictures, make_tiny, sentence

from curation_db.enums import Kind
from curation_db.events.annotators import begin_session
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import open_store
from trainers.models.saving import save_model
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace
from workbench.workspace.operations import freeze_set

NEGWB = Path(sys.executable).with_name("negwb")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NEGWB_WORKSPACE": ""}


def make_workspace(root: Path, *, pictures: int = 12, pairs: int = 24, captions: bool = False) -> Workspace:
    """Create ws/ with an export set-001 of accepted pairs, and the model tiny/ beside it.

    Args:
        captions: Whether the pairs have an original caption and a concept.
    """
    workspace = create_workspace(root / "ws")
    paths = draw_pictures(workspace.root / "pictures", pictures)
    workspace.settings.write_text('[pictures]\nsmall = ["pictures"]\n', encoding="utf-8")
    rng = random.Random(1)
    with open_store(workspace.database) as store:
        with store.write() as connection:
            connection.execute(text("INSERT INTO source(id, name) VALUES (1, 'small')"))
            for number, path in enumerate(paths, 1):
                connection.execute(
                    text("INSERT INTO image(id, source_id, key, file_name) VALUES (:n, 1, :n, :file)"),
                    {"n": number, "file": path.name},
                )
                if captions:
                    connection.execute(
                        text("""INSERT INTO caption(id, source_id, key, image_id, text, raw_sha256)
                                VALUES (:n, 1, :n, :n, :text, zeroblob(32))"""),
                        {"n": number, "text": sentence(rng)},
                    )
            drafts = [
                NewCandidate(
                    source_id=1,
                    key=f"g/{n}",
                    image_id=n % pictures + 1,
                    raw_text=f"{sentence(rng)} no hat {n}",
                    pipeline="P1",
                    generator="g",
                    caption_id=n % pictures + 1 if captions else None,
                    concept="hat" if captions else None,
                )
                for n in range(pairs)
            ]
            ids = insert_candidates(connection, drafts, Intake(audit_rate=0.0))
        ana = DecisionWriter(store, begin_session(store, "ana", version="test"))
        for candidate in ids:
            ana.decide(candidate, Kind.ACCEPT)
    freeze_set(workspace)
    save_model(make_tiny(), root / "tiny")
    return workspace


def negwb(workspace: Workspace, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command `negwb` in a process of its own."""
    command = [str(NEGWB), "-w", str(workspace.root), *map(str, arguments)]
    environment = {**os.environ, **ONE_THREAD}
    return subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, timeout=120, check=False
    )
