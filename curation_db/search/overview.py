"""Counts of the record's contents: sources, states, annotators, open sessions. Reads only.

Counting reads whole tables, so this module is for `negwb status`, not for the path to the next card.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from curation_db.enums import State, Stream
from curation_db.events.in_force import DECISIONS, in_force_sql

_SOURCES = text("""
    SELECT s.name, (SELECT count(*) FROM image i WHERE i.source_id = s.id) AS images,
           (SELECT count(*) FROM caption t WHERE t.source_id = s.id) AS captions,
           (SELECT count(*) FROM candidate c WHERE c.source_id = s.id) AS candidates,
           (SELECT count(*) FROM visual_question q WHERE q.source_id = s.id) AS questions
    FROM source s ORDER BY s.name
""")
_STATES = text("""
    SELECT s.state, CASE WHEN k.candidate_id IS NOT NULL THEN 'gold' WHEN c.audit THEN 'audit' ELSE 'review' END
           AS stream, count(*) AS n
    FROM candidate_state s JOIN candidate c ON c.id = s.candidate_id
    LEFT JOIN gold k ON k.candidate_id = s.candidate_id GROUP BY 1, 2
""")
_IMAGE_FILES = text("""
    SELECT s.name, i.key, i.file_name FROM image i JOIN source s ON s.id = i.source_id
    WHERE i.id % :step = 0 AND i.url IS NULL ORDER BY i.id
""")
_OUTCOME = text("""
    SELECT count(*) AS candidates, sum(state = 'accepted') AS accepted, sum(state = 'rejected') AS rejected
    FROM candidate_state
""")
_REJECTED_AS_PRESENT = text(f"""
    SELECT count(*) FROM candidate_state s WHERE state = 'rejected' AND EXISTS (
        SELECT 1 FROM event e WHERE e.candidate_id = s.candidate_id AND e.reason = 'present' AND {in_force_sql()})
""")
_IN_FORCE = text(f"SELECT e.actor, e.kind, count(*) AS n FROM event e WHERE {in_force_sql()} GROUP BY 1, 2")
_LAST = text("SELECT at FROM event WHERE actor = :name AND uid = act ORDER BY seq DESC LIMIT 1")


@dataclass(frozen=True, slots=True)
class SourceCounts:
    name: str
    images: int
    captions: int
    candidates: int
    questions: int
    """Visual questions that annotators of the source answered with no."""


@dataclass(frozen=True, slots=True)
class PersonCounts:
    """One annotator's decisions in force (`in_force`)."""

    name: str
    role: str
    decisions: dict[str, int]
    """Number in force by kind of event; every kind is present."""
    last_at: str | None
    retired: bool = False
    """The annotator is deactivated."""


@dataclass(frozen=True, slots=True)
class UnendedSession:
    """A session without a recorded end: still open, or killed."""

    annotator: str
    host: str
    pid: int
    started_at: str


@dataclass(frozen=True, slots=True)
class LastEvent:
    seq: int
    actor: str
    kind: str
    at: str


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image under the names of its source."""

    source: str
    key: str
    file_name: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Numbers of accepted and rejected candidates."""

    candidates: int
    accepted: int
    rejected: int
    rejected_as_present: int
    """Rejected because the image shows the concept: a judge's error."""


@dataclass(frozen=True, slots=True)
class Overview:
    sources: tuple[SourceCounts, ...]
    states: dict[str, dict[str, int]] = field(default_factory=dict)
    """Stream ("review", "audit", "gold") to state to number of candidates; every state is present."""
    people: tuple[PersonCounts, ...] = ()
    sessions: tuple[UnendedSession, ...] = ()
    last_event: LastEvent | None = None


def overview(connection: Connection) -> Overview:
    return Overview(
        tuple(SourceCounts(*row) for row in connection.execute(_SOURCES)),
        _states(connection),
        _people(connection),
        _sessions(connection),
        _last_event(connection),
    )


def source_names(connection: Connection) -> list[str]:
    """Return the names of all sources, sorted."""
    return list(connection.execute(text("SELECT name FROM source ORDER BY name")).scalars())


def image_count(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM image")).scalar_one())


def image_files(connection: Connection, *, step: int = 1) -> Iterator[ImageFile]:
    """Yield the images without a URL by id, restricted to ids that are multiples of `step`."""
    for row in connection.execute(_IMAGE_FILES, {"step": step}):
        yield ImageFile(*row)


def outcome(connection: Connection) -> Outcome:
    """Count the states of all candidates."""
    row = connection.execute(_OUTCOME).one()
    present = connection.execute(_REJECTED_AS_PRESENT).scalar_one()
    return Outcome(row.candidates, row.accepted or 0, row.rejected or 0, present)


def last_seq(connection: Connection) -> int:
    """Return the sequence number of the newest event, or 0."""
    return int(connection.execute(text("SELECT coalesce(max(seq), 0) FROM event")).scalar_one())


def _states(connection: Connection) -> dict[str, dict[str, int]]:
    counts = {stream: {state.value: 0 for state in State} for stream in (*map(str, Stream), "gold")}
    for row in connection.execute(_STATES):
        counts[row.stream][row.state] = row.n
    return counts


def _people(connection: Connection) -> tuple[PersonCounts, ...]:
    counted = Counter({(row.actor, row.kind): row.n for row in connection.execute(_IN_FORCE)})
    return tuple(
        PersonCounts(
            row.name,
            row.role,
            {kind.value: counted[row.name, kind.value] for kind in DECISIONS},
            connection.execute(_LAST, {"name": row.name}).scalar(),
            row.retired_at is not None,
        )
        for row in connection.execute(text("SELECT name, role, retired_at FROM annotator ORDER BY name")).all()
    )


def _sessions(connection: Connection) -> tuple[UnendedSession, ...]:
    rows = connection.execute(
        text("""SELECT a.name, s.host, s.pid, s.started_at FROM work_session s
                JOIN annotator a ON a.id = s.annotator_id WHERE s.ended_at IS NULL ORDER BY s.started_at, s.id""")
    )
    return tuple(UnendedSession(*row) for row in rows)


def _last_event(connection: Connection) -> LastEvent | None:
    row = connection.execute(text("SELECT seq, actor, kind, at FROM event ORDER BY seq DESC LIMIT 1")).first()
    return LastEvent(*row) if row else None
