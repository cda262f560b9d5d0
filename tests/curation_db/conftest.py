"""Fixtures: a new record, and a dump of all its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from support.record import Record

from curation_db.storage.store import Store, create_store


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with create_store(tmp_path / "curation.db") as store:
        yield Record(store)


@pytest.fixture
def dump() -> Callable[[Store], dict[str, list[tuple[object, ...]]]]:
    """Return a function that reads all rows of all tables."""

    def _dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
        with store.read() as connection:
            names = connection.execute(
                text("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
            ).all()
            return {
                row.name: sorted(
                    (tuple(values) for values in connection.exec_driver_sql(f'SELECT * FROM "{row.name}"')), key=repr
                )
                for row in names
            }

    return _dump
