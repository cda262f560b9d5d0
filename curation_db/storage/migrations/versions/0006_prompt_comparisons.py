"""Two tables for comparisons of prompt versions: the two recipes, and the arm of each item."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SCHEMA = """
CREATE TABLE prompt_comparison (
    id INTEGER NOT NULL, recipe_a VARCHAR NOT NULL, recipe_b VARCHAR NOT NULL, prompt_a VARCHAR NOT NULL,
    prompt_b VARCHAR NOT NULL, pipeline VARCHAR NOT NULL, seed INTEGER NOT NULL, created_at VARCHAR NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (recipe_a, recipe_b)
)

CREATE TABLE prompt_assignment (
    comparison_id INTEGER NOT NULL, item VARCHAR NOT NULL, image_id INTEGER NOT NULL, pair INTEGER NOT NULL,
    arm VARCHAR NOT NULL,
    PRIMARY KEY (comparison_id, item),
    CONSTRAINT arm_known CHECK (arm IN ('a', 'b')),
    FOREIGN KEY(comparison_id) REFERENCES prompt_comparison (id),
    FOREIGN KEY(image_id) REFERENCES image (id)
) WITHOUT ROWID

CREATE INDEX prompt_assignment_arm ON prompt_assignment (comparison_id, arm, image_id)
"""


def upgrade() -> None:
    for statement in _SCHEMA.split("\n\n"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a record cannot be downgraded; restore the backup from before the migration")
