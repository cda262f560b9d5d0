"""Random places in the queue for the audit stream, which was served by age or by the conflict of the judges."""

from __future__ import annotations

import hashlib

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_AUDIT = """
    SELECT e.group_id, c.source_id, c.key, c.audit_rate, c.id FROM candidate c
    JOIN queue_entry e ON e.candidate_id = c.id AND e.ordering = 'oldest' WHERE c.audit
"""
_INSERT = "INSERT INTO queue_entry(ordering, group_id, priority, candidate_id) VALUES ('audit', ?, ?, ?)"


def upgrade() -> None:
    connection = op.get_bind()
    key = connection.exec_driver_sql("SELECT value FROM record_note WHERE name = 'audit_key'").scalar()
    if key is None:
        return  # no candidate was ever inserted
    rows = connection.exec_driver_sql(_AUDIT).all()
    if rows:
        connection.exec_driver_sql(_INSERT, [(row[0], _place(bytes.fromhex(key), *row[1:4]), row[4]) for row in rows])


def _place(key: bytes, source_id: int, name: str, rate: float) -> float:
    """Return `queue.audit_order`'s place of a candidate, as of this revision."""
    identity = f"{source_id}\0{name}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.blake2b(identity, key=key, digest_size=8).digest(), "big") / 2**64
    return number / rate


def downgrade() -> None:
    raise NotImplementedError("a record cannot be downgraded; restore the backup from before the migration")
