"""Queue groups: candidates that are alike in whom they may still be asked of.

The next card for a person is the least priority over the groups that do not hold that person, and each group is one
seek in an index. So a claim costs the number of groups, never the number of candidates: 100,000 own first votes at
the head of the queue are one group that is passed over whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from curation_db.enums import Kind, State, Stream
from curation_db.events.state import CandidateStatus
from curation_db.storage.sqlite import IN_IDS, json_array

CLOSED = "closed"
"""The `stream` of the one group from which nobody is served."""
GOLD = {Kind.ACCEPT: "gold-accept", Kind.REJECT: "gold-reject"}
"""The `stream` of cards whose answer is known, by that answer."""


class QueueSlot(NamedTuple):
    """Whom a candidate may still be asked of, by name; candidates of one place are one group."""

    stream: str
    voters: frozenset[str]
    passes: dict[str, int]


def place_of(standing: CandidateStatus, *, audit: bool, editor: str | None, known: Kind | None) -> QueueSlot:
    """Where a candidate belongs.

    Args:
        standing: What its events come to.
        audit: Whether it is kept for the audit.
        editor: Who made it by an edit.
        known: Its answer, where that is known.
    """
    if known is not None and standing.state is not State.SUPERSEDED:
        return QueueSlot(GOLD[known], standing.gold_voters, standing.gold_passes)
    if standing.wanted == 0:
        return QueueSlot(CLOSED, frozenset(), {})
    passes = dict(standing.passes)
    if editor is not None and editor not in standing.voters:
        passes[editor] = passes.get(editor, 0) + 1  # others decide first about an edit than its editor
    return QueueSlot(str(Stream.AUDIT if audit else Stream.REVIEW), standing.voters, passes)


def people_key(ids: Iterable[int]) -> str:
    """Ids of people as a group's column holds them: ",3,8,"; nobody: ","."""
    return "," + "".join(f"{number}," for number in sorted(ids))


def passes_key(passes: Mapping[int, int]) -> str:
    """How often each person passed, as a group's column holds it: ",5:2,"; nobody: ","."""
    return "," + "".join(f"{number}:{times}," for number, times in sorted(passes.items()))


def passes_of(key: str, person: int) -> int:
    """How often `person` passed, says a group's column."""
    told = key.partition(f",{person}:")[2]
    return int(told.partition(",")[0]) if told else 0


def group_id(connection: Connection, stream: Stream | str, voters: Iterable[int], passes: Mapping[int, int]) -> int:
    """The id of this group, made where it is new."""
    row = {"stream": str(stream), "voters": people_key(voters), "passes": passes_key(passes)}
    found = connection.execute(
        text("SELECT id FROM queue_group WHERE stream = :stream AND voters = :voters AND passes = :passes"), row
    ).scalar()
    if found is not None:
        return int(found)
    made = connection.execute(
        text("INSERT INTO queue_group(stream, voters, passes) VALUES (:stream, :voters, :passes) RETURNING id"), row
    )
    return int(made.scalar_one())


def move(connection: Connection, candidate_id: int, group: int) -> None:
    """Put a candidate into `group`, in every ordering."""
    connection.execute(
        text("UPDATE queue_entry SET group_id = :group WHERE candidate_id = :id AND group_id != :group"),
        {"group": group, "id": candidate_id},
    )


def move_many(connection: Connection, candidate_ids: Sequence[int], group: int) -> None:
    """Put candidates into `group`, in every ordering."""
    connection.execute(
        text(f"""UPDATE queue_entry SET group_id = :group
                WHERE candidate_id {IN_IDS} AND group_id != :group"""),
        {"group": group, "ids": json_array(candidate_ids)},
    )
