"""Tests of importing negwb exports, items.jsonl and pairs.jsonl, into an empty record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation_db.enums import Kind, NegationType
from curation_db.events.annotators import begin_session
from curation_db.exporting.freeze import freeze
from curation_db.exporting.selection import ExportFilter
from curation_db.importing.detect import detect
from curation_db.importing.formats import Format
from curation_db.importing.pipeline import import_file, make_plan
from curation_db.importing.rows import InputError
from curation_db.review.candidates import Intake, NewCandidate, insert_candidates
from curation_db.review.decisions import DecisionWriter
from curation_db.search import fulltext
from curation_db.storage.store import Store, create_store

COLUMNS = """SELECT s.name, i.key, i.file_name, i.url, t.text, d.text, d.concept, d.negation_type, d.cue, d.key"""
MORE = ", t.key, d.generator, d.pipeline, d.prompt_version, d.tokens, d.cue_position"
JOINED = """ FROM candidate d JOIN image i ON i.id = d.image_id JOIN source s ON s.id = i.source_id
    LEFT JOIN caption t ON t.id = d.caption_id JOIN candidate_state z ON z.candidate_id = d.id
    WHERE z.state <> 'superseded' ORDER BY s.name, d.key"""


@pytest.fixture
def exported(importer: Any) -> Path:
    """An export of two sources: imported, generated and edited pairs, some without a caption, a concept or a file."""
    annotation = {"id": 7, "image_id": 9, "caption": "a dog", "updated_caption": "a dog with no hat"}
    image = {"id": 9, "file_name": "COCO_train2014_000000000009.jpg"}
    importer.run(importer.write("n.json", {"images": [image], "annotations": [annotation]}))
    rows = [
        {"image": "sub/a.png", "caption": "a cat", "candidate": "a cat, no dog", "concept": "hound"},
        {"image": "http://example.org/b.jpg", "candidate": "not moving"},
        {"image_id": 9, "candidate": "nobody is here"},
    ]
    importer.run(importer.write("t.jsonl", "\n".join(map(json.dumps, rows))), generator="llm/8b")
    draft = NewCandidate(
        source_id=1,
        key="generate/ab/p1/7",
        image_id=1,
        caption_id=1,
        raw_text="a dog that is not asleep",
        pipeline="P2",
        generator="llama",
        prompt_version="p2-3",
        negation_type=NegationType.ACTION,
        concept="asleep",
    )
    with importer.store.write() as connection:
        insert_candidates(connection, [draft], Intake(audit_rate=0))
    ana = DecisionWriter(importer.store, begin_session(importer.store, "ana", version="test"))
    for (number,) in importer.rows("SELECT id FROM candidate"):
        ana.decide(number, Kind.ACCEPT)
    ana.edit(1, "a dog without any hat")
    fulltext.refresh(importer.store)
    freeze(importer.store, importer.folder / "exports", "s", selection=ExportFilter(), tool_version="0.1.0", names=True)
    return importer.folder / "exports" / "s"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Store]:
    with create_store(tmp_path / "empty.db") as store:
        yield store


def _rows(store: Store, columns: str) -> list[tuple[Any, ...]]:
    with store.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(columns + JOINED)]


def test_items_are_restored_completely(importer: Any, exported: Path, empty: Store) -> None:
    plan = make_plan(exported / "items.jsonl")
    assert (plan.format, set(plan.sources)) == (Format.NEGWB, {"coco", "t"})
    report = import_file(empty, plan)
    assert (report.flawless, report.candidates, report.captions, report.images) == (True, 5, 2, 4)
    assert _rows(empty, COLUMNS + MORE) == _rows(importer.store, COLUMNS + MORE)
    assert _rows(empty, "SELECT d.extra") == [(None,)] * 5
    assert _rows(empty, "SELECT z.state") == [("open",)] * 5
    assert import_file(empty, plan).new == 0
    ben = DecisionWriter(empty, begin_session(empty, "ana", version="test"))
    for number in range(1, 6):
        ben.decide(number, Kind.ACCEPT)
    freeze(empty, importer.folder / "again", "s", selection=ExportFilter(), tool_version="0.1.0")
    assert (importer.folder / "again/s/pairs.jsonl").read_bytes() == (exported / "pairs.jsonl").read_bytes()


def test_pairs_are_restored_with_all_their_fields(importer: Any, exported: Path, empty: Store) -> None:
    path = exported / "pairs.jsonl"
    assert detect(path) is Format.NEGWB
    assert import_file(empty, make_plan(path)).flawless
    assert _rows(empty, COLUMNS) == _rows(importer.store, COLUMNS)
    assert {row[0] for row in _rows(empty, "SELECT d.generator")} == {"edit", "generate", "llm"}


@pytest.mark.parametrize("name", ["items.jsonl", "pairs.jsonl"])
def test_an_export_imported_into_its_own_record_changes_nothing(
    importer: Any, exported: Path, dump: Any, name: str
) -> None:
    before = dump(importer.store)
    report = importer.run(exported / name)
    assert (report.new, report.flawless) == (0, True)
    assert dump(importer.store) == before


def test_a_stated_source_and_generator_override_the_file(exported: Path, empty: Store) -> None:
    report = import_file(empty, make_plan(exported / "items.jsonl", source="mine", generator="set-1"))
    assert report.source == "mine"
    rows = _rows(empty, "SELECT s.name, d.generator, d.key, d.concept")
    assert {row[:2] for row in rows} == {("mine", "set-1")}
    assert ("mine", "set-1", "set-1/generate/ab/p1/7", "asleep") in rows


def test_malformed_lines_of_an_export_are_refused(importer: Any, exported: Path, empty: Store) -> None:
    first = json.loads((exported / "items.jsonl").read_text().splitlines()[0])
    # fmt: off
    changes: list[dict[str, Any]] = [
        {}, {"negation_type": "nope", "key": "a"}, {"key": None}, {"source": 3, "key": "b"}, {"image_key": None},
        {"text": "", "key": "c"}, {"generator": 3, "key": "d"}, {"file_name": "../x.jpg", "key": "e"},
        {"note": "kept", "key": "f", "text": "no dog"},
    ]
    # fmt: on
    lines = [
        json.dumps({**first, "image_key": f"k{n}", "caption_key": None, **change}) for n, change in enumerate(changes)
    ]
    path = importer.write("items.jsonl", "\n".join([*lines[:1], "{", *lines[1:]]))
    rejects: list[Any] = []
    report = import_file(empty, make_plan(path), on_reject=rejects.append)
    assert report.candidates == 2
    # fmt: off
    assert [(each.where, str(each.reason)) for each in rejects] == [
        ("line 2", "malformed"), ("line 3", "bad-value"), ("line 4", "bad-value"), ("line 5", "bad-value"),
        ("line 6", "bad-value"), ("line 8", "bad-value"), ("line 9", "outside-folder"), ("line 7", "empty-text"),
    ]
    # fmt: on
    assert _rows(empty, "SELECT d.extra")[-1] == ('{"note":"kept"}',)


def test_a_mapping_for_an_export_is_an_error(exported: Path) -> None:
    with pytest.raises(InputError, match="no columns to map") as caught:
        make_plan(exported / "items.jsonl", mapping={"caption": "text"})
    assert "--format jsonl" in caught.value.hint
    path = exported.parent / "nameless.jsonl"
    path.write_text((exported / "items.jsonl").read_text().replace('"source": "', '"source": " '))
    with pytest.raises(InputError, match="source"):
        make_plan(path)
