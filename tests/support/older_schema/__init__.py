"""A synthetic older schema and its migration to the newest one, to test migrations before the first real one.

`OLDER` lacks tables, columns and indexes of the newest schema. Its script builds the baseline and drops them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from curation_db.storage import migrations, sqlite
from curation_db.storage.migrations import upgrade

OLDER = "older"
_REVISIONS = (OLDER, migrations.HEAD)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the older schema and its migration to the revisions of negwb."""
    monkeypatch.setattr(upgrade, "SCRIPTS", "support:older_schema")
    monkeypatch.setattr(migrations, "REVISIONS", _REVISIONS)
    monkeypatch.setattr("curation_db.storage.store.REVISIONS", _REVISIONS)


@contextmanager
def installed() -> Iterator[None]:
    """Install for the duration of a block; child processes use it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        install(monkeypatch)
        yield


def make_older(path: Path) -> None:
    """Create an empty record of the older schema at `path`."""
    sqlite.initialise_file(path)
    with installed():
        upgrade.migrate(path, to=OLDER)
