"""Hasty decisions: decisions in force that came before a person can have seen the image and read the caption.

Only a person's first answer about a candidate counts; a second look may be quick. The definition has two forms that
must agree: a SQL condition (`hasty_sql`) and a function of one candidate's events (`is_hasty`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from curation_db.enums import Kind, PersonRole, Role
from curation_db.events.in_force import PERSON_ROLES_SQL, decisions_in_force, in_force_sql
from curation_db.events.state import FoldEvent

HASTY_MS: Final = 400
"""People need at least 0.4 s to say whether an object is in a photograph, without any other task. A faster decision
about an image and a sentence was made without seeing them. The index `event_hasty` contains this number."""
JUDGING_KINDS: Final = frozenset({Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.ADJUDICATE})
"""Answers that need a look at the image. A skip does not."""
_VIEWING_KINDS: Final = JUDGING_KINDS | {Kind.EDIT, Kind.FLIP}
_PERSON_ROLES: Final = frozenset(map(Role, PersonRole))


def hasty_sql() -> str:
    """Return a SQL condition: the event `e` is a hasty decision in force."""
    return f"""(
    e.elapsed_ms < {HASTY_MS} AND e.kind IN ({_sql_list(JUDGING_KINDS)})
    AND e.role IN {PERSON_ROLES_SQL} AND NOT e.gold AND NOT EXISTS (
        SELECT 1 FROM event b INDEXED BY event_candidate
        WHERE b.candidate_id = e.candidate_id AND b.seq < e.seq
          AND b.actor = e.actor AND b.kind IN ({_sql_list(_VIEWING_KINDS)}))
    AND {in_force_sql("e")})
"""


def is_hasty(events: Iterable[FoldEvent], quick: Collection[int]) -> bool:
    """Return whether a hasty decision is in force among all events of one candidate.

    Args:
        quick: numbers of the events that took less than `HASTY_MS`.
    """
    if not quick:
        return False
    history = sorted(events, key=lambda event: event.seq)
    first: dict[str, int] = {}
    for event in history:
        if event.kind in _VIEWING_KINDS:
            first.setdefault(event.actor, event.seq)
    return any(
        event.seq in quick
        and event.kind in JUDGING_KINDS
        and event.role in _PERSON_ROLES
        and not event.gold
        and first[event.actor] == event.seq
        for event in decisions_in_force(history)
    )


def _sql_list(kinds: Iterable[Kind]) -> str:
    return ", ".join(f"'{kind}'" for kind in sorted(kinds))
