"""Everything that ever happened to a candidate, to the texts it came from and to those that came from it. Reads only.

Nothing of it is made up from states: arrivals, verdicts, events and frozen sets are told as they are stored, in the
order in which they happened. What was taken back stays, and is said to be.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from curation_db.enums import Cause, Kind, PictureShown, Question, Reason, Role, State, Stream
from curation_db.errors import RecordError
from curation_db.events.history_cache import events_of
from curation_db.events.state import effective_events
from curation_db.exporting.manifest import ITEMS_FILE, ExportItem, ManifestError, list_exports, read_manifest
from curation_db.storage.sqlite import json_array


class RelatedCandidates(StrEnum):
    """What a member of the family is to the candidate."""

    ANCESTOR = "ancestor"
    THIS = "this"
    DESCENDANT = "descendant"


@dataclass(frozen=True, slots=True)
class Member:
    """A text of the family."""

    candidate_id: int
    key: str
    source: str
    kin: RelatedCandidates
    text: str
    parent_id: int | None
    state: State | None
    """None: hidden."""
    audit: bool


@dataclass(frozen=True, slots=True)
class CandidateOrigin:
    """Where a text came from."""

    source: str
    image: str
    """The picture's file, or its key."""
    caption: str | None
    pipeline: str
    generator: str
    """Of an edit: who wrote it."""
    prompt_version: str | None


@dataclass(frozen=True, slots=True)
class JudgeVerdictRow:
    """A verdict."""

    judge: str
    model: str
    prompt_version: str
    question: Question
    p: float | None
    raw_text: str
    simulated: bool
    label_mass: float | None = None
    method: str | None = None
    prior: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class TimelineAction:
    """An event."""

    seq: int
    actor: str
    role: Role
    kind: Kind
    """Of an undo: undo."""
    about: Kind
    """Of an undo and of a redo: what was taken back or done again in the end; else the kind."""
    again: bool
    """An undo of an undo."""
    verdict: Kind | None
    reason: Reason | None
    cause: Cause | None
    note: str | None
    stream: Stream
    blind: bool
    elapsed_ms: int | None
    picture: PictureShown | None
    """How the picture was shown."""
    zoomed: bool
    late: bool
    undone: bool
    """It does not stand any more."""
    bulk: bool
    """Others were decided about in the same act."""
    child_id: int | None


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen set holds it."""

    export: str
    event: int
    """The set is the record as of this event."""
    state: str
    """In which it was then."""


Happening = CandidateOrigin | JudgeVerdictRow | TimelineAction | Frozen


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to a member."""

    at: str
    """UTC, ISO 8601; of a frozen set: when its last event happened."""
    candidate_id: int
    what: Happening


@dataclass(frozen=True, slots=True)
class Timeline:
    """The family of a candidate, and all that happened to it, in order."""

    candidate_id: int
    members: tuple[Member, ...]
    """From the first text to the last."""
    moments: tuple[Moment, ...]
    hidden: frozenset[int] = frozenset()
    """Members about which more happened than is told (`conceal`)."""
    blind: frozenset[int] = frozenset()
    """The members of these whose judges' answers and others' notes stay hidden."""


_FAMILY = text("""
    WITH RECURSIVE
        up(id, parent_id) AS (
            SELECT id, parent_id FROM candidate WHERE id = :id
            UNION SELECT c.id, c.parent_id FROM candidate c JOIN up ON c.id = up.parent_id),
        down(id) AS (
            SELECT :id UNION SELECT c.id FROM candidate c JOIN down ON c.parent_id = down.id)
    SELECT c.*, s.name AS source, i.key AS image_key, i.file_name, t.text AS caption, st.state,
           CASE WHEN c.id = :id THEN 'this' WHEN c.id IN (SELECT id FROM up) THEN 'ancestor'
                ELSE 'descendant' END AS kin
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
_LONGEST_NUMBER = 18
"""Digits of a number that fits into the record."""
_RANKS: dict[type, int] = {CandidateOrigin: 0, JudgeVerdictRow: 1, TimelineAction: 2, Frozen: 3}


def timeline(connection: Connection, candidate_id: int, exports: Path | None = None) -> Timeline:
    """All of it; `exports`: the folder of frozen sets to look into.

    Raises:
        RecordError: there is no such candidate.
    """
    rows = connection.execute(_FAMILY, {"id": candidate_id}).all()
    if not rows:
        raise RecordError(f"there is no candidate {candidate_id}")
    members = tuple(
        Member(r.id, r.key, r.source, RelatedCandidates(r.kin), r.text, r.parent_id, State(r.state), bool(r.audit))
        for r in rows
    )
    family = json_array(member.candidate_id for member in members)
    moments = [_origin(row) for row in rows]
    for member in members:
        moments += _verdicts(connection, member.candidate_id)
        moments += _deeds(connection, member.candidate_id, family)
    if exports is not None:
        moments += _frozen(connection, exports, members)
    return Timeline(candidate_id, members, tuple(_in_order(moments)))


def _in_order(moments: list[Moment]) -> list[Moment]:
    """By time; events in any case as they are numbered, whatever the clocks of their machines said."""
    keys: dict[int, str] = {}
    latest = ""
    for moment in sorted(moments, key=_number):
        if isinstance(moment.what, TimelineAction):
            latest = keys[moment.what.seq] = max(latest, moment.at)

    def place(moment: Moment) -> tuple[str, int, int]:
        return keys.get(_number(moment), moment.at), _RANKS[type(moment.what)], _number(moment)

    return sorted(moments, key=place)


def _number(moment: Moment) -> int:
    return moment.what.seq if isinstance(moment.what, TimelineAction) else 0


def find_candidate(connection: Connection, named: str) -> int:
    """The candidate with this id or key.

    Raises:
        RecordError: there is none, or several have this key.
    """
    if named.isascii() and named.isdigit() and len(named) <= _LONGEST_NUMBER:
        return int(named)
    keyed = text("SELECT id FROM candidate WHERE key = :key LIMIT 2")
    found = connection.execute(keyed, {"key": named}).scalars().all()
    if len(found) == 1:
        return int(found[0])
    raise RecordError(
        f"{'no candidate has' if not found else 'several candidates have'} the key {named}",
        hint="name it by its number: h at its card shows it",
    )


def conceal(told: Timeline, hidden: Collection[int], actor: str, *, blind: Collection[int]) -> Timeline:
    """Without what would bend the judgement of `actor` about the members `hidden`: others' decisions, and states.

    What the actor did stays, and so does where a text came from. What judges say and others noted is left out for the
    members `blind`, which are among `hidden`.
    """

    def is_told(moment: Moment) -> bool:
        what, number = moment.what, moment.candidate_id
        if number not in hidden or isinstance(what, CandidateOrigin):
            return True
        if isinstance(what, TimelineAction) and what.actor == actor:
            return True
        remark = isinstance(what, JudgeVerdictRow) or (
            isinstance(what, TimelineAction) and what.kind in (Kind.NOTE, Kind.FLAG)
        )
        return remark and number not in blind

    return replace(
        told,
        members=tuple(replace(m, state=None) if m.candidate_id in hidden else m for m in told.members),
        moments=tuple(moment for moment in told.moments if is_told(moment)),
        hidden=frozenset(hidden),
        blind=frozenset(blind),
    )


def _origin(row: Any) -> Moment:
    came = CandidateOrigin(
        row.source, row.file_name or row.image_key, row.caption, row.pipeline, row.generator, row.prompt_version
    )
    return Moment(row.created_at, row.id, came)


def _verdicts(connection: Connection, candidate_id: int) -> list[Moment]:
    rows = connection.execute(text("SELECT * FROM verdict WHERE candidate_id = :id ORDER BY id"), {"id": candidate_id})
    # fmt: off
    return [
        Moment(
            r.created_at,
            candidate_id,
            JudgeVerdictRow(
                r.judge, r.model, r.prompt_version, Question(r.question), r.p, r.raw_text, bool(r.simulated),
                r.label_mass, r.method, r.prior, r.seed,
            ),
        )
        for r in rows
    ]
    # fmt: on


def _deeds(connection: Connection, candidate_id: int, family: str) -> list[Moment]:
    rows = connection.execute(_EVENTS, {"id": candidate_id, "family": family}).all()
    history = events_of(connection, candidate_id)
    stands = {event.seq for event in effective_events(history)}
    undoes = {event.seq: event.undo_of for event in history if event.kind is Kind.UNDO and event.undo_of}
    kinds = {event.seq: event.kind for event in history}
    return [Moment(row.at, candidate_id, _deed(row, stands, undoes, kinds)) for row in rows]


def _deed(row: Any, stands: set[int], undoes: dict[int, int], kinds: dict[int, Kind]) -> TimelineAction:
    root, steps = row.seq, 0
    while root in undoes:
        root, steps = undoes[root], steps + 1
    return TimelineAction(
        seq=row.seq,
        actor=row.actor,
        role=Role(row.role),
        kind=Kind(row.kind),
        about=kinds[root],
        again=steps > 0 and steps % 2 == 0,
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
        undone=row.kind != Kind.UNDO and row.seq not in stands,
        bulk=bool(row.bulk),
        child_id=row.child_id,
    )


def _frozen(connection: Connection, exports: Path, members: Sequence[Member]) -> list[Moment]:
    found = []
    for name in list_exports(exports):
        try:
            event = read_manifest(exports / name).event_seq
            held = list(_held(exports / name / ITEMS_FILE, members))
        except (ManifestError, OSError, ValueError):
            continue  # `negwb status` and `negwb doctor` say what is wrong with it
        at = connection.execute(
            text("SELECT at FROM event WHERE seq <= :seq ORDER BY seq DESC LIMIT 1"), {"seq": event}
        ).scalar()
        found += [Moment(at or "", number, Frozen(name, event, state)) for number, state in held]
    return found


def _held(items: Path, members: Sequence[Member]) -> list[tuple[int, str]]:
    """Members that are in the set, with their state there; a line is parsed only where a key stands in it."""
    keys = {(m.source, m.key): m.candidate_id for m in members}
    needles = [json.dumps(m.key) for m in members]
    with items.open(encoding="utf-8", newline="\n") as lines:
        likely = [ExportItem.from_line(line) for line in lines if any(needle in line for needle in needles)]
    return [(keys[item.source, item.key], item.state) for item in likely if (item.source, item.key) in keys]
