"""How candidates and verdicts enter the record: cues, tokens and the audit flag are settled here, once.

A candidate is never changed after it was inserted; inserting it again is no error and changes nothing.
"""

from __future__ import annotations

import hashlib
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
    """A candidate on its way into the record."""

    source_id: int
    key: str
    """Unique in the source: generator/id."""
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
    """A verdict on its way into the record; see `tables.Verdict` for the fields."""

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
    """What applies to candidates from now on; fixed in each of them when it is created."""

    overlap: str = "1"
    audit_rate: float = 0.1
    """The share kept for the audit, in every stratum that `audit_rates` does not name."""
    audit_rates: Mapping[str, float] = field(default_factory=dict)

    def rate(self, stratum: str) -> float:
        """The sampling probability of the audit in this stratum."""
        return self.audit_rates.get(stratum, self.audit_rate)


def stratum_of(draft: NewCandidate) -> str:
    """The stratum of the audit sample that a candidate belongs to: its pipeline and negation type."""
    return f"{draft.pipeline}/{draft.negation_type}"


def audit_key(connection: Connection) -> bytes:
    """The secret that fixes who is in the audit; made once for a record, so that nobody can aim at it."""
    connection.execute(
        text("INSERT INTO record_note(name, value) VALUES ('audit_key', :key) ON CONFLICT DO NOTHING"),
        {"key": os.urandom(16).hex()},
    )
    value = connection.execute(text("SELECT value FROM record_note WHERE name = 'audit_key'")).scalar_one()
    return bytes.fromhex(value)


def audit_number(key: bytes, source_id: int, candidate_key: str) -> float:
    """u(candidate), uniform in [0, 1): it is in the audit where u < the rate, so raising the rate only adds."""
    told = f"{source_id}\0{candidate_key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(told, key=key, digest_size=8).digest(), "big") / 2**64


def insert_candidates(
    connection: Connection, drafts: Sequence[NewCandidate], intake: Intake, *, born_at: int | None = None
) -> list[int]:
    """Insert `drafts` that are new (by source and key); returns the ids of those that went in, in order.

    `born_at`: the number of the event that makes them, which the caller is about to write.
    """
    key = audit_key(connection)
    stamp = utc_now(), event_clock.next_seq(connection) if born_at is None else born_at
    before = connection.execute(text("SELECT coalesce(max(id), 0) FROM candidate")).scalar_one()
    stored = sqlite.insert_or_ignore(
        connection, "candidate", _COLUMNS, [_row(draft, intake, key, stamp) for draft in drafts]
    )
    if stored and born_at is None:
        event_clock.mark_arrival(connection, event_clock.Arrival.CANDIDATES)
    _open(connection, before, intake.overlap)
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


def _open(connection: Connection, before: int, overlap: str) -> None:
    """Give the candidates beyond `before` their state and their places in the queues."""
    fresh = fold((), Overlap.parse(overlap))
    connection.execute(
        text("""INSERT INTO candidate_state
                (candidate_id, state, accepts, rejects, unsures, wanted, flagged, notes, last_seq)
                SELECT id, :state, 0, 0, 0, :wanted, 0, 0, 0 FROM candidate WHERE id > :before"""),
        {"state": fresh.state, "wanted": fresh.wanted, "before": before},
    )
    for stream in Stream:
        place = {"group": group_id(connection, stream, {}, {}), "audit": stream is Stream.AUDIT, "before": before}
        for ordering, priority in ((OLDEST, "id"), (CONFLICT, "0")):
            connection.execute(
                text(f"""INSERT INTO queue_entry(ordering, group_id, priority, candidate_id)
                         SELECT :ordering, :group, {priority}, id FROM candidate
                         WHERE id > :before AND audit = :audit"""),
                {**place, "ordering": ordering},
            )


def insert_verdicts(connection: Connection, opinions: Iterable[NewVerdict]) -> int:
    """Store verdicts that are new, and let the queues know; returns how many went in."""
    now = utc_now()
    told = list(opinions)
    # fmt: off
    rows = [
        (o.candidate_id, o.judge, o.model, o.prompt_version, str(o.question), o.p, o.label_mass, clean(o.raw_text),
         o.latency_ms, o.simulated, now, o.method, o.prior, o.seed)
        for o in told
    ]
    # fmt: on
    stored = sqlite.insert_or_ignore(connection, "verdict", _VERDICT_COLUMNS, rows)
    judged = sorted({o.candidate_id for o in told})
    refresh_priorities(connection, judged)
    mark_conflicts(connection, judged)
    return stored
