"""Two more kinds of events: the answers to a probe, `twin` and `paraphrase`.

SQLite cannot alter a constraint, and a copy of all events would double the file and pass by the triggers that keep
them. So the text of two constraints is changed in the schema table, as SQLite's documentation describes ("Making Other
Kinds Of Table Schema Changes"). Every stored event satisfies the new constraints, which only allow more.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_CHANGES = (
    ("'withdraw', 'flip')", "'withdraw', 'flip', 'twin', 'paraphrase')"),
    ("kind NOT IN ('adjudicate', 'flip')", "kind NOT IN ('adjudicate', 'flip', 'twin', 'paraphrase')"),
)
_EVENT_TABLE = "type = 'table' AND name = 'event'"


def upgrade() -> None:
    allow_probe_answers(op.get_bind())


def allow_probe_answers(connection: Connection) -> None:
    """Let the table of events hold the two kinds; does nothing where it holds them already."""
    before = connection.exec_driver_sql(f"SELECT sql FROM sqlite_master WHERE {_EVENT_TABLE}").scalar_one()
    changed = str(before)
    for old, new in _CHANGES:
        if old not in changed and new not in changed:
            raise ValueError(f"the table of events has no constraint with {old}")
        changed = changed.replace(old, new)
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql(f"UPDATE sqlite_master SET sql = ? WHERE {_EVENT_TABLE}", (changed,))
    connection.exec_driver_sql(f"PRAGMA schema_version = {int(version) + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")


def downgrade() -> None:
    raise NotImplementedError("a record cannot be downgraded; restore the backup from before the migration")
