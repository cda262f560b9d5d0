"""Queue groups: candidates that are alike in whom they may still be asked of.

The next card for a person is the least priority over the groups that do not hold that person, and each group is one
seek in an index. So a claim costs the number of groups, never the number of candidates: 100,000 own first votes at
the head of the queue are one group that is passed over whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

from curation_db.words import Stream

CLOSED = "closed"
"""The `stream` of the one group from which nobody is served."""


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
