"""For many people at work: known answers, why people disagreed, bulk acts that are walked along by their first event."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gold",
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.CheckConstraint(
            "reason IS NULL OR reason IN ('present', 'rest_false', 'gratuitous', 'ungrammatical', 'scope', 'duplicate', 'bad_image')",
            name="reason_known",
        ),
        sa.CheckConstraint("answer IN ('accept', 'reject')", name="answer_known"),
        sa.CheckConstraint("reason IS NULL OR answer = 'reject'", name="only_a_rejection_has_a_reason"),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["candidate.id"],
        ),
        sa.PrimaryKeyConstraint("candidate_id"),
    )
    # a plain ADD COLUMN: the million events that may be there are not rewritten
    op.execute("ALTER TABLE event ADD COLUMN gold BOOLEAN DEFAULT 0 NOT NULL")
    op.execute(
        "ALTER TABLE event ADD COLUMN cause VARCHAR CONSTRAINT cause_known CHECK (cause IS NULL OR kind = 'adjudicate' AND cause IN ('ambiguous_text', 'guideline_gap', 'annotator_slip', 'edge_case', 'subjective', 'other'))"
    )
    op.drop_index("event_actor", "event")
    op.create_index("event_actor", "event", ["actor", "seq"], unique=False, sqlite_where=sa.text("uid = act"))
    op.create_index("event_flip", "event", ["candidate_id"], unique=False, sqlite_where=sa.text("kind = 'flip'"))


def downgrade() -> None:
    raise NotImplementedError("records are never taken back: restore the backup made before the upgrade")
