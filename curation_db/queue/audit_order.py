"""Order of the audit stream: random, whatever order the other cards are served in.

Labels are used before the whole audit set is labelled. By age or by conflict, the labels so far would be those of the
first imports or of the cases that the judges doubt, and no random sample: neither a rate nor a certificate would hold.
"""

from __future__ import annotations

import hashlib
from typing import Final

from sqlalchemy import Connection, text

AUDIT_ORDER: Final = "audit"
"""The ordering of the queue entries that the audit stream is served by; only candidates of the audit set have one."""

_NEWEST: Final = 2**63 - 1
_KEY = text("SELECT value FROM record_note WHERE name = 'audit_key'")
_MISSING = text("""
    SELECT c.id, c.source_id, c.key, c.audit_rate, e.group_id FROM candidate c
    CROSS JOIN queue_entry e ON e.candidate_id = c.id AND e.ordering = 'oldest' -- CROSS: candidates first, they are few
    WHERE c.audit AND c.id BETWEEN :first AND :last AND NOT EXISTS (
        SELECT 1 FROM queue_entry a WHERE a.candidate_id = c.id AND a.ordering = 'audit')
""")
_INSERT = text("""
    INSERT INTO queue_entry(ordering, group_id, priority, candidate_id) VALUES ('audit', :group, :priority, :candidate)
""")


def audit_number(key: bytes, source_id: int, candidate_key: str) -> float:
    """Return u(candidate), uniform in [0, 1); the audit set holds all with u < rate, so a higher rate only adds."""
    identity = f"{source_id}\0{candidate_key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(identity, key=key, digest_size=8).digest(), "big") / 2**64


def enter_audit_order(connection: Connection, first: int, last: int = _NEWEST) -> None:
    """Give each candidate of the audit set with an id from `first` to `last` its place in the order, if it has none.

    The place is u / rate, which is uniform in [0, 1) in every stratum and depends on the record's secret key alone.
    """
    if not (rows := connection.execute(_MISSING, {"first": first, "last": last}).all()):
        return
    key = bytes.fromhex(connection.execute(_KEY).scalar_one())
    connection.execute(
        _INSERT,
        [
            {
                "group": row.group_id,
                "priority": audit_number(key, row.source_id, row.key) / row.audit_rate,
                "candidate": row.id,
            }
            for row in rows
        ],
    )
