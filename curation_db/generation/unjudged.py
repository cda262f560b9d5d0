"""Which candidates have no verdict yet: an edit's child, whose text nobody was asked about, and all that were there
before a judge was. Reads only.

A page walks along the ids and stops after `look` of them, so that it is short even where nearly all have their
verdicts; the next one goes on behind it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from curation_db.enums import Question, State
from curation_db.storage.sqlite import json_array

LOOK: Final = 50_000
"""Candidates that are looked at for one page: 60 ms where all of a million have the verdict, measured."""
_STANDING: Final = frozenset(State) - {State.SUPERSEDED}

# The verdicts' own unique index has all that is asked for: one look-up for each candidate and wanted verdict. The +
# keeps SQLite from walking state by state, which would have it sort.
_PAGE = text("""
    SELECT s.candidate_id AS id, (
        SELECT json_group_array(w.key) FROM json_each(:wanted) w WHERE NOT EXISTS (
            SELECT 1 FROM verdict v WHERE v.candidate_id = s.candidate_id AND v.judge = w.value ->> 0
              AND v.question = w.value ->> 1 AND v.prompt_version = w.value ->> 2)) AS lacking
    FROM candidate_state s
    WHERE s.candidate_id > :after AND s.candidate_id <= :upto AND +s.state IN (SELECT value FROM json_each(:states))
      AND lacking <> '[]'
    ORDER BY s.candidate_id LIMIT :limit
""")
_REACH = text("""
    SELECT max(candidate_id) FROM
    (SELECT candidate_id FROM candidate_state WHERE candidate_id > :after ORDER BY candidate_id LIMIT :look)
""")


class Wanted(NamedTuple):
    """A verdict that a candidate should have."""

    judge: str
    question: Question
    prompt_version: str


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A candidate and the verdicts that it lacks."""

    candidate_id: int
    lacking: tuple[Wanted, ...]
    """In the order in which they were asked for."""


@dataclass(frozen=True, slots=True)
class UnjudgedPage:
    """What was found, by id."""

    found: tuple[Unjudged, ...]
    upto: int | None
    """The `after_id` of the next page; None: there is none."""


def candidates_without(
    connection: Connection,
    wanted: Sequence[Wanted],
    *,
    after_id: int = 0,
    limit: int = 1_000,
    look: int = LOOK,
    states: Collection[State] = _STANDING,
) -> UnjudgedPage:
    """The next candidates beyond `after_id` that lack one of the `wanted` verdicts; those that an edit replaced do not
    count.

    A page may be empty and not the last one: go on until `upto` is None. An answer that was neither yes nor no is a
    verdict.
    """
    reach = connection.execute(_REACH, {"after": after_id, "look": look}).scalar()
    if reach is None or not wanted:
        return UnjudgedPage((), None)
    told = {
        "wanted": json_array((each.judge, str(each.question), each.prompt_version) for each in wanted),
        "states": json_array(sorted(states)),
        "after": after_id,
        "upto": reach,
        "limit": limit,
    }
    rows = connection.execute(_PAGE, told).all()
    found = tuple(Unjudged(row.id, tuple(wanted[place] for place in json.loads(row.lacking))) for row in rows)
    return UnjudgedPage(found, found[-1].candidate_id if len(found) == limit else int(reach))
