"""The tables of the record (DESIGN section 4), as SQLModel classes: the schema's one definition.

Rows of `source`, `image`, `caption`, `candidate`, `verdict` and `event` are written once and never changed (but for
columns that say so); `candidate_state`, `queue_*` and `lease` can be rebuilt from them at any time.

Importing this module costs 0.4 s (sqlmodel): the way to the next card (`queue`, `review`, `cards`) speaks SQL and
does not import it.
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
    listed = ", ".join(f"'{word.value}'" for word in words)
    rule = f"{column} IN ({listed})"
    return CheckConstraint(f"{column} IS NULL OR {rule}" if nullable else rule, name=f"{column}_known")


_CAUSE_KNOWN = CheckConstraint(
    f"cause IS NULL OR kind = 'adjudicate' AND cause IN ({', '.join(repr(cause.value) for cause in Cause)})",
    name="cause_known",
)
"""At the column and not at the table, since it was added to records that had events already."""

_PICTURE_KNOWN = CheckConstraint(
    f"picture IS NULL OR picture IN ({', '.join(repr(way.value) for way in PictureShown)})", name="picture_known"
)


def _hash(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(LargeBinary(32), nullable=nullable))


def _visible_from() -> Any:
    """The number of the first event at which it shows in exports (`moments`); 0: it was always there."""
    return Field(default=0, sa_column=Column(Integer, nullable=False, server_default=sql_text("0")))


class Source(SQLModel, table=True):
    """A corpus: the name under which its pictures are known, whatever files tell of them."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    licenses: str | None = None
    """JSON: the `licenses` list of a COCO file; written once."""
    licenses_since: int = _visible_from()


class Image(SQLModel, table=True):
    """A picture of a source. What its row did not say is filled in, once, by a later import or when its file is seen.

    `completed` then tells from when on it shows.
    """

    __table_args__ = (UniqueConstraint("source_id", "key"),)
    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="source.id")
    key: str
    """Its id in the source, else its file name."""
    file_name: str | None = None
    """Below one of the source's picture folders (negwb.toml)."""
    width: int | None = None
    height: int | None = None
    content_sha256: bytes | None = _hash(nullable=True)
    extra: str | None = None
    """JSON: what else its file said (licence, addresses), for the export."""
    completed: str | None = None
    """JSON: of each column that was filled in later, the number of the first event at which it shows (`moments`)."""
    url: str | None = None
    """Where the picture is on the network, if its file name is a URL; kept whole, never opened as a file."""


class ImageObject(SQLModel, table=True):
    """Evidence: so many things of this category are in the picture, says an annotation file."""

    __tablename__ = "image_object"
    image_id: int = Field(foreign_key="image.id", primary_key=True)
    category: str = Field(primary_key=True)
    count: int
    """How many; a crowd region counts as one."""


class Caption(SQLModel, table=True):
    """A human's caption. `text` is clean (curation_db.language.sanitize); the hash is that of the raw text."""

    __table_args__ = (UniqueConstraint("source_id", "key"), Index("caption_image", "image_id"))
    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="source.id")
    key: str
    """Its annotation id in the source, else made of the picture's key and the text's hash."""
    image_id: int = Field(foreign_key="image.id")
    text: str
    raw_sha256: bytes | None = _hash()
    cue: str | None = None
    """The first negation cue, where there is one; filled in by the indexing after an import."""
    cue_position: str | None = None


class Candidate(SQLModel, table=True):
    """A proposed negated caption. Never changed: an edit makes a child."""

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
    """Unique in the source: the generator's name and its id there."""
    image_id: int = Field(foreign_key="image.id")
    caption_id: int | None = Field(default=None, foreign_key="caption.id")
    parent_id: int | None = Field(default=None, foreign_key="candidate.id")
    text: str
    raw_sha256: bytes | None = _hash()
    pipeline: str
    """P1, P2, import, edit, ..."""
    concept: str | None = None
    concept_confidence: float | None = None
    """1 where it was stated or edited by a person; less where it was derived from the texts."""
    negation_type: str = Field(sa_type=String)
    generator: str
    prompt_version: str | None = None
    cue: str | None = None
    cue_class: str | None = None
    cue_position: str | None = None
    tokens: int
    """CLIP tokens with both ends; more than 77 are cut off by CLIP."""
    overlap: str
    """How many people are asked: "1", "3", or "2+1"."""
    stratum: str
    audit: bool
    """Fixed here and now: keyed hash of the candidate < audit_rate (DESIGN section 4)."""
    audit_rate: float
    """The sampling probability that applied to it."""
    extra: str | None = None
    """JSON: what else its file said, for the export."""
    created_at: str
    since: int = _visible_from()


class Verdict(SQLModel, table=True):
    """One judge's answer to one question about one candidate."""

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
    """P(present) or P(acceptable); none where the answer was neither (unclear)."""
    label_mass: float | None = None
    """How much of the probability the answer words had together."""
    raw_text: str = ""
    latency_ms: float | None = None
    simulated: bool = False
    created_at: str
    method: str | None = None
    """Where p came from (`words.Method`)."""
    prior: float | None = None
    """What it says of a blank picture: the answer without looking."""
    seed: int | None = None


class Annotator(SQLModel, table=True):
    """A person who decides, by name."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    role: str = Field(default=Role.ANNOTATOR.value, sa_type=String)
    created_at: str
    retired_at: str | None = None
    """Set: this name is out of use and does not count as a person who decides."""


class WorkSession(SQLModel, table=True):
    """One run of the app by one annotator; its leases die with it."""

    __tablename__ = "work_session"
    id: str = Field(primary_key=True)
    annotator_id: int = Field(foreign_key="annotator.id")
    host: str
    pid: int
    tool_version: str
    started_at: str
    ended_at: str | None = None


class Event(SQLModel, table=True):
    """What somebody did to a candidate. Append-only, by trigger; written by `review` alone."""

    __table_args__ = (
        Index("event_candidate", "candidate_id", "seq"),
        # an act by its first event: what undo and looking back walk along, however many events a bulk has written
        Index("event_actor", "actor", "seq", sqlite_where=sql_text("uid = act")),
        Index("event_flip", "candidate_id", sqlite_where=sql_text("kind = 'flip'")),
        Index("event_person", "actor", "candidate_id", "kind"),
        Index("event_reason", "reason", "candidate_id", sqlite_where=Column("reason", String).is_not(None)),
        # sooner than a card can be seen (hasty.HASTY_MS)
        Index("event_hasty", "candidate_id", sqlite_where=sql_text("elapsed_ms < 400")),
        Index("event_undo_of", "undo_of", sqlite_where=Column("undo_of", Integer).is_not(None)),
        _one_of("kind", Kind),
        _one_of("role", Role),
        _one_of("stream", Stream),
        _one_of("reason", Reason, nullable=True),
        CheckConstraint("(kind = 'undo') = (undo_of IS NOT NULL)", name="undo_names_its_event"),
        CheckConstraint("(kind = 'edit') = (child_id IS NOT NULL)", name="edit_names_its_child"),
        CheckConstraint("kind NOT IN ('adjudicate', 'flip') OR verdict IN ('accept', 'reject')", name="verdict_said"),
        {"sqlite_autoincrement": True},
    )
    seq: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    """UUIDv7."""
    act: str
    """The uid of the act's first event: one key press may write several, and undo takes them back together."""
    candidate_id: int = Field(foreign_key="candidate.id")
    actor: str
    """The annotator's name, or policy@version, or system."""
    role: str = Field(sa_type=String)
    session: str
    stream: str = Field(sa_type=String)
    blind: bool
    kind: str = Field(sa_type=String)
    verdict: str | None = None
    reason: str | None = Field(default=None, sa_type=String)
    cause: str | None = Field(default=None, sa_column=Column(String, _CAUSE_KNOWN))
    """Of an adjudication: why people disagreed."""
    note: str | None = None
    undo_of: int | None = Field(default=None, foreign_key="event.seq")
    child_id: int | None = Field(default=None, foreign_key="candidate.id")
    late: bool = False
    """The lease was gone when the decision came; it counts all the same."""
    elapsed_ms: int | None = None
    """Time on the card, without that in which nobody was there."""
    at: str
    gold: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=sql_text("0")))
    """An answer to a card whose answer is known (`Gold`): no vote, so it settles nothing."""
    picture: str | None = Field(default=None, sa_column=Column(String, _PICTURE_KNOWN))
    """How the picture was shown when the person decided (`words.PictureShown`); NULL: not recorded."""
    zoomed: bool | None = None
    """Whether the person zoomed into the picture before the decision; NULL: not recorded."""


class Gold(SQLModel, table=True):
    """A candidate whose answer is known: everybody is asked, nobody's answer counts as a vote (`gold`)."""

    __table_args__ = (
        _one_of("reason", Reason, nullable=True),
        CheckConstraint("answer IN ('accept', 'reject')", name="answer_known"),
        CheckConstraint("reason IS NULL OR answer = 'reject'", name="only_a_rejection_has_a_reason"),
    )
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)
    answer: str
    reason: str | None = Field(default=None, sa_type=String)
    origin: str
    """Who says so: the file it came from, or the adjudicator."""
    created_at: str


class CandidateState(SQLModel, table=True):
    """The fold of a candidate's events, written with them in one transaction."""

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
    """How many more people are to be asked now; 0: nobody."""
    flagged: bool = False
    notes: int = 0
    last_seq: int = 0
    """The newest event in the fold."""


class QueueGroup(SQLModel, table=True):
    """Items alike in whom they may still be asked of: who has voted, who passed how often (`queue`)."""

    __tablename__ = "queue_group"
    __table_args__ = (UniqueConstraint("stream", "voters", "passes"),)
    id: int | None = Field(default=None, primary_key=True)
    stream: str = Field(sa_type=String)
    voters: str
    """",3,8,": ids of the annotators whose vote counts; they are not asked again."""
    passes: str
    """",5:2,": annotators who skipped or were unsure, and how often; others are asked first."""


class QueueEntry(SQLModel, table=True):
    """A place in a queue: one row per ordering policy and claimable candidate, least priority first."""

    __tablename__ = "queue_entry"
    __table_args__ = (Index("queue_entry_candidate", "candidate_id"), {"sqlite_with_rowid": False})
    ordering: str = Field(primary_key=True)
    group_id: int = Field(foreign_key="queue_group.id", primary_key=True)
    priority: float = Field(sa_column=Column(Float, primary_key=True))
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)


class CandidateMark(SQLModel, table=True):
    """What a machine found about a candidate, to be searched: a rule of the lint, or that the judges disagree.

    See `marks`. Can be made again at any time.
    """

    __tablename__ = "candidate_mark"
    __table_args__ = ({"sqlite_with_rowid": False},)
    mark: str = Field(primary_key=True)
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)


class MarkDue(SQLModel, table=True):
    """A candidate to be looked at again: something came in about its picture after it was marked."""

    __tablename__ = "mark_due"
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)


class Lease(SQLModel, table=True):
    """A card that is in somebody's hands until `expires_at` (seconds since the epoch)."""

    __table_args__ = (Index("lease_session", "session"),)
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)
    annotator_id: int = Field(foreign_key="annotator.id", primary_key=True)
    session: str
    expires_at: float
    seconds: float = Field(default=600.0, sa_column=Column(Float, nullable=False, server_default=sql_text("600")))
    """The lease's full length. A lease that expires later than now + this comes from a wrong clock."""


class EventGap(SQLModel, table=True):
    """A range of event numbers that no event has, for a known cause. A number missing elsewhere means loss."""

    __tablename__ = "event_gap"
    __table_args__ = (_one_of("cause", GapCause), CheckConstraint("first <= last", name="first_to_last"))
    first: int = Field(primary_key=True)
    last: int
    cause: str = Field(sa_type=String)
    at: str


class Lineage(SQLModel, table=True):
    """A stretch of history: the record's creation, and each restore, starts a new one."""

    uid: str = Field(primary_key=True)
    """UUIDv7; of a record that was migrated to schema 0004, a UUIDv5 of its audit key."""
    after: int
    """The newest number (of an event or an export) that the stretch took over from the one before; 0: none."""
    started_at: str
    restored_from: str | None = None
    """The backup that was restored; NULL: the record was created, or migrated from before lineages."""


class OverlapChange(SQLModel, table=True):
    """A change of a candidate's overlap after its import. `Candidate.overlap` is the value at its import."""

    __tablename__ = "overlap_change"
    candidate_id: int = Field(foreign_key="candidate.id", primary_key=True)
    since: int = Field(primary_key=True)
    """The number of the first event at which it applies (`moments`)."""
    overlap: str
    actor: str
    at: str


class RecordNote(SQLModel, table=True):
    """Small facts about the record itself: the audit key, the watermarks of the indexing."""

    __tablename__ = "record_note"
    name: str = Field(primary_key=True)
    value: str


metadata = SQLModel.metadata
"""The whole schema, for creating it and for Alembic."""
