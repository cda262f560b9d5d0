"""Revisions of the schema. The list below identifies a file's revision without an import of Alembic."""

from __future__ import annotations

# 0004 is the baseline: see the script in `versions`
REVISIONS = ("0004", "0005", "0006", "0007")
"""All revisions, oldest first; a test compares them with the scripts in `versions`."""

HEAD = REVISIONS[-1]

NEVER_RELEASED = ("0001", "0002", "0003")
"""Revisions of development versions before the first release; no script migrates them."""
