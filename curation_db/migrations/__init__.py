"""The schema's history. The list below lets a file be recognised without importing Alembic."""

from __future__ import annotations

REVISIONS = ("0001", "0002", "0003", "0004")
"""All revisions, oldest first; a test compares them with the scripts in `versions`."""

HEAD = REVISIONS[-1]
