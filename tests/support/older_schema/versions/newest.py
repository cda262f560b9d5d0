"""The step to the newest schema: tables, columns, and indexes that have to be filled."""

from __future__ import annotations

from importlib import import_module

from alembic import op

from curation_db.storage.ids import utc_now, uuid7

revision = "0007"
down_revision = "older"
branch_labels = None
depends_on = None

_ADD = (
    """CREATE TABLE event_gap (
           first INTEGER NOT NULL, last INTEGER NOT NULL, cause VARCHAR NOT NULL, at VARCHAR NOT NULL,
           PRIMARY KEY (first),
           CONSTRAINT cause_known CHECK (cause IN ('export', 'restore', 'migration')),
           CONSTRAINT first_to_last CHECK (first <= last)
       )""",
    """CREATE TABLE lineage (
           uid VARCHAR NOT NULL, "after" INTEGER NOT NULL, started_at VARCHAR NOT NULL, restored_from VARCHAR,
           PRIMARY KEY (uid)
       )""",
    """CREATE TABLE overlap_change (
           candidate_id INTEGER NOT NULL, since INTEGER NOT NULL, overlap VARCHAR NOT NULL, actor VARCHAR NOT NULL,
           at VARCHAR NOT NULL,
           PRIMARY KEY (candidate_id, since),
           FOREIGN KEY(candidate_id) REFERENCES candidate (id)
       )""",
    "ALTER TABLE image ADD COLUMN url VARCHAR",
    "ALTER TABLE annotator ADD COLUMN retired_at VARCHAR",
    "ALTER TABLE event ADD COLUMN zoomed BOOLEAN",
    "CREATE INDEX candidate_overlap ON candidate (overlap)",
    "CREATE INDEX event_hasty ON event (candidate_id) WHERE elapsed_ms < 400",
)


_PROBES = import_module("curation_db.storage.migrations.versions.0005_probe_answers")
_COMPARISONS = import_module("curation_db.storage.migrations.versions.0006_prompt_comparisons")
_AUDIT_ORDER = import_module("curation_db.storage.migrations.versions.0007_audit_order")


def upgrade() -> None:
    for statement in _ADD:
        op.execute(statement)
    _PROBES.allow_probe_answers(op.get_bind())
    _COMPARISONS.upgrade()
    _AUDIT_ORDER.upgrade()
    connection = op.get_bind()
    connection.exec_driver_sql("INSERT INTO lineage(uid, after, started_at) VALUES (?, 0, ?)", (uuid7(), utc_now()))
