"""The record of the benches equals one written by negwb's functions from the same candidates."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text
from support.record import Record

from benchmarks.speed.support.big_record import (
    ELAPSED_MS,
    INTAKE,
    PERSON,
    Size,
    add_images,
    draft,
    draw_images,
    fill,
    head,
    image_file,
    marker_word,
    verdicts_of,
)
from curation_db.enums import Kind
from curation_db.events.annotators import begin_session
from curation_db.queue.audit_order import AUDIT_ORDER
from curation_db.review.candidates import insert_candidates, insert_verdicts
from curation_db.review.decisions import DecisionWriter, PresentationContext
from curation_db.storage.store import Store, create_store

SMALL = Size(candidates=400, seeds=50, voted=60)
CHANCE = {
    "event": {"uid", "act", "session", "at"},
    "candidate": {"created_at"},
    "verdict": {"id", "created_at"},
    "annotator": {"created_at"},
    "lineage": {"uid", "started_at"},
    "work_session": {"id", "started_at"},
}
"""Columns that no two records share."""


def put_in_one_by_one(store: Store, audit_key: str) -> None:
    """Write the same record through import, verdicts and decisions."""
    numbers = range(1, SMALL.candidates + 1)
    with store.write() as connection:
        connection.execute(text("INSERT INTO record_note VALUES ('audit_key', :key)"), {"key": audit_key})
        add_images(connection, range(1, SMALL.candidates // 10 + 1), SMALL)
        insert_candidates(connection, [draft(number, SMALL) for number in numbers], INTAKE)
        insert_verdicts(connection, [each for number in numbers for each in verdicts_of(number)])
        at_the_head = head(connection, SMALL.voted)
    reviewer = DecisionWriter(store, begin_session(store, PERSON, version="bench"))
    for number in at_the_head:
        reviewer.decide(number, Kind.ACCEPT, shown=PresentationContext(elapsed_ms=ELAPSED_MS, leased=False))


def content(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables, without columns that differ between any two records."""
    rows_by_table = {}
    with store.read() as connection:
        names = connection.execute(
            text("""SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                    AND name NOT LIKE '%\\_text%' ESCAPE '\\'""")
        ).scalars()
        for name in list(names):
            columns = connection.execute(text(f"SELECT name FROM pragma_table_info('{name}')")).scalars()
            compared_columns = ", ".join(f'"{column}"' for column in columns if column not in CHANCE.get(name, ()))
            rows = connection.execute(text(f"SELECT {compared_columns} FROM {name}"))
            rows_by_table[name] = sorted((tuple(row) for row in rows), key=repr)
    return rows_by_table


def test_bulk_copies_equal_single_inserts(tmp_path: Path) -> None:
    with create_store(tmp_path / "bulk.db") as bulk, create_store(tmp_path / "single.db") as single:
        fill(bulk, SMALL)
        with bulk.read() as connection:
            key = connection.execute(text("SELECT value FROM record_note WHERE name = 'audit_key'")).scalar_one()
        put_in_one_by_one(single, key)
        copied, wanted = content(bulk), content(single)
    assert copied.keys() == wanted.keys()
    for table, rows in wanted.items():
        assert copied[table] == rows, table
    assert len(copied["candidate"]) == SMALL.candidates
    audit = [row for row in copied["queue_entry"] if row[0] == AUDIT_ORDER]
    assert len(copied["queue_entry"]) == 2 * SMALL.candidates + len(audit)
    assert 0 < len(audit) < SMALL.candidates
    assert len(copied["event"]) == SMALL.voted


def test_stored_states_equal_the_fold(tmp_path: Path) -> None:
    with create_store(tmp_path / "curation.db") as store:
        fill(store, SMALL)
        Record(store).assert_state_matches_events()


def test_text_and_caption_contain_the_marker_word(tmp_path: Path) -> None:
    with create_store(tmp_path / "curation.db") as store:
        fill(store, SMALL)
        with store.read() as connection:
            rows = connection.execute(
                text("SELECT c.id, c.text, t.text AS caption FROM candidate c JOIN caption t ON t.id = c.caption_id")
            ).all()
    assert len(rows) == SMALL.candidates
    assert all(
        row.text.count(marker_word(row.id, SMALL)) == row.caption.count(marker_word(row.id, SMALL)) == 1 for row in rows
    )


def test_image_files_are_distinct(tmp_path: Path) -> None:
    draw_images(tmp_path / "pictures", SMALL.images)
    files = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in files] == [image_file(image, SMALL) for image in range(1, SMALL.images + 1)]
    assert len({path.read_bytes() for path in files}) == SMALL.images
