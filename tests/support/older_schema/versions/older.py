"""The newest schema without what the next step adds."""

from __future__ import annotations

import runpy
from pathlib import Path

from alembic import op

from curation_db.storage import migrations

revision = "older"
down_revision = None
branch_labels = None
depends_on = None

_TAKE_AWAY = (
    "DROP INDEX candidate_overlap",
    "DROP INDEX event_hasty",
    "DROP TABLE event_gap",
    "DROP TABLE lineage",
    "DROP TABLE overlap_change",
    "ALTER TABLE image DROP COLUMN url",
    "ALTER TABLE annotator DROP COLUMN retired_at",
    "ALTER TABLE event DROP COLUMN zoomed",
)


def upgrade() -> None:
    (baseline,) = (Path(migrations.__file__).parent / "versions").glob("0004_*.py")
    runpy.run_path(str(baseline))["upgrade"]()
    for statement in _TAKE_AWAY:
        op.execute(statement)
