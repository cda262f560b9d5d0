"""A synthetic older schema and the step from it to the newest one, so that migrations are tested before there is one.

`OLDER` lacks tables, columns and indexes of the newest schema. Its script builds the baseline and takes these away.
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
    """Let negwb know the older schema and how it is brought up to date."""
    monkeypatch.setattr(upgrade, "SCRIPTS", "support:older_schema")
    monkeypatch.setattr(migrations, "REVISIONS", _REVISIONS)
    monkeypatch.setattr("curation_db.storage.store.REVISIONS", _REVISIONS)


@contextmanager
def installed() -> Iterator[None]:
    """`install` for the length of a block; child processes use it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        install(monkeypatch)
        yield


def make_older(path: Path) -> None:
    """Create an empty record of the older schema at `path`."""
    sqlite.initialise_file(path)
    with installed():
        upgrade.migrate(path, to=OLDER)
