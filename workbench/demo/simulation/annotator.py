"""The scripted annotator: decides by the ground truth, through the functions that the curate app calls.

The truth file has the decisions about the demo's own candidates. A candidate that `negwb generate` made is rejected as
present if the scene has its concept, as ungrammatical if its text fails the checks of a rewrite; else it is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Row, text

from curation_db.enums import Kind, NegationType, Reason, Stream
from curation_db.events.annotators import begin_session, end_session
from curation_db.queue.claims import Claim, Queue
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.search.queries import candidate_key
from curation_db.storage.store import Store
from workbench.demo.simulation.oracle import right_decision
from workbench.demo.simulation.proposer import Proposal
from workbench.demo.simulation.scripted_engine import TRUTH, DrawnWorld
from workbench.generation.engines.requests import ImagePayload
from workbench.generation.models import CaptionItem, ImageTask
from workbench.generation.pipelines.rewrite_checks import check_rewrite
from workbench.workspace.settings.engines import Edits

NAME = "scripted-annotator"
_CLAIM_SIZE = 20
_CANDIDATES = text("""
    SELECT c.key, c.text, c.concept, c.negation_type, s.name || '/' || m.key AS image, o.text AS caption
    FROM candidate c JOIN image m ON m.id = c.image_id JOIN source s ON s.id = m.source_id
    LEFT JOIN caption o ON o.id = c.caption_id
""")

Decisions = dict[str, tuple[Kind, Reason | None]]
"""The correct decision by candidate key."""


def read_truth(path: Path) -> Decisions:
    """Read the correct decisions from the demo's truth file."""
    decisions: Decisions = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        for key, (kind, reason) in json.loads(line)["decisions"].items():
            decisions[key] = (Kind(kind), Reason(reason) if reason else None)
    return decisions


def right_decisions(store: Store, folder: Path) -> Decisions:
    """Return the correct decision about each candidate of the demo workspace `folder`, also about generated ones."""
    decisions, world = read_truth(folder / TRUTH), DrawnWorld(folder)
    with store.read() as connection:
        for row in connection.execute(_CANDIDATES):
            if row.key not in decisions:
                decisions[row.key] = _generated_decision(world, row)
    return decisions


def decide_all(store: Store, truth: Decisions, *, version: str, progress: Callable[[int], None]) -> int:
    """Decide every candidate that the queue serves; return their number."""
    actor = begin_session(store, NAME, version=version)
    queue, writer = Queue(store, actor), DecisionWriter(store, actor)
    done = 0
    try:
        for claim in _served(queue):
            kind, reason = truth[_key(store, claim.candidate_id)]
            context = PresentationContext(stream=claim.stream, blind=claim.stream is Stream.AUDIT)
            writer.decide(claim.candidate_id, kind, reason=reason, shown=context)
            done += 1
            progress(done)
    finally:
        end_session(store, actor)
    return done


def _generated_decision(world: DrawnWorld, row: Row[Any]) -> tuple[Kind, Reason | None]:
    """Return the decision about a candidate that is not in the truth file; unsure if it is not of the drawn world."""
    image, caption = ImagePayload(key=row.image), CaptionItem(0, "", row.caption or "")
    scene = world.scene(image)
    if scene is None or row.concept is None:
        return Kind.UNSURE, None
    task = ImageTask(picture=image, source_id=0, source="", captions=(caption,), wanted=frozenset(), objects={})
    check = check_rewrite(task, caption, row.text, row.concept, denies_thing=False, edits=Edits.FREE)
    flaw = None if check.ok else Reason.UNGRAMMATICAL
    proposal = Proposal(row.text, row.concept, NegationType(row.negation_type), "P1", "", flaw)
    try:
        return right_decision(scene, proposal)
    except ValueError:  # a concept that the drawn world does not know
        return Kind.UNSURE, None


def _served(queue: Queue) -> Iterator[Claim]:
    while claims := queue.claim(_CLAIM_SIZE):
        yield from claims


def _key(store: Store, candidate_id: int) -> str:
    with store.read() as connection:
        return candidate_key(connection, candidate_id)
