"""The scripted annotator: decides by the ground truth, through the functions that the curate app calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from curation_db.enums import Kind, Reason, Stream
from curation_db.events.annotators import begin_session, end_session
from curation_db.queue.claims import Claim, Queue
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.search.queries import candidate_key
from curation_db.storage.store import Store

NAME = "scripted-annotator"
_CLAIM_SIZE = 20

Decisions = dict[str, tuple[Kind, Reason | None]]
"""The correct decision by candidate key."""


def read_truth(path: Path) -> Decisions:
    """Read the correct decisions from the demo's truth file."""
    decisions: Decisions = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        for key, (kind, reason) in json.loads(line)["decisions"].items():
            decisions[key] = (Kind(kind), Reason(reason) if reason else None)
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


def _served(queue: Queue) -> Iterator[Claim]:
    while claims := queue.claim(_CLAIM_SIZE):
        yield from claims


def _key(store: Store, candidate_id: int) -> str:
    with store.read() as connection:
        return candidate_key(connection, candidate_id)
