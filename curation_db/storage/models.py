"""Tables of the record as SQLModel classes: the only definition of the newest schema.

Rows of `source`, `image`, `caption`, `candidate`, `verdict` and `event` are written once and never changed, except for
columns whose description says so. `candidate_state`, `queue_*` and `lease` can be rebuilt from them at any time.

The import of this module costs 0.4 s (sqlmodel). The modules on the way to the next card (`queue`, `review`, `cards`)
use SQL and do not import it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, Float, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy import text as sql_text
from sqlmodel import Field, SQLModel

import curation_db.storage.generation_models  # noqa: F401 -- its tables belong to the schema
from curation_db.enums import Cause, GapCause, Kind, NegationType, PictureShown, Question, Reason, Role, State, Stream
from curation_db.storage.sqlite import TEXT_PREFIX, VERDICT_WORD


def _one_of(column: str, words: type[StrEnum], *, nullable: bool = False) -> CheckConstraint:
    values = ", ".join(f"'{word.value}'" for word in words)
    rule = f"{column} IN ({values})"
    return CheckConstraint(f"{column} IS NULL OR {rule}" if nullable else rule, name=f"{column}_known")


_CAUSE_KNOWN = CheckConstraint(
    f"cause IS NULL OR kind = 'adjudicate' AND cause IN ({', '.join(repr(cause.value) for cause in Cause)})",
    name="cause_known",
)
"""A constraint of the column and not of the table, because a migration added it to existing tables."""

_PICTURE_KNOWN = CheckConstraint(
    f"picture IS NULL OR picture IN ({', '.join(repr(way.value) for way in PictureShown)})", name="picture_known"
)


def _hash(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(LargeBinary(32), nullable=nullable))


def _visible_from() -> Any:
    """Return the column with the number of the first event at which exports show the row (`event_clock`); 0: always."""
    return Field(default=0, sa_column=Column(Integer, nullable=False, server_default=sql_text("0")))


class Source(SQLModel, table=True):
    """Corpus: the name that identifies its images across all imported files."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    licenses: str | None = None
    """JSON: the `licenses` list of a COCO file. Filled in once."""
    licenses_since: int = _visible_from()


class Image(SQLModel, table=True):
    """Image of a source. A later import, or the first look at its file, fills in missing columns, each once.

    `completed` has the event numbers from which exports show the filled-in values.
    """

    __table_args__ = (UniqueConstraint("source_id", "key"),)
    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="source.id")
    key: str
    """Its id in the source, otherwise its file name."""
    file_name: str | None = None
    """Path below one of the source's picture folders (negwb.toml)."""
    width: int | None = None
    height: int | None = None
    content_sha256: bytes | None = _hash(nullable=True)
    extra: str | None = None
    """JSON: further fields of its file (licence, addresses), for the export."""
    completed: str | None = None
    """JSON: column that was filled in later -> number of the first event at which exports show it (`event_clock`)."""
    url: str | None = None
    """Address of the image, if its file name in the data is a URL. Never opened as a file."""


class ImageObject(SQLModel, table=True):
    """Evidence from an annotation file: the number of objects of one category in the image."""

    __tablename__ = "image_object"
    image_id: int = Field(foreign_key="image.id", primary_key=True)
    category: str = Field(primary_key=True)
    count: int
    """A crowd region counts as one object."""


class Caption(SQLModel, table=True):
    """Caption written by a person. `text` is sanitised (curation_db.language.sanitize); the hash is of the raw text."""

    __table_args__ = (UniqueConstraint("source_id", "key"), Index("caption_image", "image_id"))
    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="source.id")
    key: str
    """Its annotation id in the source, otherwise the image's key with the hash of the text."""
    image_id: int = Field(foreign_key="image.id")
    text: str
    raw_sha256: bytes | None = _hash()
    cue: str | None = None
    """The first negation cue, if there is one. Filled in by the indexing after an import."""
    cue_position: str | None = None


class Candidate(SQLModel, table=True):
    """Proposed negated caption. Never changed: an edit creates a child."""

    __table_args__ = (
        UniqueConstraint("source_id", "key"),
        Index("candidate_image", "image_id"),
        Index("candidate_caption", "caption_id"),
        Index("candidate_parent", "parent_id"),
        Index("candidate_cue", "cue"),
        Index("candidate_position", "cue_position"),
        Index("candidate_type", "negation_type"),
        Index("candidate_pipeline", "pipeline"),
        Index("candidate_audit", "audit"),
        Index("candidate_overlap", "overlap"),
        Index("candidate_concept", sql_text("concept COLLATE NOCASE")),
        Index("candidate_beginning", sql_text(f"{TEXT_PREFIX} COLLATE NOCASE")),
        _one_of("negation_type", NegationType),
    )
    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="source.id")
    key: str
    """Generator and the generator's id of the candidate; unique in the source."""
    image_id: int = Field(foreign_key="image.id")
    caption_id: int | None = Field(default=None, foreign_key="caption.id")
    parent_id: int | None = Field(default=None, foreign_key="candidate.id")
    text: str
    raw_sha256: bytes | None = _hash()
    pipeline: str
    """P1, P2, import, edit, ..."""
    concept: str | None = None
    concept_confidence: float | None = None
    """1 if the concept was given or edited by a person; lower if it was derived from the texts."""
    negation_type: str = Field(sa_type=String)
    generator: str
    prompt_version: str | None = None
    cue: str | None = None
    cue_class: str | None = None
    cue_position: str | None = None
    tokens: int
    """CLIP tokens with start and end token; CLIP cuts off more than 77."""
    overlap: str
    """Number of annotators: "1", "3" or "2+1" (`state.Overlap`)."""
    stratum: str
    audit: bool
    """Member of the audit set, fixed when the candidate is created: keyed hash of the candidate < audit_rate."""
    audit_rate: float
    """Sampling probability of the audit set at that time."""
    extra: str | None = None
    """JSON: further fields of its file, for the export."""
    created_at: str
    since: int = _visible_from()


class Verdict(SQLModel, table=True):
    """Answer of one judge to one question about one candidate."""

    __table_args__ = (
        UniqueConstraint("candidate_id", "judge", "question", "prompt_version"),
        Index("verdict_says", "judge", "question", sql_text(VERDICT_WORD), "candidate_id"),
        _one_of("question", Question),
        CheckConstraint("p IS NULL OR (p >= 0 AND p <= 1)", name="p_is_a_probability"),
    )
    id: int | None = Field(default=None, primary_key=True)
    candidate_id: int = Field(foreign_key="candidate.id")
    judge: str
    model: str
    prompt_version: str
    question: str = Field(sa_type=String)
    p: float | None = None
    """P(present) or P(acceptable); None for an unclear answer."""
    label_mass: float | None = None
    """Total probability of the answer words."""
    raw_text: str = ""
    latency_ms: float | None = None
    simulated: bool = False
    created_at: str
    method: str | None = None
    """Source of p (`enums.Method`), with `enums.BLIND_SUFFIX` if the judge does not see images."""
    prior: float | None = None
    """The judge's p for a blank image: its answer without visual evidence."""
    seed: int | None = None


class Annotator(SQLModel, table=True):
    """Person who decides."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    role: str = Field(default=Role.ANNOTATOR.value, sa_type=String)
    created_at: str
    retired_at: str | None = None
    """Time since which the name is out of use and does not count as an annotator; None: in use."""


class WorkSession(SQLModel, table=True):
    """One run of the app by one annotator; its end releases its leases."""

    __tablename__ = "work_session"
    id: str = Field(primary_key=True)
    annotator_id: int = Field(foreign_key="annotator.id")
    host: str
    pid: int
    tool_version: str
    started_at: str
    ended_at: str | None = None


class Event(SQLModel, table=True):
    """Action of an actor on a candidate. Append-only (by triggers); written only by `review`."""

    __table_args__ = (
        Index("event_candidate", "candidate_id", "seq"),
        # The first event of each action. Undo and the history walk along it, whatever the size of a bulk action.
        Index("event_actor", "actor", "seq", sqlite_where=sql_text("uid = act")),
        Index("event_flip", "candidate_id", sqlite_where=sql_text("kind = 'flip'")),
        Index("event_person", "actor", "candidate_id", "kind"),
        Index("event_reason", "reason", "candidate_id", sqlite_where=Column("reason", String).is_not(None)),
        # the number is hasty.HASTY_MS
        Index("event_hasty", "candidate_id", sqlite_where=sql_text("elapsed_ms < 400")),
        Index("event_undo_of", "undo_of", sqlite_where=Column("undo_of", Integer).is_not(None)),
        _one_of("kind", Kind),
        _one_of("role", Role),
        _one_of("stream", Stream),
        _one_of("reason", Reason, nullable=True),
        CheckConstraint("(kind = 'undo') = (undo_of IS NOT NULL)", name="undo_names_its_event"),
        CheckConstraint("(kind = 'edit') = (child_id IS NOT NULL)", name="edit_names_its_child"),
        CheckConstraint(
            "kind NOT IN ('adjudicate', 'flip', 'twin', 'paraphrase') OR verdict IN ('accept', 'reject')",
            name="verdict_said",
        ),
        {"sqlite_autoincrement": True},
    )
    seq: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    """UUIDv7."""
    act: str
    """The uid of the action's first event: one key press may write several events, and undo reverts them together."""
    candidate_id: int = Field(foreign_key="candidate.id")
    actor: str
    """Name of the annotator, or policy@version, or system."""
    role: str = Field(sa_type=String)
    session: str
    stream: str = Field(sa_type=String)
    blind: bool
    kind: str = Field(sa_type=String)
    verdict: str | None = None
    reason: str | None = Field(default=None, sa_type=String)
    cause: str | None = Field(default=None, sa_column=Column(String, _CAUSE_KNOWN))
    """Of an adjudication: cause of the disagreement."""
    note: str | None = None
    undo_of: int | None = Field(default=None, foreign_key="event.seq")
    child_id: int | None = Field(default=None, foreign_key="candidate.id")
    late: bool = False
    """The lease had expired before the decision; the decision counts."""
    elapsed_ms: int | None = None
    """Time on the card in ms, without absences of the annotator."""
    at: str
    gold: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=sql_text("0")))
    """Answer to a gold item (`Gold`): no vote."""
    picture: str | None = Field(default=None, sa_column=Column(String, _PICTURE_KNOWN))
    """How the image was shown at the decision (`enums.PictureShown`); NULL: not recorded."""
    zoomed: bool | None = None
    """Whether the annotator zoomed into the image before the decision; NULL: not recorded."""


class Gold(SQLModel, table=True):
    """Gold item: a candidate with a known answer. It is shown to every annotator, and no answer is a vote."""

    __table_args__ = (
        _one_of("reason", Reason, nullable=True),
        CheckConstraint("answer IN ('accept', 'reject')", name="answer_known"),
        CheckConstraint("reason IS NULL OR answer = 'reject'", name="only_a_rejection_has_a_reason"),
    )
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)
    answer: str
    reason: str | None = Field(default=None, sa_type=String)
    origin: str
    """Source of the answer: a file or an adjudicator."""
    created_at: str


class CandidateState(SQLModel, table=True):
    """Fold of a candidate's events, written in the same transaction as the events."""

    __tablename__ = "candidate_state"
    __table_args__ = (
        _one_of("state", State),
        Index("state_by_state", "state", "candidate_id"),
        Index("state_newest", "last_seq"),
        Index("state_flagged", "candidate_id", sqlite_where=Column("flagged", Boolean).is_(True)),
    )
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)
    state: str = Field(sa_type=String)
    accepts: int = 0
    rejects: int = 0
    unsures: int = 0
    wanted: int
    """Number of further annotators that the candidate needs; 0: it is not in the queue."""
    flagged: bool = False
    notes: int = 0
    last_seq: int = 0
    """Number of the newest event in the fold."""


class QueueGroup(SQLModel, table=True):
    """Candidates with the same voters and the same passes, so that they may go to the same annotators (`queue`)."""

    __tablename__ = "queue_group"
    __table_args__ = (UniqueConstraint("stream", "voters", "passes"),)
    id: int | None = Field(default=None, primary_key=True)
    stream: str = Field(sa_type=String)
    voters: str
    """Ids of the annotators whose vote counts, as ",3,8,"; they do not get the card again."""
    passes: str
    """Annotators who skipped or were unsure with their counts, as ",5:2,"; other annotators get the card first."""


class QueueEntry(SQLModel, table=True):
    """Entry of a candidate in the queue of one ordering; the lowest priority comes first."""

    __tablename__ = "queue_entry"
    __table_args__ = (Index("queue_entry_candidate", "candidate_id"), {"sqlite_with_rowid": False})
    ordering: str = Field(primary_key=True)
    group_id: int = Field(foreign_key="queue_group.id", primary_key=True)
    priority: float = Field(sa_column=Column(Float, primary_key=True))
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)


class CandidateMark(SQLModel, table=True):
    """Searchable finding about a candidate: a lint rule, or a disagreement of the judges.

    Derived data of `lint.index`; can be rebuilt at any time.
    """

    __tablename__ = "candidate_mark"
    __table_args__ = ({"sqlite_with_rowid": False},)
    mark: str = Field(primary_key=True)
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)


class MarkDue(SQLModel, table=True):
    """Candidate that the lint must check again, because new data about its image arrived."""

    __tablename__ = "mark_due"
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)


class Lease(SQLModel, table=True):
    """Reservation of a card for one annotator until `expires_at` (seconds since the epoch)."""

    __table_args__ = (Index("lease_session", "session"),)
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)
    annotator_id: int = Field(foreign_key="annotator.id", primary_key=True)
    session: str
    expires_at: float
    seconds: float = Field(default=600.0, sa_column=Column(Float, nullable=False, server_default=sql_text("600")))
    """Full length of the lease. A lease that expires later than now + this comes from a wrong clock."""


class EventGap(SQLModel, table=True):
    """Range of event numbers without events, for a known cause. A number missing outside all gaps is a lost event."""

    __tablename__ = "event_gap"
    __table_args__ = (_one_of("cause", GapCause), CheckConstraint("first <= last", name="first_to_last"))
    first: int = Field(primary_key=True)
    last: int
    cause: str = Field(sa_type=String)
    at: str


class Lineage(SQLModel, table=True):
    """Stretch of the record's history. The creation of the record and each restore start a new one (`lineage`)."""

    uid: str = Field(primary_key=True)
    """UUIDv7; in a record that was migrated to schema 0004, a UUIDv5 of its audit key."""
    after: int
    """Newest number (of an event or an export) that the lineage inherits from the one before; 0: none."""
    started_at: str
    restored_from: str | None = None
    """Name of the restored backup; NULL: the record was created, or migrated from a schema without lineages."""


class OverlapChange(SQLModel, table=True):
    """Change of a candidate's overlap after its import; `Candidate.overlap` stays the value at its import."""

    __tablename__ = "overlap_change"
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)
    since: int = Field(primary_key=True)
    """Number of the first event at which the change applies (`event_clock`)."""
    overlap: str
    actor: str
    at: str


class RecordNote(SQLModel, table=True):
    """Property of the record itself, for example the audit key or a watermark of the indexing."""

    __tablename__ = "record_note"
    name: str = Field(primary_key=True)
    value: str


metadata = SQLModel.metadata
"""All tables, for `schema.build` and for Alembic."""
