"""Audit labels and the evidence of judges and checks, read from the record. Reads only.

The audit set is a random sample: each candidate of a stratum belongs to it with the same probability, fixed when the
candidate was created. People label it blind, so no judge influences a label. Verdicts are identified by judge, model,
prompt version and question: a new model or prompt is another judge.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, text

from curation_db.enums import Claim, ConsensusMethod, Kind, Question, Reason, State
from curation_db.events.event_log import undone_sql
from curation_db.foreign_json import parse_json
from curation_db.storage.sqlite import IN_IDS, batches, json_array
from curation_db.trust import dawid_skene
from curation_db.trust.judge_score import Evidence

_BATCH: Final = 1_000
_TIE: Final = 0.5 + 1e-6
"""A probability of one half is a tie; the estimates are sums of rounded numbers."""
FITTED_SHARE: Final = 0.3
"""Share of the images whose labels fit scores and calibrators; the others test certificates."""


_RIGHT_REASONS: Final = {Claim.ACCEPTABLE: frozenset[Reason](), Claim.ABSENT: frozenset({Reason.GRATUITOUS})}
"""Reasons of a rejection that grant the claim. All others count as wrong, also those that say nothing about the
concept: a certificate may be too strict but not too loose."""


class JudgeIdentity(NamedTuple):
    judge: str
    question: Question
    model: str
    prompt_version: str


@dataclass(frozen=True, slots=True)
class Item:
    """A candidate with what judges and checks say about it."""

    candidate_id: int
    image_id: int
    stratum: str
    """Pipeline and negation type, with the sampling rate: inside a stratum all labels are equally likely."""
    evidence: Evidence
    right: bool | None = None
    """Audit label; None: not labelled."""
    seq: int = 0
    """Event of its newest label; 0 without a label."""
    rate: float = 1.0
    """Probability of being in the audit set."""


class OfImage(Protocol):
    """Anything that belongs to an image."""

    @property
    def image_id(self) -> int: ...


T = TypeVar("T", bound=OfImage)

_LABELS = text(f"""
    SELECT candidate_id, seq, actor, kind, reason FROM (
        SELECT e.seq, e.candidate_id, e.actor, e.kind, e.reason,
               row_number() OVER (PARTITION BY e.candidate_id, e.actor ORDER BY e.seq) AS nth
        FROM event e WHERE e.stream = 'audit' AND e.blind AND e.kind IN ('accept', 'reject', 'unsure')
          AND e.role IN ('annotator', 'adjudicator') AND NOT {undone_sql()}
    ) WHERE nth = 1 ORDER BY seq
""")
"""Each person's first answer in effect, given before the reveal. Unlike `annotator_agreement.audit_labels` it includes
unsure, which counts as wrong."""
_AUDIT_SET = text(f"""
    SELECT c.id, c.image_id, c.stratum, c.audit_rate FROM candidate c
    JOIN candidate_state s ON s.candidate_id = c.id
    WHERE c.audit AND s.state != '{State.SUPERSEDED}' AND NOT EXISTS (SELECT 1 FROM gold g WHERE g.candidate_id = c.id)
    ORDER BY c.id
""")
_UNDECIDED = text(f"""
    SELECT c.id, c.image_id, c.stratum, c.audit_rate FROM candidate c
    JOIN candidate_state s ON s.candidate_id = c.id
    WHERE NOT c.audit AND s.state = '{State.OPEN}' AND NOT EXISTS (SELECT 1 FROM gold g WHERE g.candidate_id = c.id)
    ORDER BY c.id
""")
_THESE = text(f"SELECT id, image_id, stratum, audit_rate FROM candidate WHERE id {IN_IDS} ORDER BY id")
_VERDICTS = text(f"""
    SELECT candidate_id, judge, model, prompt_version, question, p FROM verdict
    WHERE candidate_id {IN_IDS} AND p IS NOT NULL
""")
_MARKS = text(f"SELECT candidate_id, mark FROM candidate_mark WHERE candidate_id {IN_IDS}")


def judge_key(judge: str, question: str, model: str, prompt_version: str) -> str:
    """Return the name of a judge in `Evidence.judges`."""
    return json.dumps([judge, question, model, prompt_version], ensure_ascii=False)


def judge_of(key: str) -> JudgeIdentity:
    """Return the parts of a `judge_key`."""
    judge, question, model, prompt = parse_json(key)
    return JudgeIdentity(judge, Question(question), model, prompt)


def audit_items(
    connection: Connection,
    claim: Claim = Claim.ACCEPTABLE,
    *,
    consensus: ConsensusMethod = ConsensusMethod.MAJORITY,
) -> list[Item]:
    """Return the audit set with its labels for this claim: unlabelled candidates first, then by newest label.

    Several people may label a candidate; it is right if most of them grant the claim, and a tie is wrong. Certificates
    use this majority: under Dawid-Skene the label of a candidate depends on the answers about all others.
    """
    votes: list[tuple[int, str, bool]] = []
    newest: dict[int, int] = {}
    for row in connection.execute(_LABELS):
        granted = row.kind == Kind.ACCEPT or (row.kind == Kind.REJECT and row.reason in _RIGHT_REASONS[claim])
        votes.append((row.candidate_id, row.actor, granted))
        newest[row.candidate_id] = row.seq
    right = grant(votes, consensus)
    rows = connection.execute(_AUDIT_SET).all()
    items = [
        Item(
            row.id,
            row.image_id,
            _stratum(row),
            evidence,
            right.get(row.id),
            newest.get(row.id, 0),
            row.audit_rate,
        )
        for row, evidence in zip(rows, _evidence(connection, [row.id for row in rows]), strict=True)
    ]
    return sorted(items, key=lambda item: (item.seq, item.candidate_id))


def grant(votes: Sequence[tuple[int, str, bool]], method: ConsensusMethod) -> dict[int, bool]:
    """Return whether each candidate is right, from votes (candidate, annotator, claim granted); a tie is wrong."""
    if method is ConsensusMethod.DAWID_SKENE:
        estimated = dawid_skene.consensus([(number, name, int(granted)) for number, name, granted in votes], 2)
        return {number: estimated.probabilities[number][1] > _TIE for number, _, _ in votes}
    granted_by: dict[int, list[bool]] = defaultdict(list)
    for number, _, granted in votes:
        granted_by[number].append(granted)
    return {number: sum(each) * 2 > len(each) for number, each in granted_by.items()}


def undecided_items(connection: Connection) -> Iterator[Item]:
    """Yield the candidates that a policy may decide about: without a decision, outside the audit set and gold."""
    rows = connection.execute(_UNDECIDED).all()
    evidence = _evidence(connection, [row.id for row in rows])
    for row, known in zip(rows, evidence, strict=True):
        yield Item(row.id, row.image_id, _stratum(row), known, rate=row.audit_rate)


def items_of(connection: Connection, ids: Iterable[int]) -> Iterator[Item]:
    """Yield these candidates, without labels, in the order of their ids."""
    for part in batches(sorted(ids), _BATCH):
        rows = connection.execute(_THESE, {"ids": json_array(part)}).all()
        for row, known in zip(rows, _evidence(connection, [row.id for row in rows]), strict=True):
            yield Item(row.id, row.image_id, _stratum(row), known, rate=row.audit_rate)


def split_by_image(items: Sequence[T], *, share: float = FITTED_SHARE, salt: str = "") -> tuple[list[T], list[T]]:
    """Return the items that fit scores and the items that test them; all items of an image are on one side.

    The side depends on the image's number and `salt` only, so further labels never move an image.
    """
    sides: tuple[list[T], list[T]] = ([], [])
    for item in items:
        digest = hashlib.sha256(f"{salt}:{item.image_id}".encode()).digest()
        sides[int.from_bytes(digest[:8]) >= share * 2**64].append(item)
    return sides


def _stratum(row: Any) -> str:
    return f"{row.stratum} ({row.audit_rate:g})"


def _evidence(connection: Connection, ids: Sequence[int]) -> Iterator[Evidence]:
    """Yield the evidence of each candidate, in the order of `ids`."""
    for part in batches(ids, _BATCH):
        judges: dict[int, dict[str, float]] = defaultdict(dict)
        checks: dict[int, set[str]] = defaultdict(set)
        wanted = {"ids": json_array(part)}
        for row in connection.execute(_VERDICTS, wanted):
            key = judge_key(row.judge, row.question, row.model, row.prompt_version)
            judges[row.candidate_id][key] = 1 - row.p if row.question == Question.PRESENT else row.p
        for row in connection.execute(_MARKS, wanted):
            checks[row.candidate_id].add(row.mark)
        for number in part:
            yield Evidence(dict(judges[number]), frozenset(checks[number]))
