"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from curation_db.dialect import BASELINE_EXTRAS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "annotator",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "queue_group",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("voters", sa.String(), nullable=False),
        sa.Column("passes", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("stream", "voters", "passes"),
    )
    op.create_table(
        "record_note",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "source",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("licenses", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "image",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("file_name", sa.String(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("content_sha256", sa.LargeBinary(length=32), nullable=True),
        sa.Column("extra", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["source.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source_id", "key"),
    )
    op.create_table(
        "work_session",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("annotator_id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("tool_version", sa.String(), nullable=False),
        sa.Column("started_at", sa.String(), nullable=False),
        sa.Column("ended_at", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["annotator_id"],
            ["annotator.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "caption",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("raw_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("cue", sa.String(), nullable=True),
        sa.Column("cue_position", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["image.id"],
        ),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["source.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source_id", "key"),
    )
    with op.batch_alter_table("caption", schema=None) as batch_op:
        batch_op.create_index("caption_image", ["image_id"], unique=False)

    op.create_table(
        "image_object",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["image.id"],
        ),
        sa.PrimaryKeyConstraint("image_id", "category"),
    )
    op.create_table(
        "candidate",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("caption_id", sa.Integer(), nullable=True),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("raw_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("concept", sa.String(), nullable=True),
        sa.Column("concept_confidence", sa.Float(), nullable=True),
        sa.Column("negation_type", sa.String(), nullable=False),
        sa.Column("generator", sa.String(), nullable=False),
        sa.Column("prompt_version", sa.String(), nullable=True),
        sa.Column("cue", sa.String(), nullable=True),
        sa.Column("cue_class", sa.String(), nullable=True),
        sa.Column("cue_position", sa.String(), nullable=True),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("overlap", sa.String(), nullable=False),
        sa.Column("stratum", sa.String(), nullable=False),
        sa.Column("audit", sa.Boolean(), nullable=False),
        sa.Column("audit_rate", sa.Float(), nullable=False),
        sa.Column("extra", sa.String(), nullable=True),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.CheckConstraint(
            "negation_type IN ('absence', 'action', 'attribute', 'relation', 'other')",
            name="negation_type_known",
        ),
        sa.ForeignKeyConstraint(
            ["caption_id"],
            ["caption.id"],
        ),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["image.id"],
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["candidate.id"],
        ),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["source.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source_id", "key"),
    )
    with op.batch_alter_table("candidate", schema=None) as batch_op:
        batch_op.create_index("candidate_caption", ["caption_id"], unique=False)
        batch_op.create_index("candidate_image", ["image_id"], unique=False)
        batch_op.create_index("candidate_parent", ["parent_id"], unique=False)

    op.create_table(
        "candidate_state",
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("accepts", sa.Integer(), nullable=False),
        sa.Column("rejects", sa.Integer(), nullable=False),
        sa.Column("unsures", sa.Integer(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("notes", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'needs_more', 'contested', 'accepted', 'rejected', 'unsure', 'superseded')",
            name="state_known",
        ),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["candidate.id"],
        ),
        sa.PrimaryKeyConstraint("candidate_id"),
    )
    with op.batch_alter_table("candidate_state", schema=None) as batch_op:
        batch_op.create_index("state_by_state", ["state", "candidate_id"], unique=False)

    op.create_table(
        "event",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(), nullable=False),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("undo_of", sa.Integer(), nullable=True),
        sa.Column("child_id", sa.Integer(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("elapsed_ms", sa.Integer(), nullable=True),
        sa.Column("at", sa.String(), nullable=False),
        sa.CheckConstraint("(kind = 'edit') = (child_id IS NOT NULL)", name="edit_names_its_child"),
        sa.CheckConstraint("(kind = 'undo') = (undo_of IS NOT NULL)", name="undo_names_its_event"),
        sa.CheckConstraint(
            "kind IN ('accept', 'reject', 'unsure', 'skip', 'flag', 'note', 'edit', 'undo', 'requeue', 'adjudicate', 'withdraw', 'flip')",
            name="kind_known",
        ),
        sa.CheckConstraint(
            "kind NOT IN ('adjudicate', 'flip') OR verdict IN ('accept', 'reject')", name="verdict_said"
        ),
        sa.CheckConstraint(
            "reason IS NULL OR reason IN ('present', 'rest_false', 'gratuitous', 'ungrammatical', 'scope', 'duplicate', 'bad_image')",
            name="reason_known",
        ),
        sa.CheckConstraint("role IN ('annotator', 'adjudicator', 'policy', 'system')", name="role_known"),
        sa.CheckConstraint("stream IN ('review', 'audit')", name="stream_known"),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["candidate.id"],
        ),
        sa.ForeignKeyConstraint(
            ["child_id"],
            ["candidate.id"],
        ),
        sa.ForeignKeyConstraint(
            ["undo_of"],
            ["event.seq"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("uid"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index("event_actor", ["actor", "seq"], unique=False)
        batch_op.create_index("event_candidate", ["candidate_id", "seq"], unique=False)
        batch_op.create_index("event_undo_of", ["undo_of"], unique=False, sqlite_where=sa.text("undo_of IS NOT NULL"))

    op.create_table(
        "lease",
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.Integer(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotator_id"],
            ["annotator.id"],
        ),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["candidate.id"],
        ),
        sa.PrimaryKeyConstraint("candidate_id", "annotator_id"),
    )
    with op.batch_alter_table("lease", schema=None) as batch_op:
        batch_op.create_index("lease_session", ["session"], unique=False)

    op.create_table(
        "queue_entry",
        sa.Column("ordering", sa.String(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Float(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["candidate.id"],
        ),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["queue_group.id"],
        ),
        sa.PrimaryKeyConstraint("ordering", "group_id", "priority", "candidate_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("queue_entry", schema=None) as batch_op:
        batch_op.create_index("queue_entry_candidate", ["candidate_id"], unique=False)

    op.create_table(
        "verdict",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("judge", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("prompt_version", sa.String(), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("p", sa.Float(), nullable=True),
        sa.Column("label_mass", sa.Float(), nullable=True),
        sa.Column("raw_text", sa.String(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.CheckConstraint("question IN ('present', 'acceptable')", name="question_known"),
        sa.CheckConstraint("p IS NULL OR (p >= 0 AND p <= 1)", name="p_is_a_probability"),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["candidate.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("candidate_id", "judge", "question", "prompt_version"),
    )

    for statement in BASELINE_EXTRAS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("records are never taken back: restore the backup made before the upgrade")
