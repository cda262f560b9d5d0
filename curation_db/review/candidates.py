"""Insertion of candidates and verdicts; computes cue, token count and audit flag once.

A candidate never changes after its insertion; to insert it again is no error and has no effect.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from curation_db.enums import NegationType, Question, Stream
from curation_db.events import event_clock
from curation_db.events.state import Overlap, fold
from curation_db.language import clip_tokenizer
from curation_db.language.object_mentions import concept_cue
from curation_db.language.sanitize import clean, raw_hash
from curation_db.lint.index import mark_conflicts
from curation_db.queue.audit_order import audit_number, enter_audit_order
from curation_db.queue.groups import group_id
from curation_db.queue.ordering import CONFLICT, OLDEST, refresh_priorities
from curation_db.storage import sqlite
from curation_db.storage.ids import utc_now

# fmt: off
_COLUMNS = (
    "source_id", "key", "image_id", "caption_id", "parent_id", "text", "raw_sha256", "pipeline", "concept",
    "concept_confidence", "negation_type", "generator", "prompt_version", "cue", "cue_class", "cue_position", "tokens",
    "overlap", "stratum", "audit", "audit_rate", "extra", "created_at", "since",
)
# fmt: on
# fmt: off
_VERDICT_COLUMNS = (
    "candidate_id", "judge", "model", "prompt_version", "question", "p", "label_mass", "raw_text", "latency_ms",
    "simulated", "created_at", "method", "prior", "seed",
)
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCandidate:
    source_id: int
    key: str
    """Unique in the source, as generator/id."""
    image_id: int
    raw_text: str
    pipeline: str
    generator: str
    negation_type: NegationType = NegationType.OTHER
    caption_id: int | None = None
    parent_id: int | None = None
    concept: str | None = None
    concept_confidence: float | None = None
    prompt_version: str | None = None
    extra: str | None = None
    """JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVerdict:
    """A verdict to insert; `storage.tables.Verdict` documents the fields."""

    candidate_id: int
    judge: str
    model: str
    prompt_version: str
    question: Question
    p: float | None
    label_mass: float | None = None
    raw_text: str = ""
    latency_ms: float | None = None
    simulated: bool = False
    method: str | None = None
    prior: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """Settings that are fixed in each candidate when it is inserted."""

    overlap: str = "1"
    audit_rate: float = 0.1
    """Sampling rate of the audit set in every stratum that `audit_rates` does not name."""
    audit_rates: Mapping[str, float] = field(default_factory=dict)

    def rate(self, stratum: str) -> float:
        """Return the sampling rate of the audit set in this stratum."""
        return self.audit_rates.get(stratum, self.audit_rate)


def stratum_of(draft: NewCandidate) -> str:
    """Return the audit stratum of a candidate: its pipeline and negation type."""
    return f"{draft.pipeline}/{draft.negation_type}"


def audit_key(connection: Connection) -> bytes:
    """Return the secret key that fixes the audit set.

    It is drawn once per record, so that no import can choose keys that avoid the audit.
    """
    connection.execute(
        text("INSERT INTO record_note(name, value) VALUES ('audit_key', :key) ON CONFLICT DO NOTHING"),
        {"key": os.urandom(16).hex()},
    )
    value = connection.execute(text("SELECT value FROM record_note WHERE name = 'audit_key'")).scalar_one()
    return bytes.fromhex(value)


def insert_candidates(
    connection: Connection, drafts: Sequence[NewCandidate], intake: Intake, *, born_at: int | None = None
) -> list[int]:
    """Insert the `drafts` that are new by source and key; return the ids of the inserted ones, in order.

    `born_at` is the sequence number of the event that creates them and that the caller is about to write.
    """
    key = audit_key(connection)
    stamp = utc_now(), event_clock.next_seq(connection) if born_at is None else born_at
    before = connection.execute(text("SELECT coalesce(max(id), 0) FROM candidate")).scalar_one()
    stored = sqlite.insert_or_ignore(
        connection, "candidate", _COLUMNS, [_row(draft, intake, key, stamp) for draft in drafts]
    )
    if stored and born_at is None:
        event_clock.mark_arrival(connection, event_clock.Arrival.CANDIDATES)
    open_candidates(connection, before, intake.overlap)
    new = connection.execute(text("SELECT id FROM candidate WHERE id > :before ORDER BY id"), {"before": before})
    return [row.id for row in new]


def _row(draft: NewCandidate, intake: Intake, key: bytes, stamp: tuple[str, int]) -> tuple[object, ...]:
    shown = clean(draft.raw_text)
    cue = concept_cue(shown, draft.concept)
    stratum = stratum_of(draft)
    rate = intake.rate(stratum)
    # fmt: off
    return (
        draft.source_id, draft.key, draft.image_id, draft.caption_id, draft.parent_id, shown,
        raw_hash(draft.raw_text), draft.pipeline, draft.concept, draft.concept_confidence, str(draft.negation_type),
        draft.generator, draft.prompt_version, cue.word if cue else None, str(cue.cue_class) if cue else None,
        str(cue.position) if cue else None, clip_tokenizer.count_tokens(shown), intake.overlap, stratum,
        audit_number(key, draft.source_id, draft.key) < rate, rate, draft.extra, *stamp,
    )
    # fmt: on


def open_candidates(connection: Connection, before: int, overlap: str) -> None:
    """Insert the state and the queue entries of all candidates with an id above `before`."""
    fresh = fold((), Overlap.parse(overlap))
    connection.execute(
        text("""INSERT INTO candidate_state
                (candidate_id, state, accepts, rejects, unsures, wanted, flagged, notes, last_seq)
                SELECT id, :state, 0, 0, 0, :wanted, 0, 0, 0 FROM candidate WHERE id > :before"""),
        {"state": fresh.state, "wanted": fresh.wanted, "before": before},
    )
    for stream in Stream:
        values = {"group": group_id(connection, stream, {}, {}), "audit": stream is Stream.AUDIT, "before": before}
        for ordering, priority in ((OLDEST, "id"), (CONFLICT, "0")):
            connection.execute(
                text(f"""INSERT INTO queue_entry(ordering, group_id, priority, candidate_id)
                         SELECT :ordering, :group, {priority}, id FROM candidate
                         WHERE id > :before AND audit = :audit"""),
                {**values, "ordering": ordering},
            )
    enter_audit_order(connection, before + 1)


def insert_verdicts(connection: Connection, verdicts: Iterable[NewVerdict]) -> int:
    """Insert the verdicts that are new and update the queue priorities; return how many were inserted."""
    now = utc_now()
    listed = list(verdicts)
    # fmt: off
    rows = [
        (v.candidate_id, v.judge, v.model, v.prompt_version, str(v.question), v.p, v.label_mass, clean(v.raw_text),
         v.latency_ms, v.simulated, now, v.method, v.prior, v.seed)
        for v in listed
    ]
    # fmt: on
    stored = sqlite.insert_or_ignore(connection, "verdict", _VERDICT_COLUMNS, rows)
    judged = sorted({verdict.candidate_id for verdict in listed})
    refresh_priorities(connection, judged)
    mark_conflicts(connection, judged)
    return stored
