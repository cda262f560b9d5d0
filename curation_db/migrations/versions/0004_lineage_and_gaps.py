"""Event gaps, lineages, overlap changes; how a picture was shown; retired names; picture URLs; lease lengths."""

from __future__ import annotations

from uuid import NAMESPACE_OID, uuid5

import sqlalchemy as sa
from alembic import op

from curation_db.identity import utc_now, uuid7

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MISSING_RANGES = """
    WITH known(seq) AS (
        SELECT 0 UNION ALL SELECT seq FROM event
        -- one past the last number that an export took, or that SQLite counted: the next event continues there
        UNION ALL SELECT 1 + max(
            coalesce((SELECT max(seq) FROM event), 0),
            coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0),
            coalesce((SELECT CAST(value AS INTEGER) FROM record_note WHERE name = 'settled'), 0)
        )
    )
    SELECT seq + 1 AS first, following - 1 AS last FROM (
        SELECT seq, lead(seq) OVER (ORDER BY seq) AS following FROM known
    ) WHERE following > seq + 1
"""
_AUDIT_KEY = "SELECT value FROM record_note WHERE name = 'audit_key'"


def upgrade() -> None:
    op.create_table(
        "event_gap",
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.CheckConstraint("cause IN ('export', 'restore', 'migration')", name="cause_known"),
        sa.CheckConstraint("first <= last", name="first_to_last"),
        sa.PrimaryKeyConstraint("first"),
    )
    op.create_table(
        "lineage",
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("after", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.String(), nullable=False),
        sa.Column("restored_from", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("uid"),
    )
    op.create_table(
        "overlap_change",
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("overlap", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"]),
        sa.PrimaryKeyConstraint("candidate_id", "since"),
    )
    op.create_index("candidate_overlap", "candidate", ["overlap"])
    # plain ADD COLUMNs: existing rows are not rewritten
    op.execute("ALTER TABLE image ADD COLUMN url VARCHAR")
    op.execute("ALTER TABLE annotator ADD COLUMN retired_at VARCHAR")
    op.execute("ALTER TABLE lease ADD COLUMN seconds FLOAT DEFAULT 600 NOT NULL")
    op.execute(
        "ALTER TABLE event ADD COLUMN picture VARCHAR CONSTRAINT picture_known CHECK (picture IS NULL OR picture IN ('none', 'cells', 'pixels'))"
    )
    op.execute("ALTER TABLE event ADD COLUMN zoomed BOOLEAN")
    op.create_index("event_hasty", "event", ["candidate_id"], sqlite_where=sa.text("elapsed_ms < 400"))
    _record_present_gaps_and_lineage()


def _record_present_gaps_and_lineage() -> None:
    connection = op.get_bind()
    now = utc_now()
    gaps = connection.execute(sa.text(_MISSING_RANGES)).all()
    for first, last in gaps:
        connection.execute(
            sa.text("INSERT INTO event_gap(first, last, cause, at) VALUES (:first, :last, 'migration', :now)"),
            {"first": first, "last": last, "now": now},
        )
    # of the audit key, which never changes: a backup from before this schema comes to the lineage of its record
    key = connection.execute(sa.text(_AUDIT_KEY)).scalar()
    uid = str(uuid5(NAMESPACE_OID, f"negwb lineage {key}")) if key is not None else uuid7()
    connection.execute(
        sa.text("INSERT INTO lineage(uid, after, started_at) VALUES (:uid, 0, :now)"), {"uid": uid, "now": now}
    )


def downgrade() -> None:
    raise NotImplementedError("records are never taken back: restore the backup made before the upgrade")
