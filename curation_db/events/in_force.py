"""Decisions in force: the only definition for every count over events.

A person can decide about a candidate more than once: `[` goes back and replaces a decision, a skipped card returns, and
an adjudicator who voted can also adjudicate. At most one of these decisions is in force:

* An undone event is not in force.
* A requeue ends the decisions before it, except an edit: the candidate stays replaced.
* Among one person's decisions about one candidate, an adjudication counts before a vote or an edit, and these count
  before a skip. Among equals the newest counts.
* Answers to gold items are no votes. They are compared only with one another.
* A policy that withdraws its acceptance has no decision in force.

`decisions_in_force` applies the definition to one candidate's events, `in_force_sql` is the same as a SQL condition.
The two must agree. The audit labels (`annotator_agreement`) and the score on gold items (`gold`) do not use this
definition: both use the first decision on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from curation_db.enums import Kind, PersonRole, Role
from curation_db.events.event_log import undone_sql
from curation_db.events.state import FoldEvent, effective_events, since_requeue

DECISIONS: Final = (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP, Kind.EDIT, Kind.ADJUDICATE, Kind.FLIP)
"""Kinds of events that are decisions."""
DECISIONS_SQL: Final = ", ".join(f"'{kind}'" for kind in DECISIONS)
PERSON_ROLES_SQL: Final = "(" + ", ".join(f"'{role}'" for role in PersonRole) + ")"
_RANKS: Final = {Kind.SKIP: 0, Kind.ADJUDICATE: 2}
_DEFAULT_RANK = 1
"""Rank of every other kind."""


def decisions_in_force(events: Iterable[FoldEvent]) -> list[FoldEvent]:
    """Return the decisions in force among all events of one candidate, in order."""
    effective = effective_events(events)
    first = min((event.seq for event in since_requeue(effective)), default=None)
    chosen: dict[tuple[str, bool], FoldEvent] = {}
    for event in effective:
        if not _can_replace(event) or (event.kind is not Kind.EDIT and (first is None or event.seq < first)):
            continue
        key = event.actor, event.gold
        before = chosen.get(key)
        if before is None or rank(event.kind) >= rank(before.kind):
            chosen[key] = event
    return sorted((event for event in chosen.values() if event.kind in DECISIONS), key=lambda event: event.seq)


def rank(kind: Kind) -> int:
    """Return the rank of a decision: one of a higher rank counts before one of a lower rank, even if it is older."""
    return _RANKS.get(kind, _DEFAULT_RANK)


def _can_replace(event: FoldEvent) -> bool:
    return event.kind in DECISIONS or (event.kind is Kind.WITHDRAW and event.role is Role.POLICY)


def in_force_sql(event: str = "e") -> str:
    """Return a SQL condition: the event of this alias is a decision in force."""
    other = f"n_{event}"
    between = f"q_{event}"
    return f"""(
    {event}.kind IN ({DECISIONS_SQL}) AND NOT {undone_sql(event)} AND NOT EXISTS (
        SELECT 1 FROM event {other} INDEXED BY event_candidate
        WHERE {other}.candidate_id = {event}.candidate_id AND {other}.seq != {event}.seq AND (
            ({other}.kind = 'requeue' AND {other}.seq > {event}.seq AND {event}.kind != 'edit')
            OR ({other}.actor = {event}.actor AND {other}.gold = {event}.gold
                AND ({other}.kind IN ({DECISIONS_SQL}) OR ({other}.kind = 'withdraw' AND {other}.role = 'policy'))
                AND ({_rank_sql(other)} > {_rank_sql(event)}
                     OR ({_rank_sql(other)} = {_rank_sql(event)} AND {other}.seq > {event}.seq))
                AND ({other}.seq > {event}.seq OR {other}.kind = 'edit' OR NOT EXISTS (
                    SELECT 1 FROM event {between} INDEXED BY event_candidate
                    WHERE {between}.candidate_id = {event}.candidate_id AND {between}.seq > {other}.seq
                      AND {between}.kind = 'requeue' AND NOT {undone_sql(between)}))))
          AND NOT {undone_sql(other)}))
"""


def _rank_sql(event: str) -> str:
    ranks = " ".join(f"WHEN '{kind}' THEN {number}" for kind, number in _RANKS.items())
    return f"(CASE {event}.kind {ranks} ELSE {_DEFAULT_RANK} END)"
