"""Decisions of people that may become examples in a prompt, and the half of the images that must not give any.

A keyed hash divides the images: one half gives examples (of the review, and of the audit), the labels of the other half
measure the prompt. All candidates of an image are on one side, so no label that measures a prompt was seen by it, and
neither was another text about the same image. The key is secret, so no import can choose a side.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from curation_db.enums import Kind, Reason, Stream
from curation_db.events.event_log import undone_sql
from curation_db.events.in_force import PERSON_ROLES_SQL, in_force_sql
from curation_db.storage.sqlite import batches, json_array

EXAMPLE_SHARE: Final = 0.5
"""Share of the images that give examples."""
_PURPOSE: Final = b"tune"
_BATCH: Final = 5_000
_LONGEST: Final = 300
"""Characters of the longest caption of an example."""
_SELECT: Final = """
    e.uid, e.candidate_id, c.image_id, o.text AS caption, c.concept, c.text, c.cue, c.negation_type,
    coalesce(e.verdict, e.kind) AS answer, e.reason
"""
_CANDIDATE: Final = """
    JOIN candidate c ON c.id = e.candidate_id JOIN caption o ON o.id = c.caption_id
    JOIN candidate_state s ON s.candidate_id = c.id
    WHERE c.pipeline = :pipeline AND c.parent_id IS NULL AND c.concept IS NOT NULL AND NOT e.gold
      AND NOT EXISTS (SELECT 1 FROM gold g WHERE g.candidate_id = c.id)
"""
_REVIEWED = text(f"""
    SELECT {_SELECT} FROM event e {_CANDIDATE} AND NOT c.audit AND e.role IN {PERSON_ROLES_SQL}
      AND e.kind IN ('{Kind.ACCEPT}', '{Kind.REJECT}', '{Kind.ADJUDICATE}') AND {in_force_sql()}
      AND s.state = CASE coalesce(e.verdict, e.kind) WHEN '{Kind.ACCEPT}' THEN 'accepted' ELSE 'rejected' END
    ORDER BY e.seq
""")
"""Decisions in force that agree with the state of their candidate, outside the audit."""
_AUDITED = text(f"""
    SELECT * FROM (
        SELECT {_SELECT}, row_number() OVER (PARTITION BY e.candidate_id, e.actor ORDER BY e.seq) AS nth, e.seq
        FROM event e {_CANDIDATE} AND c.audit AND e.stream = '{Stream.AUDIT}' AND e.blind
          AND e.role IN {PERSON_ROLES_SQL} AND e.kind IN ('{Kind.ACCEPT}', '{Kind.REJECT}') AND NOT {undone_sql()}
    ) WHERE nth = 1 ORDER BY seq
""")
"""The audit labels: each person's first blind answer."""
_EVENTS = text("""
    SELECT e.uid, c.image_id, c.text, coalesce(e.verdict, e.kind) AS answer, e.reason
    FROM json_each(:uids) j JOIN event e ON e.uid = j.value JOIN candidate c ON c.id = e.candidate_id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningExample:
    """A decision of a person about a proposed candidate."""

    uid: str
    """Of the event."""
    candidate_id: int
    image_id: int
    caption: str
    concept: str
    text: str
    cue: str
    negation_type: str
    accepted: bool
    reason: Reason | None
    """Of a rejection."""
    audited: bool
    """An audit label, else a decision of the review."""


def stored_audit_key(connection: Connection) -> bytes | None:
    """Return the record's secret key (`review.candidates.audit_key`); None: the record has no candidates yet."""
    value = connection.execute(text("SELECT value FROM record_note WHERE name = 'audit_key'")).scalar_one_or_none()
    return None if value is None else bytes.fromhex(value)


def gives_examples(key: bytes, image_id: int) -> bool:
    """Whether the image belongs to the half that gives examples; the labels of the other half measure."""
    digest = hashlib.blake2b(str(image_id).encode(), key=key, person=_PURPOSE, digest_size=8).digest()
    return int.from_bytes(digest, "big") < EXAMPLE_SHARE * 2**64


def tuning_decisions(connection: Connection, pipeline: str) -> list[TuningExample]:
    """Return the decisions that may become examples, of the images that give some; one per candidate.

    A candidate about which people differ gives none. Texts that could be taken for a placeholder or for an image, or
    that are too long, are left out.
    """
    key = stored_audit_key(connection)
    if key is None:
        return []
    by_candidate: dict[int, list[TuningExample]] = defaultdict(list)
    for audited, statement in ((False, _REVIEWED), (True, _AUDITED)):
        for row in connection.execute(statement, {"pipeline": pipeline}):
            if gives_examples(key, row.image_id):
                by_candidate[row.candidate_id].append(_example(row, audited))
    return [
        decisions[-1]  # an adjudication comes last
        for decisions in by_candidate.values()
        if len({each.accepted for each in decisions}) == 1 and _fits(decisions[-1])
    ]


def _example(row: Row[Any], audited: bool) -> TuningExample:
    return TuningExample(
        uid=row.uid,
        candidate_id=row.candidate_id,
        image_id=row.image_id,
        caption=row.caption,
        concept=row.concept,
        text=row.text,
        cue=row.cue or "",
        negation_type=row.negation_type,
        accepted=row.answer == Kind.ACCEPT,
        reason=Reason(row.reason) if row.reason else None,
        audited=audited,
    )


def _fits(example: TuningExample) -> bool:
    texts = (example.caption, example.concept, example.text)
    return all(
        0 < len(each) <= _LONGEST and not any(mark in each for mark in ("{", "}", "<image>")) and each.isprintable()
        for each in texts
    )


def draw_examples(
    decisions: Iterable[TuningExample], *, accepted: int, rejected: int, reasons: Collection[Reason], seed: int
) -> list[TuningExample]:
    """Draw examples, at most one of an image and of a text: accepted ones balanced over negation type and cue,
    rejected ones over reason and type.

    Args:
        reasons: Reasons of rejections that the prompt can do something about.
        seed: The same decisions and seed give the same examples, in any order.
    """
    mixed = sorted(decisions, key=lambda each: (_draw(seed, each.uid), each.uid))
    used: set[int | str] = set()
    rejections = [each for each in mixed if not each.accepted and each.reason in reasons]
    # rejections are rarer, so they come first
    chosen = _balanced(rejections, rejected, lambda each: (str(each.reason), each.negation_type), used, seed)
    acceptances = [each for each in mixed if each.accepted]
    return _balanced(acceptances, accepted, lambda each: (each.negation_type, each.cue), used, seed) + chosen


def _balanced(
    decisions: Sequence[TuningExample],
    number: int,
    key: Callable[[TuningExample], tuple[str, str]],
    used: set[int | str],
    seed: int,
) -> list[TuningExample]:
    """Take one decision of each group in turn; the first part of the key counts before the second."""
    groups: dict[str, dict[str, list[TuningExample]]] = defaultdict(lambda: defaultdict(list))
    for each in decisions:
        first, second = key(each)
        groups[first][second].append(each)
    outer = [
        [inner[name] for name in sorted(inner, key=lambda name: _draw(seed, name))]
        for _, inner in sorted(groups.items(), key=lambda pair: _draw(seed, pair[0]))
    ]
    chosen: list[TuningExample] = []
    while len(chosen) < number and any(queue for queues in outer for queue in queues):
        for queues in outer:
            if len(chosen) == number:
                break
            found = _next(queues, used)
            if found is not None:
                chosen.append(found)
    return chosen


def _next(queues: list[list[TuningExample]], used: set[int | str]) -> TuningExample | None:
    """Take the next unused decision of the first group that has one, and put this group last."""
    for _ in range(len(queues)):
        queue = queues.pop(0)
        queues.append(queue)
        while queue:
            example = queue.pop(0)
            if example.image_id not in used and example.text.casefold() not in used:
                used.update((example.image_id, example.text.casefold()))
                return example
    return None


def _draw(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()


def decisions_hash(examples: Iterable[TuningExample]) -> str:
    """Return the SHA-256 of the decisions: event, answer, reason and text of each, in order of the events."""
    return _hash(_line(each.uid, each.accepted, each.reason, each.text) for each in examples)


def _line(uid: str, accepted: bool, reason: str | None, text: str) -> str:
    return f"{uid}\t{'accept' if accepted else 'reject'}\t{reason or ''}\t{text}\n"


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RecordedDecisions:
    """What a record knows about the decisions that a prompt version names."""

    images: frozenset[int]
    missing: int
    """Decisions that the record does not have."""
    sha256: str
    """`decisions_hash` of those that it has."""


def recorded_decisions(connection: Connection, uids: Collection[str]) -> RecordedDecisions:
    """Return what the record knows about these events."""
    rows = [
        row
        for part in batches(sorted(set(uids)), _BATCH)
        for row in connection.execute(_EVENTS, {"uids": json_array(part)})
    ]
    lines = [_line(row.uid, row.answer == Kind.ACCEPT, row.reason, row.text) for row in rows]
    return RecordedDecisions(frozenset(row.image_id for row in rows), len(set(uids)) - len(rows), _hash(lines))
