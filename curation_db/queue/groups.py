"""Queue groups: candidates that may still be served to the same annotators.

The next card for an annotator is the least priority over the groups whose `voters` do not include that annotator. Each
group is one seek in an index, so the cost of a claim grows with the number of groups, never with the number of
candidates: 100,000 candidates at the head of the queue that the annotator has voted on form one group, skipped at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from curation_db.enums import Kind, State, Stream
from curation_db.events.state import CandidateStatus
from curation_db.storage.sqlite import IN_IDS, json_array

CLOSED = "closed"
"""The `stream` of the single group that is never served."""
GOLD = {Kind.ACCEPT: "gold-accept", Kind.REJECT: "gold-reject"}
"""The `stream` of gold items, by known answer."""


class QueueSlot(NamedTuple):
    """Which annotators a candidate may still be served to; candidates with equal slots form one group."""

    stream: str
    voters: frozenset[str]
    """Names of the annotators to whom it is not served again."""
    passes: dict[str, int]
    """How often an annotator skipped it or was unsure, by name."""


def queue_slot(status: CandidateStatus, *, audit: bool, editor: str | None, known: Kind | None) -> QueueSlot:
    """Return the queue slot of a candidate.

    Args:
        editor: Name of the annotator whose edit created it.
        known: The known answer of a gold item.
    """
    if known is not None and status.state is not State.SUPERSEDED:
        return QueueSlot(GOLD[known], status.gold_voters, status.gold_passes)
    if status.wanted == 0:
        return QueueSlot(CLOSED, frozenset(), {})
    passes = dict(status.passes)
    if editor is not None and editor not in status.voters:
        passes[editor] = passes.get(editor, 0) + 1  # the other annotators decide about an edit before its editor does
    return QueueSlot(str(Stream.AUDIT if audit else Stream.REVIEW), status.voters, passes)


def annotators_key(ids: Iterable[int]) -> str:
    """Format annotator ids for the column `voters`: ",3,8,"; "," for none."""
    return "," + "".join(f"{number}," for number in sorted(ids))


def passes_key(passes: Mapping[int, int]) -> str:
    """Format passes per annotator id for the column `passes`: ",5:2,"; "," for none."""
    return "," + "".join(f"{number}:{times}," for number, times in sorted(passes.items()))


def passes_of(key: str, annotator_id: int) -> int:
    """Parse how often an annotator passed from the column `passes`."""
    rest = key.partition(f",{annotator_id}:")[2]
    return int(rest.partition(",")[0]) if rest else 0


def group_id(connection: Connection, stream: Stream | str, voters: Iterable[int], passes: Mapping[int, int]) -> int:
    """Return the id of this group; insert the group where it is new."""
    row = {"stream": str(stream), "voters": annotators_key(voters), "passes": passes_key(passes)}
    existing = connection.execute(
        text("SELECT id FROM queue_group WHERE stream = :stream AND voters = :voters AND passes = :passes"), row
    ).scalar()
    if existing is not None:
        return int(existing)
    inserted = connection.execute(
        text("INSERT INTO queue_group(stream, voters, passes) VALUES (:stream, :voters, :passes) RETURNING id"), row
    )
    return int(inserted.scalar_one())


def move(connection: Connection, candidate_id: int, group: int) -> None:
    """Move a candidate to `group`, in every ordering."""
    connection.execute(
        text("UPDATE queue_entry SET group_id = :group WHERE candidate_id = :id AND group_id != :group"),
        {"group": group, "id": candidate_id},
    )


def move_many(connection: Connection, candidate_ids: Sequence[int], group: int) -> None:
    """Move candidates to `group`, in every ordering."""
    connection.execute(
        text(f"""UPDATE queue_entry SET group_id = :group
                WHERE candidate_id {IN_IDS} AND group_id != :group"""),
        {"group": group, "ids": json_array(candidate_ids)},
    )
