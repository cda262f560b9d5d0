"""Read the inputs of the lint for many candidates at once: texts, sibling captions, annotated objects. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

from curation_db.lint.linter import LintSubject

_CANDIDATES = text("""
    SELECT c.id, c.source_id, c.key, c.text, c.concept, c.cue, c.tokens, c.image_id, c.caption_id, t.text AS caption
    FROM candidate c LEFT JOIN caption t ON t.id = c.caption_id WHERE c.id IN :ids
""").bindparams(bindparam("ids", expanding=True))
_SIBLINGS = text("SELECT id, image_id, text FROM caption WHERE image_id IN :images").bindparams(
    bindparam("images", expanding=True)
)
_OBJECTS = text("SELECT image_id, category, count AS n FROM image_object WHERE image_id IN :images").bindparams(
    bindparam("images", expanding=True)
)


def candidate_rows(connection: Connection, ids: Sequence[int]) -> list[Any]:
    """Return the rows of these candidates, with their original captions."""
    return list(connection.execute(_CANDIDATES, {"ids": list(ids)}))


def lint_subjects(connection: Connection, rows: Sequence[Any]) -> dict[int, LintSubject]:
    """Return the lint subjects by candidate id; `rows` come from `candidate_rows`."""
    images = sorted({row.image_id for row in rows})
    captions: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for row in connection.execute(_SIBLINGS, {"images": images}):
        captions[row.image_id].append((row.id, row.text))
    objects: dict[int, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(_OBJECTS, {"images": images}):
        objects[row.image_id][row.category] = row.n
    return {
        row.id: LintSubject(
            text=row.text,
            concept=row.concept,
            tokens=row.tokens,
            caption=row.caption,
            siblings=tuple(sibling for number, sibling in captions[row.image_id] if number != row.caption_id),
            objects=objects[row.image_id],
        )
        for row in rows
    }
