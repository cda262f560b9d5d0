"""What is worked out after an import, so that the import itself stays fast: full text and the cues of captions.

Texts are never changed, so the work is always "everything beyond the last id that was done"; it can be interrupted
anywhere and goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, text

from curation_db.language.negation_cues import first_cue
from curation_db.language.sanitize import clean
from curation_db.storage import sqlite
from curation_db.storage.store import Store

_BATCH = 2_000
"""Rows in a transaction: a tenth of a second, for which people at work wait."""
_NEWEST = text("""
    SELECT coalesce((SELECT max(id) FROM caption), 0) AS caption,
           coalesce((SELECT max(id) FROM candidate), 0) AS candidate
""")
_TEXTS = {"caption": ("text",), "candidate": ("text", "concept")}


def refresh(store: Store, *, progress: Callable[[int], None] = lambda rows: None) -> None:
    """Bring the full text and the captions' cue columns up to date; `progress` is told of rows as they are done."""
    for table in _TEXTS:
        while done := _one_batch(store, table):
            progress(done)


def behind(connection: Connection) -> bool:
    """Whether there are texts that the search does not know; two look-ups."""
    newest = connection.execute(_NEWEST).one()
    return any(newest._mapping[table] > _mark(connection, table) for table in _TEXTS)


def _one_batch(store: Store, table: str) -> int:
    """Index the next batch of `table`; returns how many rows there were."""
    with store.write() as connection:
        after = _mark(connection, table)
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
        _set_mark(connection, table, last)
        return len(rows)


def _store_cues(connection: Connection, captions: list[tuple[int, str]]) -> None:
    found = [
        {"id": number, "cue": cue.word, "position": str(cue.position)}
        for number, words in captions
        if (cue := first_cue(words)) is not None
    ]
    if found:
        connection.execute(text("UPDATE caption SET cue = :cue, cue_position = :position WHERE id = :id"), found)


def _mark(connection: Connection, table: str) -> int:
    value = connection.execute(
        text("SELECT value FROM record_note WHERE name = :name"), {"name": f"indexed_{table}"}
    ).scalar()
    return int(value or 0)


def _set_mark(connection: Connection, table: str, last: int) -> None:
    connection.execute(
        text("""INSERT INTO record_note(name, value) VALUES (:name, :value)
                ON CONFLICT(name) DO UPDATE SET value = excluded.value"""),
        {"name": f"indexed_{table}", "value": str(last)},
    )


def find(connection: Connection, words: str, *, limit: int = 50) -> list[int]:
    """Candidates whose text, concept or original caption holds all of `words` (the last one may be a beginning)."""
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
