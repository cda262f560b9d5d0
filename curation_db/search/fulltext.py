"""Full-text index and cue columns of captions, computed after an import to keep the import fast.

Texts never change, so each run indexes the rows after the last indexed id. It can be interrupted at any time, and the
next run resumes there.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, text

from curation_db.language.negation_cues import first_cue
from curation_db.language.sanitize import clean
from curation_db.storage import sqlite
from curation_db.storage.store import Store

_BATCH = 2_000
"""Rows per transaction, which takes a tenth of a second and blocks other writers."""
_NEWEST = text("""
    SELECT coalesce((SELECT max(id) FROM caption), 0) AS caption,
           coalesce((SELECT max(id) FROM candidate), 0) AS candidate
""")
_TEXTS = {"caption": ("text",), "candidate": ("text", "concept")}


def refresh(store: Store, *, progress: Callable[[int], None] = lambda rows: None) -> None:
    """Index all new texts; `progress` is called with the number of rows of each batch."""
    for table in _TEXTS:
        while done := _one_batch(store, table):
            progress(done)


def behind(connection: Connection) -> bool:
    """Return whether there are texts that are not indexed yet; two look-ups."""
    newest = connection.execute(_NEWEST).one()
    return any(newest._mapping[table] > _last_indexed(connection, table) for table in _TEXTS)


def _one_batch(store: Store, table: str) -> int:
    """Index the next batch of `table` and return its number of rows."""
    with store.write() as connection:
        after = _last_indexed(connection, table)
        rows = connection.execute(
            text(f"SELECT id, text FROM {table} WHERE id > :after ORDER BY id LIMIT :batch"),
            {"after": after, "batch": _BATCH},
        ).all()
        if not rows:
            return 0
        last = rows[-1].id
        sqlite.index_text(connection, table, _TEXTS[table], after, last)
        if table == "caption":
            _store_cues(connection, [(row.id, row.text) for row in rows])
        _set_last_indexed(connection, table, last)
        return len(rows)


def _store_cues(connection: Connection, captions: list[tuple[int, str]]) -> None:
    cues = [
        {"id": number, "cue": cue.word, "position": str(cue.position)}
        for number, caption in captions
        if (cue := first_cue(caption)) is not None
    ]
    if cues:
        connection.execute(text("UPDATE caption SET cue = :cue, cue_position = :position WHERE id = :id"), cues)


def _last_indexed(connection: Connection, table: str) -> int:
    value = connection.execute(
        text("SELECT value FROM record_note WHERE name = :name"), {"name": f"indexed_{table}"}
    ).scalar()
    return int(value or 0)


def _set_last_indexed(connection: Connection, table: str, last: int) -> None:
    connection.execute(
        text("""INSERT INTO record_note(name, value) VALUES (:name, :value)
                ON CONFLICT(name) DO UPDATE SET value = excluded.value"""),
        {"name": f"indexed_{table}", "value": str(last)},
    )


def find(connection: Connection, words: str, *, limit: int = 50) -> list[int]:
    """Return the candidates whose text, concept or caption contains all of `words`; the last word may be a prefix."""
    query = sqlite.phrase_query(clean(words))
    if not query:
        return []
    rows = connection.execute(
        text("""SELECT id FROM candidate WHERE id IN
                    (SELECT rowid FROM candidate_text WHERE candidate_text MATCH :query)
                UNION SELECT c.id FROM candidate c WHERE c.caption_id IN
                    (SELECT rowid FROM caption_text WHERE caption_text MATCH :query)
                ORDER BY id LIMIT :limit"""),
        {"query": query, "limit": limit},
    )
    return [row.id for row in rows]
