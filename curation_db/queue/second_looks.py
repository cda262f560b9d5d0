"""Second looks: the queue serves accepted pairs again that a trained model doubts, the lowest margin first.

A second look is an ordinary decision: a new event, after which the earlier ones stay in the history. A pair that a
person has decided about since the export of the margins (`MarginSource.event_seq`) has had its second look.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, text

from curation_db.enums import Kind, State, Stream
from curation_db.events.event_log import undone_sql
from curation_db.events.in_force import PERSON_ROLES_SQL
from curation_db.queue.claims import Claim, Queue
from curation_db.queue.groups import CLOSED
from curation_db.queue.margins import MISTAKEN, margin_source
from curation_db.storage.sqlite import IN_IDS, json_array
from curation_db.storage.work_sessions import OWN_MACHINE, lease_valid_sql

_LOOKS = ", ".join(
    f"'{kind}'" for kind in (Kind.ACCEPT, Kind.REJECT, Kind.UNSURE, Kind.EDIT, Kind.FLIP, Kind.ADJUDICATE)
)
_DUE = f"""
    (SELECT s.state FROM candidate_state s WHERE s.candidate_id = e.candidate_id) = '{State.ACCEPTED}'
    AND NOT EXISTS (SELECT 1 FROM event v INDEXED BY event_candidate
                    WHERE v.candidate_id = e.candidate_id AND v.seq > :since AND v.kind IN ({_LOOKS})
                    AND v.role IN {PERSON_ROLES_SQL} AND NOT {undone_sql("v")})
"""
_FREE = f"""
    NOT EXISTS (SELECT 1 FROM lease l WHERE l.candidate_id = e.candidate_id AND {lease_valid_sql(OWN_MACHINE)})
"""
_FROM = f"FROM queue_entry e JOIN queue_group g ON g.id = e.group_id WHERE e.ordering = '{MISTAKEN}'"
_NEXT = text(f"""
    SELECT e.candidate_id, e.priority, c.audit FROM queue_entry e JOIN candidate c ON c.id = e.candidate_id
    WHERE e.ordering = '{MISTAKEN}' AND e.group_id = (SELECT id FROM queue_group WHERE stream = '{CLOSED}')
    AND (e.priority, e.candidate_id) > (:margin, :after) AND {_DUE} AND {_FREE}
    ORDER BY e.priority, e.candidate_id LIMIT 1
""")
_DUE_AMONG = text(f"SELECT e.candidate_id {_FROM} AND e.candidate_id {IN_IDS} AND g.stream = '{CLOSED}' AND {_DUE}")
_IS_FREE = text(f"SELECT 1 {_FROM} AND e.candidate_id = :candidate AND {_FREE}")
_COUNT = text(f"SELECT count(*) {_FROM} AND g.stream = '{CLOSED}' AND {_DUE}")
_START = (float("-inf"), 0)


class SecondLooks(Queue):
    """Queue that serves the second looks before the open candidates."""

    _since: int | None = None
    """`event_seq` of the margins; None: not read yet."""
    _last: tuple[float, int] | None = _START
    """Margin and id of the newest second look of this session; None: there is no further one.

    The search continues behind it, so a claim does not read again the pairs that had their second look.
    """

    def claim(self, count: int = 1, *, revisit: bool = False) -> list[Claim]:
        """Lease up to `count` cards, second looks first. With `revisit`, skipped second looks come again, too."""
        if revisit and self._last is None:
            self._last = _START
        claims: list[Claim] = []
        with self._store.write() as connection:
            while len(claims) < count and (claim := self._next_second_look(connection)) is not None:
                self._take(connection, claim.candidate_id)
                claims.append(claim)
        rest = count - len(claims)
        return [*claims, *(super().claim(rest, revisit=revisit) if rest else [])]

    def wanted(self, connection: Connection, candidate_ids: Collection[int]) -> set[int]:
        return super().wanted(connection, candidate_ids) | self._due(connection, candidate_ids)

    def _next_second_look(self, connection: Connection) -> Claim | None:
        if self._last is None:
            return None
        margin, after = self._last
        values = {"margin": margin, "after": after, "since": self._as_of(connection), **self._lease_parameters()}
        row = connection.execute(_NEXT, values).first()
        self._last = (row.priority, row.candidate_id) if row else None
        return Claim(row.candidate_id, Stream.AUDIT if row.audit else Stream.REVIEW, second_look=True) if row else None

    def _due(self, connection: Connection, candidate_ids: Collection[int]) -> set[int]:
        values = {"since": self._as_of(connection), "ids": json_array(candidate_ids)}
        return set(connection.execute(_DUE_AMONG, values).scalars())

    def _is_claimable(self, connection: Connection, candidate_id: int) -> bool:
        if super()._is_claimable(connection, candidate_id):
            return True
        values = {"candidate": candidate_id, **self._lease_parameters()}
        return bool(self._due(connection, [candidate_id])) and connection.execute(_IS_FREE, values).first() is not None

    def _as_of(self, connection: Connection) -> int:
        if self._since is None:
            source = margin_source(connection)
            self._since = source.event_seq if source else 0
        return self._since


def count_second_looks(connection: Connection) -> int:
    """Count the pairs that wait for a second look. Reads every margin: never between two cards."""
    source = margin_source(connection)
    return int(connection.execute(_COUNT, {"since": source.event_seq}).scalar_one()) if source else 0
