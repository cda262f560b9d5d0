"""Alembic's entry point: that of negwb."""

from __future__ import annotations

import runpy
from pathlib import Path

from curation_db.storage import migrations

runpy.run_path(str(Path(migrations.__file__).parent / "env.py"))
