"""Timeline of a candidate, of its ancestors and of its descendants by edits. Reads only.

The entries are the stored records (import, verdicts, events, exports) in order of time; none is derived from states.
An undone event stays in the timeline and is marked as undone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Connection, text

from curation_db.enums import Cause, Kind, PictureShown, Reason, Role, State, Stream
from curation_db.errors import RecordError
from curation_db.events.history_cache import events_of
from curation_db.events.state import effective_events
from curation_db.exporting.manifest import ITEMS_FILE, ExportItem, ManifestError, list_exports, read_manifest
from curation_db.search.cards import CardVerdict
from curation_db.storage.sqlite import json_array


class RelatedCandidates(StrEnum):
    """Relation of a family member to the candidate."""

    ANCESTOR = "ancestor"
    THIS = "this"
    DESCENDANT = "descendant"


@dataclass(frozen=True, slots=True)
class FamilyMember:
    """A candidate of the family: the candidate itself, an ancestor or a descendant."""

    candidate_id: int
    key: str
    source: str
    relation: RelatedCandidates
    text: str
    parent_id: int | None
    state: State | None
    """None: hidden."""
    audit: bool


@dataclass(frozen=True, slots=True)
class CandidateOrigin:
    """Source, image, caption and generator of a candidate."""

    label: ClassVar = "origin"
    source: str
    image: str
    """File name, or the key where there is no file name."""
    caption: str | None
    pipeline: str
    generator: str
    """For an edit: the annotator."""
    prompt_version: str | None


@dataclass(frozen=True, slots=True)
class JudgeVerdictRow(CardVerdict):
    label: ClassVar = "verdict"


@dataclass(frozen=True, slots=True)
class TimelineAction:
    """An event of an annotator or a policy."""

    label: ClassVar = "action"
    seq: int
    actor: str
    role: Role
    kind: Kind
    original_kind: Kind
    """For an undo or a redo: the kind of the event that the undo chain starts from; else `kind`."""
    is_redo: bool
    """The event undoes an undo."""
    verdict: Kind | None
    reason: Reason | None
    cause: Cause | None
    note: str | None
    stream: Stream
    blind: bool
    elapsed_ms: int | None
    picture: PictureShown | None
    """How the image was shown."""
    zoomed: bool
    late: bool
    undone: bool
    bulk: bool
    """The same action decided about other candidates as well."""
    child_id: int | None


@dataclass(frozen=True, slots=True)
class ExportMembership:
    """A frozen export that holds the candidate."""

    label: ClassVar = "export"
    export: str
    event: int
    """Sequence number of the last event that the export covers."""
    state: str
    """State of the candidate at that event."""


TimelineContent = CandidateOrigin | JudgeVerdictRow | TimelineAction | ExportMembership


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One entry of the timeline, about one family member."""

    at: str
    """UTC, ISO 8601; for an export: the time of its last event."""
    candidate_id: int
    content: TimelineContent


@dataclass(frozen=True, slots=True)
class Timeline:
    """The family of a candidate and its entries in order of time."""

    candidate_id: int
    members: tuple[FamilyMember, ...]
    """In order of ids, so ancestors come first."""
    entries: tuple[TimelineEntry, ...]
    hidden: frozenset[int] = frozenset()
    """Members whose entries are redacted (`redact`)."""
    blind: frozenset[int] = frozenset()
    """The members among `hidden` whose verdicts and other annotators' notes are redacted as well."""


_FAMILY = text("""
    WITH RECURSIVE
        up(id, parent_id) AS (
            SELECT id, parent_id FROM candidate WHERE id = :id
            UNION SELECT c.id, c.parent_id FROM candidate c JOIN up ON c.id = up.parent_id),
        down(id) AS (
            SELECT :id UNION SELECT c.id FROM candidate c JOIN down ON c.parent_id = down.id)
    SELECT c.*, s.name AS source, i.key AS image_key, i.file_name, t.text AS caption, st.state,
           CASE WHEN c.id = :id THEN 'this' WHEN c.id IN (SELECT id FROM up) THEN 'ancestor'
                ELSE 'descendant' END AS relation
    FROM candidate c
    JOIN source s ON s.id = c.source_id
    JOIN image i ON i.id = c.image_id
    JOIN candidate_state st ON st.candidate_id = c.id
    LEFT JOIN caption t ON t.id = c.caption_id
    WHERE c.id IN (SELECT id FROM up UNION SELECT id FROM down) ORDER BY c.id
""")
_EVENTS = text("""
    SELECT e.*, EXISTS (SELECT 1 FROM event n WHERE n.seq IN (e.seq - 1, e.seq + 1) AND n.act = e.act
                        AND n.candidate_id NOT IN (SELECT value FROM json_each(:family))) AS bulk
    FROM event e WHERE e.candidate_id = :id ORDER BY e.seq
""")
_MAX_ID_DIGITS = 18
"""A number of 18 digits always fits into SQLite's 64-bit integer."""
_RANKS: dict[type, int] = {CandidateOrigin: 0, JudgeVerdictRow: 1, TimelineAction: 2, ExportMembership: 3}


def timeline(connection: Connection, candidate_id: int, exports: Path | None = None) -> Timeline:
    """Return the timeline of a candidate.

    Args:
        exports: Folder of frozen exports to search; None: no exports in the timeline.

    Raises:
        RecordError: The candidate does not exist.
    """
    rows = connection.execute(_FAMILY, {"id": candidate_id}).all()
    if not rows:
        raise RecordError(f"there is no candidate {candidate_id}")
    members = tuple(
        FamilyMember(
            r.id, r.key, r.source, RelatedCandidates(r.relation), r.text, r.parent_id, State(r.state), bool(r.audit)
        )
        for r in rows
    )
    family = json_array(member.candidate_id for member in members)
    entries = [_origin(row) for row in rows]
    for member in members:
        entries += _verdicts(connection, member.candidate_id)
        entries += _actions(connection, member.candidate_id, family)
    if exports is not None:
        entries += _memberships(connection, exports, members)
    return Timeline(candidate_id, members, tuple(_in_order(entries)))


def _in_order(entries: list[TimelineEntry]) -> list[TimelineEntry]:
    """Sort by time, but keep events in the order of their sequence numbers even where clocks of machines differ."""
    times: dict[int, str] = {}
    latest = ""
    for entry in sorted(entries, key=_seq):
        if isinstance(entry.content, TimelineAction):
            latest = times[entry.content.seq] = max(latest, entry.at)

    def sort_key(entry: TimelineEntry) -> tuple[str, int, int]:
        return times.get(_seq(entry), entry.at), _RANKS[type(entry.content)], _seq(entry)

    return sorted(entries, key=sort_key)


def _seq(entry: TimelineEntry) -> int:
    return entry.content.seq if isinstance(entry.content, TimelineAction) else 0


def find_candidate(connection: Connection, id_or_key: str) -> int:
    """Return the id of the candidate with this id or key; an id is not checked for existence.

    Raises:
        RecordError: No candidate has this key, or several have it.
    """
    if id_or_key.isascii() and id_or_key.isdigit() and len(id_or_key) <= _MAX_ID_DIGITS:
        return int(id_or_key)
    statement = text("SELECT id FROM candidate WHERE key = :key LIMIT 2")
    ids = connection.execute(statement, {"key": id_or_key}).scalars().all()
    if len(ids) == 1:
        return int(ids[0])
    raise RecordError(
        f"{'no candidate has' if not ids else 'several candidates have'} the key {id_or_key}",
        hint="give the candidate's number; the key h shows it on the card",
    )


def redact(history: Timeline, hidden: Collection[int], actor: str, *, blind: Collection[int]) -> Timeline:
    """Remove what would bias the decision of `actor` about the members `hidden`.

    Args:
        hidden: Members that `actor` still has to decide about. Their states and other annotators' decisions are
            removed; origins and the actor's own events stay.
        actor: The annotator who will see the timeline.
        blind: Members among `hidden` whose verdicts and other annotators' notes and flags are removed as well.
    """

    def is_visible(entry: TimelineEntry) -> bool:
        content, number = entry.content, entry.candidate_id
        if number not in hidden or isinstance(content, CandidateOrigin):
            return True
        if isinstance(content, TimelineAction) and content.actor == actor:
            return True
        remark = isinstance(content, JudgeVerdictRow) or (
            isinstance(content, TimelineAction) and content.kind in (Kind.NOTE, Kind.FLAG)
        )
        return remark and number not in blind

    return replace(
        history,
        members=tuple(replace(m, state=None) if m.candidate_id in hidden else m for m in history.members),
        entries=tuple(entry for entry in history.entries if is_visible(entry)),
        hidden=frozenset(hidden),
        blind=frozenset(blind),
    )


def _origin(row: Any) -> TimelineEntry:
    origin = CandidateOrigin(
        row.source, row.file_name or row.image_key, row.caption, row.pipeline, row.generator, row.prompt_version
    )
    return TimelineEntry(row.created_at, row.id, origin)


def _verdicts(connection: Connection, candidate_id: int) -> list[TimelineEntry]:
    rows = connection.execute(text("SELECT * FROM verdict WHERE candidate_id = :id ORDER BY id"), {"id": candidate_id})
    return [TimelineEntry(row.created_at, candidate_id, JudgeVerdictRow.from_row(row)) for row in rows]


def _actions(connection: Connection, candidate_id: int, family: str) -> list[TimelineEntry]:
    rows = connection.execute(_EVENTS, {"id": candidate_id, "family": family}).all()
    history = events_of(connection, candidate_id)
    in_force = {event.seq for event in effective_events(history)}
    undoes = {event.seq: event.undo_of for event in history if event.kind is Kind.UNDO and event.undo_of}
    kinds = {event.seq: event.kind for event in history}
    return [TimelineEntry(row.at, candidate_id, _action(row, in_force, undoes, kinds)) for row in rows]


def _action(row: Any, in_force: set[int], undoes: dict[int, int], kinds: dict[int, Kind]) -> TimelineAction:
    root, steps = row.seq, 0
    while root in undoes:
        root, steps = undoes[root], steps + 1
    return TimelineAction(
        seq=row.seq,
        actor=row.actor,
        role=Role(row.role),
        kind=Kind(row.kind),
        original_kind=kinds[root],
        is_redo=steps > 0 and steps % 2 == 0,
        verdict=Kind(row.verdict) if row.verdict else None,
        reason=Reason(row.reason) if row.reason else None,
        cause=Cause(row.cause) if row.cause else None,
        note=row.note,
        stream=Stream(row.stream),
        blind=bool(row.blind),
        elapsed_ms=row.elapsed_ms,
        picture=PictureShown(row.picture) if row.picture else None,
        zoomed=bool(row.zoomed),
        late=bool(row.late),
        undone=row.kind != Kind.UNDO and row.seq not in in_force,
        bulk=bool(row.bulk),
        child_id=row.child_id,
    )


def _memberships(connection: Connection, exports: Path, members: Sequence[FamilyMember]) -> list[TimelineEntry]:
    entries = []
    for name in list_exports(exports):
        try:
            event = read_manifest(exports / name).event_seq
            exported = list(_exported_members(exports / name / ITEMS_FILE, members))
        except (ManifestError, OSError, ValueError):
            continue  # `negwb status` and `negwb doctor` report a damaged export
        at = connection.execute(
            text("SELECT at FROM event WHERE seq <= :seq ORDER BY seq DESC LIMIT 1"), {"seq": event}
        ).scalar()
        entries += [TimelineEntry(at or "", number, ExportMembership(name, event, state)) for number, state in exported]
    return entries


def _exported_members(items: Path, members: Sequence[FamilyMember]) -> list[tuple[int, str]]:
    """Return the members in the export with their states there; only lines that contain a member's key are parsed."""
    keys = {(m.source, m.key): m.candidate_id for m in members}
    needles = [json.dumps(m.key) for m in members]
    with items.open(encoding="utf-8", newline="\n") as lines:
        likely = [ExportItem.from_line(line) for line in lines if any(needle in line for needle in needles)]
    return [(keys[item.source, item.key], item.state) for item in likely if (item.source, item.key) in keys]
