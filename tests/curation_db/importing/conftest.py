"""Fixtures of the import tests: a record, and small data files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curation_db.importing.image_check import NO_IMAGE_FOLDERS, ImageChecker
from curation_db.importing.pipeline import import_file, make_plan
from curation_db.importing.report import ImportReport
from curation_db.importing.rows import Reject
from curation_db.storage.store import Store, create_store


@dataclass
class ImportHarness:
    """A record, a folder for data files, and the rejects of the last import."""

    store: Store
    folder: Path
    rejects: list[Reject] = field(default_factory=list)

    def write(self, name: str, content: str | bytes | dict[str, Any] | list[Any]) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def run(self, path: Path, *, checker: ImageChecker = NO_IMAGE_FOLDERS, **options: Any) -> ImportReport:
        self.rejects = []
        plan = make_plan(path, **options)
        return import_file(self.store, plan, checker=checker, on_reject=self.rejects.append)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.store.read() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    @property
    def reasons(self) -> list[str]:
        return [str(each.reason) for each in self.rejects]


@pytest.fixture
def importer(tmp_path: Path) -> Iterator[ImportHarness]:
    with create_store(tmp_path / "record.db") as store:
        yield ImportHarness(store, tmp_path)


@pytest.fixture
def coco() -> Callable[..., dict[str, Any]]:
    """Build a captions file with two images and three captions."""

    def build(**changes: Any) -> dict[str, Any]:
        content: dict[str, Any] = {
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
        return {**content, **changes}

    return build
