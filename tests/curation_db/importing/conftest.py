"""A store, and a way to import whatever a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curation_db.importing.image_check import NO_PICTURES, ImageChecker
from curation_db.importing.pipeline import import_file, make_plan
from curation_db.importing.report import ImportReport
from curation_db.importing.rows import Reject
from curation_db.storage.store import Store, create_store


@dataclass
class Desk:
    """A record, a folder to write files in, and what the last import refused."""

    store: Store
    folder: Path
    rejects: list[Reject] = field(default_factory=list)

    def file(self, name: str, content: str | bytes | dict[str, Any] | list[Any]) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        told = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(told if isinstance(told, bytes) else told.encode())
        return path

    def take(self, path: Path, *, pictures: ImageChecker = NO_PICTURES, **options: Any) -> ImportReport:
        self.rejects = []
        plan = make_plan(path, **options)
        return import_file(self.store, plan, pictures=pictures, tell=self.rejects.append)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.store.read() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    @property
    def reasons(self) -> list[str]:
        return [str(each.reason) for each in self.rejects]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with create_store(tmp_path / "record.db") as store:
        yield Desk(store, tmp_path)


@pytest.fixture
def coco() -> Callable[..., dict[str, Any]]:
    """A captions file of two pictures and three captions."""

    def made(**changes: Any) -> dict[str, Any]:
        told: dict[str, Any] = {
            "info": {"year": 2014},
            "images": [
                {"id": 9, "file_name": "COCO_train2014_000000000009.jpg", "width": 640, "height": 480, "license": 3},
                {"id": 25, "file_name": "COCO_train2014_000000000025.jpg", "width": 640, "height": 426},
            ],
            "licenses": [{"id": 3, "name": "Attribution"}],
            "annotations": [
                {"image_id": 9, "id": 101, "caption": "a woman riding a horse in a field"},
                {"image_id": 9, "id": 102, "caption": "no hat on the rider"},
                {"image_id": 25, "id": 103, "caption": "two giraffes"},
            ],
        }
        return {**told, **changes}

    return made
