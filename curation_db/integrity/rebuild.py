"""Rebuilds candidate_state and queue_entry from the events, deletes stale leases, rebuilds the indexes.

Events, candidates, captions, images and verdicts are never changed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from sqlalchemy import Connection, text

from curation_db.enums import Stream
from curation_db.queue.audit_order import enter_audit_order
from curation_db.queue.ordering import OLDEST, ORDERINGS, refresh_priorities
from curation_db.review.state_table import update_state
from curation_db.search.fulltext import refresh
from curation_db.storage.database_file import Progress
from curation_db.storage.ids import utc_now
from curation_db.storage.sqlite import IN_IDS, batches, json_array
from curation_db.storage.store import Store
from curation_db.storage.work_sessions import lease_valid_sql

_BATCH = 500
"""Candidates per transaction: short enough that a concurrent decision does not wait long."""
_INSERT_STATES = text(f"""
    INSERT INTO candidate_state (candidate_id, state, accepts, rejects, unsures, wanted, flagged, notes, last_seq)
    SELECT id, 'open', 0, 0, 0, 1, 0, 0, 0 FROM candidate WHERE id {IN_IDS} ON CONFLICT DO NOTHING
""")
_DELETE_ENTRIES = text(f"DELETE FROM queue_entry WHERE candidate_id {IN_IDS}")
_INSERT_ENTRIES = text(f"""
    INSERT INTO queue_entry(ordering, group_id, priority, candidate_id)
    SELECT :ordering, (SELECT id FROM queue_group WHERE stream = :stream AND voters = ',' AND passes = ','),
           CASE :ordering WHEN '{OLDEST}' THEN id ELSE 0 END, id
    FROM candidate WHERE id {IN_IDS} AND audit = :audit
""")
_INSERT_GROUP = text(
    "INSERT INTO queue_group(stream, voters, passes) VALUES (:stream, ',', ',') ON CONFLICT DO NOTHING"
)
_DELETE_STRAYS = (
    text("DELETE FROM candidate_state WHERE candidate_id NOT IN (SELECT id FROM candidate)"),
    text("DELETE FROM queue_entry WHERE candidate_id NOT IN (SELECT id FROM candidate)"),
)
_DELETE_INVALID_LEASES = text(f"""
    DELETE FROM lease AS l
    WHERE NOT {lease_valid_sql(":machine")} OR l.session NOT IN (SELECT id FROM work_session)
""")
_DELETE_ENDED_LEASES = text(
    "DELETE FROM lease WHERE session IN (SELECT id FROM work_session WHERE ended_at IS NOT NULL)"
)
_END_SESSION = text("UPDATE work_session SET ended_at = :now WHERE id = :id AND ended_at IS NULL")


def rebuild(store: Store, candidate_ids: Sequence[int], *, progress: Progress | None = None) -> None:
    """Rebuild the state and the queue entries of these candidates from their events."""
    done = 0
    for batch in batches(candidate_ids, _BATCH):
        with store.write() as connection:
            _reset_candidates(connection, batch)
            for candidate_id in batch:
                update_state(connection, candidate_id)
            refresh_priorities(connection, batch)
        done += len(batch)
        if progress is not None:
            progress(done, len(candidate_ids))


def _reset_candidates(connection: Connection, candidate_ids: Sequence[int]) -> None:
    """Give the candidates the queue entries of candidates without events, and a state if they have none."""
    ids = json_array(candidate_ids)
    connection.execute(_INSERT_STATES, {"ids": ids})
    connection.execute(_DELETE_ENTRIES, {"ids": ids})
    for stream in Stream:
        connection.execute(_INSERT_GROUP, {"stream": str(stream)})
        for ordering in ORDERINGS:
            values = {"ids": ids, "ordering": ordering, "stream": str(stream), "audit": stream is Stream.AUDIT}
            connection.execute(_INSERT_ENTRIES, values)
    enter_audit_order(connection, min(candidate_ids), max(candidate_ids))


def delete_strays(store: Store) -> int:
    """Delete states and queue entries of missing candidates; return their number."""
    with store.write() as connection:
        return sum(connection.execute(statement).rowcount for statement in _DELETE_STRAYS)


def release_leases(store: Store, dead_sessions: Sequence[str]) -> int:
    """End the dead sessions, delete the leases of all ended sessions and invalid ones; return the number of leases."""
    with store.write() as connection:
        for session in dead_sessions:
            connection.execute(_END_SESSION, {"now": utc_now(), "id": session})
        ended = connection.execute(_DELETE_ENDED_LEASES).rowcount
        values = {"now": time.time(), "machine": socket.gethostname()}
        return ended + connection.execute(_DELETE_INVALID_LEASES, values).rowcount


def rebuild_indexes(store: Store) -> None:
    """Rebuild every index from its table, including the full-text indexes."""
    with store.write() as connection:
        connection.exec_driver_sql("REINDEX")
    refresh(store)  # otherwise texts that are not indexed yet would be in the full-text index twice
    with store.write() as connection:
        for table in ("caption_text", "candidate_text"):
            connection.exec_driver_sql(f"INSERT INTO {table}({table}) VALUES ('rebuild')")
