"""Which decisions are in force: the one definition behind every count over events.

A person decides about a candidate more than once: `[` goes back and replaces a decision, a skipped card comes again,
an adjudicator who voted also gives the final word. Of these at most one is in force:

* An event that was taken back is not in force.
* A requeue ends the decisions before it. An edit outlasts it: the candidate stays replaced.
* Of one person's decisions about one candidate a final word counts before a vote or an edit, and these before a skip;
  among equals the newest counts.
* Answers to a card whose answer is known (`gold`) are no votes. They are compared with one another alone.
* A policy that withdraws its acceptance has no decision in force.

`decisions_in_force` states it for one candidate's events, `in_force` as an SQL condition. The two must agree. Not meant
here: the audit's labels (`consensus`) and the score on known answers (`gold`). Both use the first decision by purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from curation_db.enums import Kind, PersonRole, Role
from curation_db.events.event_log import undone_sql
from curation_db.events.state import FoldEvent, effective_events, since_requeue

DECISIONS: Final = (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.SKIP, Kind.EDIT, Kind.ADJUDICATE, Kind.FLIP)
"""What counts as a decision."""
DECISIONS_SQL: Final = ", ".join(f"'{kind}'" for kind in DECISIONS)
"""The same, for SQL."""
PERSON_ROLES_SQL: Final = "(" + ", ".join(f"'{role}'" for role in PersonRole) + ")"
"""The roles of people, for SQL."""
_RANKS: Final = {Kind.SKIP: 0, Kind.ADJUDICATE: 2}
_DEFAULT_RANK = 1
"""Of every other kind."""


def decisions_in_force(events: Iterable[FoldEvent]) -> list[FoldEvent]:
    """The decisions in force among all events of one candidate, in order."""
    standing = effective_events(events)
    first = min((event.seq for event in since_requeue(standing)), default=None)
    chosen: dict[tuple[str, bool], FoldEvent] = {}
    for event in standing:
        if not _can_replace(event) or (event.kind is not Kind.EDIT and (first is None or event.seq < first)):
            continue
        key = event.actor, event.gold
        before = chosen.get(key)
        if before is None or rank(event.kind) >= rank(before.kind):
            chosen[key] = event
    return sorted((event for event in chosen.values() if event.kind in DECISIONS), key=lambda event: event.seq)


def rank(kind: Kind) -> int:
    """A decision of a higher rank counts before one of a lower rank, whichever is newer."""
    return _RANKS.get(kind, _DEFAULT_RANK)


def _can_replace(event: FoldEvent) -> bool:
    return event.kind in DECISIONS or (event.kind is Kind.WITHDRAW and event.role is Role.POLICY)


def in_force_sql(event: str = "e") -> str:
    """SQL: whether the event of this alias is a decision in force."""
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
