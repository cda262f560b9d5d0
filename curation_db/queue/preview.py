"""The queue without leases: the cards in the order in which they would be served, for a record that is only read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, text

from curation_db.enums import Stream
from curation_db.queue.claims import Claim, Queue

_HEAD = text("""
    SELECT priority, candidate_id FROM queue_entry
    WHERE ordering = :ordering AND group_id = :group AND (priority, candidate_id) > (:priority, :after)
    ORDER BY priority, candidate_id LIMIT 1
""")
_START = (float("-inf"), 0)


class QueuePreview(Queue):
    """Serves each card of the review and audit streams once, also those that other annotators hold."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._served: set[int] = set()
        self._behind: dict[tuple[str, int], tuple[float, int]] = {}
        """Priority and id of the last card that was served, by ordering and group."""

    def claim(self, count: int = 1, *, revisit: bool = False) -> list[Claim]:
        """Return the next cards; nothing is leased."""
        with self._store.read() as connection:
            groups = [group for group in self._groups(connection, revisit=revisit) if group.stream in self._streams]
            claims: list[Claim] = []
            while len(claims) < count and (claim := self._next_unserved(connection, groups)) is not None:
                claims.append(claim)
        return claims

    @property
    def _streams(self) -> tuple[str, ...]:
        return (self._only,) if self._only is not None else tuple(Stream)

    def _next_unserved(self, connection: Connection, groups: list[Any]) -> Claim | None:
        for stream in self._draw_streams():
            own = [group for group in groups if group.stream == stream]
            for ordering in self._orderings(stream):
                while heads := [head for group in own if (head := self._head_behind(connection, ordering, group))]:
                    place, group = min(heads, key=lambda head: head[0])
                    self._behind[ordering, group.id] = place
                    if place[1] not in self._served:
                        self._served.add(place[1])
                        return Claim(place[1], Stream(stream))
        return None

    def _head_behind(self, connection: Connection, ordering: str, group: Any) -> tuple[tuple[float, int], Any] | None:
        priority, after = self._behind.get((ordering, group.id), _START)
        values = {"ordering": ordering, "group": group.id, "priority": priority, "after": after}
        row = connection.execute(_HEAD, values).first()
        return ((row.priority, row.candidate_id), group) if row else None

    def retake(self, candidate_id: int) -> None:
        """Lease nothing."""

    def release(self, candidate_ids: Collection[int]) -> None:
        """Release nothing."""

    def renew(self, candidate_ids: Collection[int]) -> set[int]:
        return set(candidate_ids)

    def ready_to_show(self, candidate_ids: Collection[int]) -> set[int]:
        return set(candidate_ids)
