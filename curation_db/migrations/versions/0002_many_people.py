"""For many people at work: known answers, why people disagreed, what views filter by; and since when rows show."""

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
    # plain ADD COLUMNs: the million rows that may be there are not rewritten
    op.execute("ALTER TABLE source ADD COLUMN licenses_since INTEGER DEFAULT 0 NOT NULL")
    op.execute("ALTER TABLE image ADD COLUMN completed VARCHAR")
    op.execute("ALTER TABLE candidate ADD COLUMN since INTEGER DEFAULT 0 NOT NULL")
    op.execute("ALTER TABLE event ADD COLUMN gold BOOLEAN DEFAULT 0 NOT NULL")
    op.execute(
        "ALTER TABLE event ADD COLUMN cause VARCHAR CONSTRAINT cause_known CHECK (cause IS NULL OR kind = 'adjudicate' AND cause IN ('ambiguous_text', 'guideline_gap', 'annotator_slip', 'edge_case', 'subjective', 'other'))"
    )
    op.drop_index("event_actor", "event")
    op.create_index("event_actor", "event", ["actor", "seq"], unique=False, sqlite_where=sa.text("uid = act"))
    op.create_index("event_flip", "event", ["candidate_id"], unique=False, sqlite_where=sa.text("kind = 'flip'"))
    op.create_index("event_person", "event", ["actor", "candidate_id", "kind"], unique=False)
    op.create_index(
        "event_reason", "event", ["reason", "candidate_id"], unique=False, sqlite_where=sa.text("reason IS NOT NULL")
    )
    _what_views_filter_by()


def _what_views_filter_by() -> None:
    op.create_table(
        "candidate_mark",
        sa.Column("mark", sa.String(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"]),
        sa.PrimaryKeyConstraint("mark", "candidate_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mark_due",
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidate.id"]),
        sa.PrimaryKeyConstraint("candidate_id"),
    )
    for name, column in (
        ("cue", "cue"), ("position", "cue_position"), ("type", "negation_type"), ("pipeline", "pipeline"),
        ("audit", "audit"),
    ):  # fmt: skip
        op.create_index(f"candidate_{name}", "candidate", [column], unique=False)
    op.create_index("candidate_concept", "candidate", [sa.text("concept COLLATE NOCASE")], unique=False)
    op.create_index("candidate_beginning", "candidate", [sa.text("substr(text, 1, 32) COLLATE NOCASE")], unique=False)
    op.create_index("state_newest", "candidate_state", ["last_seq"], unique=False)
    op.create_index(
        "state_flagged", "candidate_state", ["candidate_id"], unique=False, sqlite_where=sa.text("flagged IS 1")
    )
    answer = sa.text("CASE WHEN p IS NULL THEN 'unclear' WHEN p >= 0.5 THEN 'yes' ELSE 'no' END")
    op.create_index("verdict_says", "verdict", ["judge", "question", answer, "candidate_id"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("records are never taken back: restore the backup made before the upgrade")
