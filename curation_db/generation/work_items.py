"""Work items of a generation run, read in pages of images, and their results.

An item is a caption (pipeline P1) or a question with the human answer "no" (P2), under a recipe. An item with a row in
`generation_item` is done.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, bindparam, text

from curation_db.enums import ItemStatus
from curation_db.language.sanitize import clean
from curation_db.review.candidates import Intake, NewCandidate, NewVerdict, insert_candidates, insert_verdicts
from curation_db.storage.ids import utc_now
from curation_db.storage.sqlite import json_array

_PENDING = {
    "caption": """
        FROM caption i WHERE i.image_id > :after AND NOT EXISTS (SELECT 1 FROM generation_item g
            WHERE g.recipe = :recipe AND g.item = 'caption/' || i.id AND g.status IN :done)""",
    "question": """
        FROM visual_question i WHERE i.image_id > :after
          AND EXISTS (SELECT 1 FROM caption c WHERE c.image_id = i.image_id)
          AND NOT EXISTS (SELECT 1 FROM generation_item g
            WHERE g.recipe = :recipe AND g.item = 'question/' || i.id AND g.status IN :done)""",
}
"""FROM clause of the items that are not done, by kind."""
_OF_ARM = """
    SELECT 1 FROM prompt_assignment a
    WHERE a.comparison_id = :comparison AND a.item = '{kind}/' || i.id AND a.arm = :arm
"""
_UNASSIGNED = """
    SELECT i.image_id, s.name AS source, m.key, '{kind}/' || i.id AS item {pending}
      AND NOT EXISTS (SELECT 1 FROM generation_item g WHERE g.recipe = :other AND g.item = '{kind}/' || i.id)
      AND NOT EXISTS (SELECT 1 FROM prompt_assignment a
                      WHERE a.comparison_id = :comparison AND a.item = '{kind}/' || i.id)
    {sources} ORDER BY i.image_id, i.id
"""
_TABLES = {"caption": "caption", "question": "visual_question"}
"""Table by kind of item."""
_SOURCE_FILTER = "AND i.source_id IN (SELECT id FROM source WHERE name IN :sources)"
_SOURCE_FILTER_IN_ORDER = _SOURCE_FILTER.replace("i.source_id", "+i.source_id")
"""Makes SQLite scan by image; with the index on the source, each page would sort all remaining rows."""
_IMAGES = text("""
    SELECT m.id, m.key, m.file_name, m.source_id, s.name AS source FROM image m JOIN source s ON s.id = m.source_id
    WHERE m.id IN :images ORDER BY m.id
""").bindparams(bindparam("images", expanding=True))
_CAPTIONS = text("SELECT id, key, image_id, text FROM caption WHERE image_id IN :images ORDER BY id").bindparams(
    bindparam("images", expanding=True)
)
_QUESTIONS = text("""
    SELECT id, key, image_id, text, question_type FROM visual_question WHERE image_id IN :images ORDER BY id
""").bindparams(bindparam("images", expanding=True))
_OBJECTS = text("SELECT image_id, category, count AS n FROM image_object WHERE image_id IN :images").bindparams(
    bindparam("images", expanding=True)
)
_DONE = text("""
    SELECT item FROM generation_item
    WHERE recipe = :recipe AND item IN (SELECT value FROM json_each(:items)) AND status IN :done
""").bindparams(bindparam("done", expanding=True))
_ASSIGNED = text("""
    SELECT item FROM prompt_assignment
    WHERE comparison_id = :comparison AND arm = :arm AND item IN (SELECT value FROM json_each(:items))
""")
_FINISH = """
    INSERT INTO generation_item
        (recipe, item, run_id, image_id, status, reason, detail, candidate_id, attempts, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT(recipe, item) DO UPDATE SET run_id = excluded.run_id, status = excluded.status,
        reason = excluded.reason, detail = excluded.detail, candidate_id = excluded.candidate_id,
        attempts = excluded.attempts, created_at = excluded.created_at
    WHERE generation_item.status <> 'kept'
"""
_ALL: tuple[str, ...] = tuple(map(str, ItemStatus))
_RETRYING = tuple(str(status) for status in ItemStatus if status is not ItemStatus.FAILED)
_DETAIL_LIMIT = 500
Categories = dict[int, frozenset[str]]
"""Annotated categories by source id."""


@dataclass(slots=True)
class ImageContext:
    """An image with its captions, questions and annotated objects."""

    id: int
    key: str
    file_name: str | None
    source_id: int
    source: str
    captions: list[Any] = field(default_factory=list)
    """Rows with id, key, text."""
    questions: list[Any] = field(default_factory=list)
    """Rows with id, key, text, question_type."""
    objects: dict[str, int] = field(default_factory=dict)
    categories: frozenset[str] = frozenset()
    waiting: set[str] = field(default_factory=set)
    """Items that are not done under the recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The items that a run processes."""

    recipe: str
    """Hash of the recipe."""
    kind: str
    """"caption" or "question"."""
    sources: tuple[str, ...] = ()
    """Names of sources; empty: all."""
    retry: bool = False
    """Whether failed items count as not done."""
    arm: tuple[int, str] | None = None
    """Id of a comparison and one of its arms: only the items assigned to it. None: all items."""

    @property
    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {"recipe": self.recipe, "done": _RETRYING if self.retry else _ALL}
        if self.arm is not None:
            values |= {"comparison": self.arm[0], "arm": self.arm[1]}
        return values | ({"sources": self.sources} if self.sources else {})

    def _statement(self, select: str, end: str = "") -> Any:
        source_filter = _SOURCE_FILTER_IN_ORDER if end else _SOURCE_FILTER
        arm_filter = "" if self.arm is None else f"AND EXISTS ({_OF_ARM.format(kind=self.kind)})"
        sql = text(f"{select} {_PENDING[self.kind]} {arm_filter} {source_filter if self.sources else ''} {end}")
        sql = sql.bindparams(bindparam("done", expanding=True))
        return sql.bindparams(bindparam("sources", expanding=True)) if self.sources else sql

    def count(self, connection: Connection) -> int:
        """Return the number of items that are not done."""
        sql = self._statement("SELECT count(*)")
        return int(connection.execute(sql, {**self._values, "after": 0}).scalar_one())

    def page(self, connection: Connection, after: int, limit: int, known: Categories) -> list[ImageContext]:
        """Return the next `limit` images with an id above `after` that have items not done; empty at the end."""
        sql = self._statement("SELECT DISTINCT i.image_id", "ORDER BY i.image_id LIMIT :most")
        ids = list(connection.execute(sql, {**self._values, "after": after, "most": limit}).scalars())
        images = image_contexts(connection, ids, known)
        _mark_pending(connection, images, self)
        return images


def has_any(connection: Connection, kind: str) -> bool:
    """Return whether any item of this kind exists, done or not."""
    return bool(connection.execute(text(f"SELECT EXISTS (SELECT 1 FROM {_TABLES[kind]})")).scalar_one())


def count_all(connection: Connection, kind: str) -> int:
    """Return the number of items of this kind, done or not."""
    return int(connection.execute(text(f"SELECT count(*) FROM {_TABLES[kind]}")).scalar_one())


def image_contexts(connection: Connection, image_ids: Sequence[int], known: Categories) -> list[ImageContext]:
    """Load these images with their annotations; cache the categories of their sources in `known`."""
    if not image_ids:
        return []
    images = {
        row.id: ImageContext(row.id, row.key, row.file_name, row.source_id, row.source)
        for row in connection.execute(_IMAGES, {"images": list(image_ids)})
    }
    for row in connection.execute(_CAPTIONS, {"images": list(images)}):
        images[row.image_id].captions.append(row)
    for row in connection.execute(_QUESTIONS, {"images": list(images)}):
        images[row.image_id].questions.append(row)
    for row in connection.execute(_OBJECTS, {"images": list(images)}):
        images[row.image_id].objects[row.category] = row.n
    for image in images.values():
        if image.source_id not in known:
            known[image.source_id] = _categories(connection, image.source_id)
        image.categories = known[image.source_id]
    return list(images.values())


def _categories(connection: Connection, source: int) -> frozenset[str]:
    """Return the annotated categories of the source; reads all of its annotated objects."""
    sql = text("""SELECT DISTINCT o.category FROM image_object o JOIN image m ON m.id = o.image_id
                  WHERE m.source_id = :source LIMIT 5000""")
    return frozenset(connection.execute(sql, {"source": source}).scalars())


def _mark_pending(connection: Connection, images: Collection[ImageContext], scope: Scope) -> None:
    items = {
        image.id: {f"{scope.kind}/{row.id}" for row in (image.captions if scope.kind == "caption" else image.questions)}
        for image in images
    }
    every = [item for listed in items.values() for item in listed]
    values = {"recipe": scope.recipe, "items": json_array(every), "done": _RETRYING if scope.retry else _ALL}
    done = set(connection.execute(_DONE, values).scalars()) if every else set()
    for image in images:
        image.waiting = items[image.id] - done
    if scope.arm is not None:
        names = {"comparison": scope.arm[0], "arm": scope.arm[1], "items": json_array(every)}
        assigned = set(connection.execute(_ASSIGNED, names).scalars())
        for image in images:
            image.waiting &= assigned


def unassigned_items(
    connection: Connection,
    kind: str,
    recipes: tuple[str, str],
    comparison: int,
    *,
    sources: Sequence[str] = (),
    after: int = 0,
) -> Generator[tuple[int, str, str, list[str]], None, None]:
    """Yield (image id, source, key, items) of the images with items that neither recipe has processed and that have no
    arm in the comparison; by image id, above `after`."""
    pending = _PENDING[kind].replace(
        " i WHERE", " i JOIN image m ON m.id = i.image_id JOIN source s ON s.id = m.source_id WHERE", 1
    )
    sql = text(
        _UNASSIGNED.format(kind=kind, pending=pending, sources=_SOURCE_FILTER_IN_ORDER if sources else "")
    ).bindparams(bindparam("done", expanding=True))
    values: dict[str, Any] = {
        "recipe": recipes[0],
        "other": recipes[1],
        "comparison": comparison,
        "after": after,
        "done": _ALL,
    }
    if sources:
        sql = sql.bindparams(bindparam("sources", expanding=True))
        values["sources"] = tuple(sources)
    with connection.execute(sql, values) as rows:
        for (image_id, source, key), group in groupby(rows, key=lambda row: (row.image_id, row.source, row.key)):
            yield image_id, source, key, [row.item for row in group]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedItem:
    item: str
    image_id: int
    status: ItemStatus
    reason: str = ""
    detail: str = ""
    attempts: int = 1
    draft: NewCandidate | None = None
    candidate_id: int | None = None
    """Id of an existing candidate, where the item is one that was only judged."""
    verdicts: tuple[NewVerdict, ...] = ()
    """Verdicts about the draft or the candidate; `store_finished` sets their `candidate_id`."""


def store_finished(
    connection: Connection, run_id: int | None, recipe: str, finished: Sequence[FinishedItem], intake: Intake
) -> None:
    """Store candidates, verdicts and results of items in the caller's transaction."""
    drafts = [each.draft for each in finished if each.draft is not None]
    if drafts:
        insert_candidates(connection, drafts, intake)
    ids = _ids(connection, drafts)
    verdicts, rows, now = [], [], utc_now()
    for each in finished:
        candidate = ids[each.draft.source_id, each.draft.key] if each.draft else each.candidate_id
        verdicts += [replace(verdict, candidate_id=candidate) for verdict in each.verdicts if candidate is not None]
        # fmt: off
        rows.append(
            (recipe, each.item, run_id, each.image_id, str(each.status), each.reason or None,
             clean(each.detail)[:_DETAIL_LIMIT] or None, candidate, each.attempts, now)
        )
        # fmt: on
    if verdicts:
        insert_verdicts(connection, verdicts)
    if rows:
        connection.exec_driver_sql(_FINISH, rows)


def _ids(connection: Connection, drafts: Sequence[NewCandidate]) -> dict[tuple[int, str], int]:
    sql = text("SELECT id FROM candidate WHERE source_id = :source AND key = :key")
    return {
        (draft.source_id, draft.key): connection.execute(
            sql, {"source": draft.source_id, "key": draft.key}
        ).scalar_one()
        for draft in drafts
    }
