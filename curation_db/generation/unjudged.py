"""Candidates that lack a verdict: children of edits, and candidates older than a judge. Read-only.

A page scans at most `look` ids, so that it is fast even where nearly all candidates have their verdicts. The next page
continues after it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from curation_db.enums import Question, State
from curation_db.storage.sqlite import json_array

SCAN_LIMIT: Final = 50_000
"""Candidates scanned for one page: 60 ms where all of a million have the verdict, measured."""
_NOT_SUPERSEDED: Final = frozenset(State) - {State.SUPERSEDED}

# The unique index of `verdict` covers the query: one lookup per candidate and wanted verdict. The + keeps SQLite from
# scanning state by state, which would need a sort.
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


class WantedVerdict(NamedTuple):
    """A verdict that every candidate should have."""

    judge: str
    question: Question
    prompt_version: str


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A candidate and the verdicts that it lacks."""

    candidate_id: int
    lacking: tuple[WantedVerdict, ...]
    """In the order of the request."""


@dataclass(frozen=True, slots=True)
class UnjudgedPage:
    """One page of candidates without a verdict, by id."""

    candidates: tuple[Unjudged, ...]
    upto: int | None
    """The `after_id` of the next page; None: this is the last page."""


def candidates_without(
    connection: Connection,
    wanted: Sequence[WantedVerdict],
    *,
    after_id: int = 0,
    limit: int = 1_000,
    look: int = SCAN_LIMIT,
    states: Collection[State] = _NOT_SUPERSEDED,
) -> UnjudgedPage:
    """Return the next candidates with an id above `after_id` that lack one of the `wanted` verdicts.

    Superseded candidates are left out by default. A page may be empty without being the last: continue until `upto` is
    None. An unclear answer (neither yes nor no) counts as a verdict.
    """
    reach = connection.execute(_REACH, {"after": after_id, "look": look}).scalar()
    if reach is None or not wanted:
        return UnjudgedPage((), None)
    values = {
        "wanted": json_array((each.judge, str(each.question), each.prompt_version) for each in wanted),
        "states": json_array(sorted(states)),
        "after": after_id,
        "upto": reach,
        "limit": limit,
    }
    rows = connection.execute(_PAGE, values).all()
    candidates = tuple(Unjudged(row.id, tuple(wanted[index] for index in json.loads(row.lacking))) for row in rows)
    return UnjudgedPage(candidates, candidates[-1].candidate_id if len(candidates) == limit else int(reach))
