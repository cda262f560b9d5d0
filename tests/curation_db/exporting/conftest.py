"""A record to export from, with rows like those of the NegationCLIP importer, and annotators who decide."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curation_db.enums import Kind, NegationType, Reason
from curation_db.events.annotators import begin_session
from curation_db.exporting.freeze import freeze
from curation_db.exporting.manifest import Manifest
from curation_db.exporting.selection import ExportFilter
from curation_db.language.sanitize import clean, raw_hash
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.decisions import DecisionWriter
from curation_db.storage.store import Store, create_store


@dataclass
class Record:
    """A record under test."""

    folder: Path
    store: Store

    def source(self, name: str, licenses: list[Any] | None = None) -> int:
        return self._insert("source", name=name, licenses=json.dumps(licenses) if licenses else None)

    def image(self, source_id: int, key: str, file_name: str | None, **more: Any) -> int:
        return self._insert("image", source_id=source_id, key=key, file_name=file_name, **more)

    def caption(self, source_id: int, key: str, image_id: int, raw_text: str) -> int:
        row = {"source_id": source_id, "key": key, "image_id": image_id}
        return self._insert("caption", **row, text=clean(raw_text), raw_sha256=raw_hash(raw_text))

    def candidate(self, source_id: int, key: str, image_id: int, raw_text: str, **more: Any) -> int:
        values = {"pipeline": "import", "generator": "negationclip", "negation_type": NegationType.ABSENCE, **more}
        intake = Intake(overlap=values.pop("overlap", "1"), audit_rate=0.0)  # a policy leaves audit candidates
        draft = NewCandidate(source_id=source_id, key=key, image_id=image_id, raw_text=raw_text, **values)
        with self.store.write() as connection:
            return insert_candidates(connection, [draft], intake)[0]

    def pairs(self, count: int, *, source: str = "coco") -> list[int]:
        """Insert `count` candidates, two per image; return their ids."""
        source_id = self.source(source)
        ids = []
        for i in range(count):
            if i % 2 == 0:
                image = self.image(source_id, str(100 + i // 2), f"{source}_{i // 2}.jpg")
            caption = self.caption(source_id, str(7 + i), image, f"a dog on a bed {i}")
            values = {"caption_id": caption, "concept": "cat"}
            ids.append(self.candidate(source_id, f"gen/{7 + i}", image, f"a dog on a bed with no cat {i}", **values))
        return ids

    def person(self, name: str) -> DecisionWriter:
        return DecisionWriter(self.store, begin_session(self.store, name, version="test"))

    def freeze(self, name: str | None = None, *, folder: str = "exports", **more: Any) -> Manifest:
        values = {"selection": ExportFilter(), "tool_version": "0.1.0", **more}
        return freeze(self.store, self.folder / folder, name, **values)

    def export(self, name: str = "set-001", *, folder: str = "exports") -> Path:
        return self.folder / folder / name

    def last_event(self) -> int:
        with self.store.read() as connection:
            return connection.execute(text("SELECT coalesce(max(seq), 0) FROM event")).scalar_one()

    def _insert(self, table: str, **row: Any) -> int:
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        with self.store.write() as connection:
            inserted = connection.execute(text(f"INSERT INTO {table}({names}) VALUES ({marks}) RETURNING id"), row)
            return inserted.scalar_one()


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with create_store(tmp_path / "curation.db") as store:
        yield Record(tmp_path, store)


@pytest.fixture(scope="session")
def new_record(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AbstractContextManager[Record]]:
    """Create a separate record, for tests that need one per example."""

    @contextmanager
    def make() -> Iterator[Record]:
        folder = tmp_path_factory.mktemp("record")
        with create_store(folder / "curation.db") as store:
            yield Record(folder, store)

    return make


@pytest.fixture
def decided(record: Record) -> Record:
    """Ten candidates (ids 1..10): 1..6 accepted by ana, 7 and 8 rejected, 9 unsure, 10 open."""
    ids = record.pairs(10)
    ana = record.person("ana")
    for number in ids[:6]:
        ana.decide(number, Kind.ACCEPT)
    for number in ids[6:8]:
        ana.decide(number, Kind.REJECT, reason=Reason.PRESENT)
    ana.decide(ids[8], Kind.UNSURE)
    return record
