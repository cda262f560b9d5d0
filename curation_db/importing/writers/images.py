"""Writes image rows: inserts new images, fills empty columns, and refuses an id that belongs to another image.

After an image was refused, its id may mean either of two images, so every row of the import that refers to the id only
is refused too (`refuse_references`). A row that names the image itself, as a table row does, is not ambiguous.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from curation_db.events import event_clock
from curation_db.importing.report import WriteOutcome
from curation_db.importing.rows import (
    ImageRow,
    RefusedRow,
    Reject,
    RejectReason,
    RowBatch,
    coco_key,
    may_be_same_image,
    reject,
)
from curation_db.storage import sqlite

SOURCE_HINT: Final = "if the images of the file are not those of the record, import the file with --source NAME"
_COLUMNS: Final = ("source_id", "key", "file_name", "width", "height", "extra")
_SELDOM: Final = ("content_sha256", "url")
"""Columns that most imports leave empty."""
_COMPLETED: Final = (*_COLUMNS[2:], *_SELDOM)
_MAX_KNOWN: Final = 500_000
_UPDATE: Final = text(
    f"UPDATE image SET {', '.join(f'{name} = :{name}' for name in (*_COMPLETED, 'completed'))} WHERE id = :id"
)
_AMBIGUOUS: Final = "image {key} was refused: the row may mean another image"


class ImageWriter:
    """Writes the images of one import; caches the ids of up to half a million images."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._images: dict[str, int] = {}
        self.source_id = 0
        """0 until the source is stored."""
        self._refused: dict[str, str] = {}
        """Keys of refused images, with the hint for rows that refer to them."""

    def refuse(self, keys: Iterable[str], hint: str = "") -> None:
        """Mark the images with these keys as refused."""
        for key in keys:
            self._refused.setdefault(key, hint)

    def known(self, connection: Connection, keys: Sequence[str]) -> dict[str, bool]:
        """Return the stored keys among `keys`, each with whether the image's hash is stored."""
        rows = self._select(connection, keys, ("key", "content_sha256 IS NOT NULL AS hashed"))
        return {row.key: bool(row.hashed) for row in rows}

    def seen(self, key: str) -> bool:
        """Return whether an earlier batch of this import had this image."""
        return key in self._images

    def add_mentioned(self, connection: Connection, batch: RowBatch) -> list[Reject]:
        """Add the mentioned images to the batch's images if their key is not stored.

        A stored image stays unchanged. Returns the rows whose key belongs to another stored image.
        """
        first = {row.key: row for row in reversed(batch.mentioned) if not self.seen(row.key)}
        rows = self._select(connection, list(first), ("key", "file_name", "url"))
        old = {row.key: row.file_name or row.url for row in rows}
        batch.images += [row for key, row in reversed(first.items()) if key not in old]
        wrong = [first[key] for key, name in old.items() if not first[key].may_be_named(name)]
        unlisted = [row for row in wrong if row.key not in self._refused]
        self.refuse((row.key for row in wrong), SOURCE_HINT)
        return [reject(row.at, _other_image(row, old[row.key])) for row in unlisted]

    def resolve(self, connection: Connection, keys: Iterable[str]) -> dict[str, int]:
        """Return the ids of stored images by key; keys that are not stored are left out."""
        unknown = [key for key in dict.fromkeys(keys) if key not in self._images]
        if unknown:
            self._images.update((row.key, row.id) for row in self._select(connection, unknown, ("key", "id")))
        return self._images

    def insert(self, connection: Connection, rows: list[ImageRow], outcome: WriteOutcome) -> None:
        """Insert new images; compare and complete stored ones."""
        if len(self._images) > _MAX_KNOWN:
            self._images.clear()
        unique = self._unique(rows, outcome)
        fresh = [key for key in unique if key not in self._images]
        before = connection.execute(text("SELECT coalesce(max(id), 0) FROM image")).scalar_one()
        columns, sent = self._values(unique)
        new = sqlite.insert_or_ignore(connection, "image", columns, sent)
        outcome.counts["images"] += new
        if new:
            inserted = connection.execute(text("SELECT key, id FROM image WHERE id > :before"), {"before": before})
            self._images.update((row.key, row.id) for row in inserted)
        if new < len(sent):
            refused = self._compare(connection, unique, outcome)
            outcome.counts["unchanged"] += len(fresh) - new - len(refused.intersection(fresh))

    def _select(self, connection: Connection, keys: Sequence[str], columns: tuple[str, ...]) -> list[Any]:
        source_id = self.source_id
        if not source_id:
            result = connection.execute(text("SELECT id FROM source WHERE name = :name"), {"name": self._source})
            source_id = result.scalar() or 0
        return list(sqlite.select_in(connection, "image", columns, "key", keys, source_id=source_id))

    def _unique(self, rows: list[ImageRow], outcome: WriteOutcome) -> dict[str, ImageRow]:
        """Return the batch's images, each once; refuse another image with the same key."""
        unique: dict[str, ImageRow] = {}
        for row in rows:
            first = unique.setdefault(row.key, row)
            if first.name is None and row.name is not None:
                names = {name: getattr(row, name) for name in ("file_name", "url", "unstripped")}
                unique[row.key] = first._replace(**names)
            elif first is not row and not may_be_same_image(first.name, row.name):
                self._refuse(row, RefusedRow(RejectReason.DUPLICATE, _further_up(row, first.name)), outcome)
        return unique

    def _values(self, unique: dict[str, ImageRow]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """Return the columns and values to insert, without the columns that no row fills."""
        own, rows = self.source_id, unique.values()
        filled = tuple(name for name in _SELDOM if any(getattr(row, name) for row in rows))
        if not filled:
            return _COLUMNS, [(own, row.key, row.file_name, row.width, row.height, row.extra) for row in rows]
        columns = (*_COLUMNS, *filled)
        return columns, [(own, *(getattr(row, name) for name in columns[1:])) for row in rows]

    def _compare(self, connection: Connection, unique: dict[str, ImageRow], outcome: WriteOutcome) -> set[str]:
        """Compare and complete stored images; return the keys that belong to other images."""
        seq = event_clock.next_seq(connection)
        updates, refused = [], set()
        for old in self._select(connection, list(unique), ("id", "key", *_COMPLETED, "completed")):
            row = unique[old.key]
            again = self.seen(old.key)
            self._images[old.key] = old.id
            known = old.file_name or old.url
            renamed = row.unstripped is not None and known is not None and may_be_same_image(known, row.unstripped)
            if not row.may_be_named(known):
                why = RefusedRow(RejectReason.DUPLICATE, _further_up(row, known)) if again else _other_image(row, known)
                self._refuse(row, why, outcome)
                refused.add(row.key)
            elif fields := _completed(old, row, seq, renamed=renamed):
                updates.append({**fields, "id": old.id})
        if updates:
            event_clock.mark_arrival(connection, event_clock.Arrival.DETAILS)
            outcome.counts["completed"] += len(updates)
            connection.execute(_UPDATE, updates)
        return refused

    def _refuse(self, row: ImageRow, why: RefusedRow, outcome: WriteOutcome) -> None:
        outcome.refuse_image(row.at, why)
        self.refuse([row.key], SOURCE_HINT if why.hint else "")

    def refuse_references(self, batch: RowBatch, outcome: WriteOutcome) -> None:
        """Remove the rows that refer to a refused image from `batch`; list them unless they are in the image's row."""
        if not self._refused:
            return
        with_it = {id(at) for at in outcome.refused}
        named = {id(row.at) for row in batch.images if row.name is not None} - with_it

        def refers(row: Any) -> bool:
            return id(row.at) in with_it or (row.image in self._refused and id(row.at) not in named)

        def refuse(row: Any) -> None:
            if id(row.at) not in with_it:
                message, hint = _AMBIGUOUS.format(key=row.image), self._refused[row.image]
                outcome.refuse(row.at, RejectReason.PICTURE_REFUSED, message, hint=hint)

        # candidates refer to captions by index, so captions stay in the list and lose their image key instead
        for place, caption in enumerate(batch.captions):
            if refers(caption):
                refuse(caption)
                batch.captions[place] = caption._replace(image="")
        for candidate in batch.candidates:
            if candidate.caption is None and refers(candidate):
                refuse(candidate)  # a candidate with a caption is refused with its caption
        batch.candidates = [
            row
            for row in batch.candidates
            if id(row.at) not in with_it and (row.caption is not None or not refers(row))
        ]
        for rows in (batch.objects, batch.questions):
            for each in filter(refers, rows):
                refuse(each)
        batch.objects = [row for row in batch.objects if not refers(row)]
        batch.questions = [row for row in batch.questions if not refers(row)]


def _further_up(row: ImageRow, name: str | None) -> str:
    return f"image {row.key} is {name} earlier in the import, not {row.name}"


def _other_image(row: ImageRow, known: str | None) -> RefusedRow:
    """Return the refusal of a row whose key belongs to another stored image."""
    hint = SOURCE_HINT
    if known is not None and row.name is not None and (folder := _folder_before(known, row.name)):
        hint = f"{hint}; if only the folder names differ, import the file with --strip-prefix {folder}"
    message = f"image {row.key} is {known} in the record, not {row.name}"
    return RefusedRow(RejectReason.DUPLICATE, message, hint=hint)


def _folder_before(known: str, name: str) -> str:
    """Return the folder prefix that `name` has and `known`, a name of the same image, does not have; "": none."""
    folder, slash, rest = name.rpartition("/")
    return folder + slash if may_be_same_image(known, rest) or (coco_key(rest) or "") == coco_key(known) else ""


def _completed(old: Any, row: ImageRow, seq: int, *, renamed: bool) -> dict[str, object]:
    """Return all fields of an image with the values that the row adds; empty if the row adds none.

    A name without its prefix (`renamed`) replaces the stored name, unless an image file was read under the stored name.
    """
    both = {name: (getattr(old, name), getattr(row, name)) for name in _COMPLETED}
    marks = json.loads(old.completed or "{}")
    both["url"] = (old.url, row.url if old.file_name is None or renamed else old.url)
    both["file_name"] = (old.file_name, row.file_name if old.url is None or renamed else None)
    fields = {name: added if known is None else known for name, (known, added) in both.items()}
    new: dict[str, Any] = {name: seq for name, (known, added) in both.items() if known is None and added is not None}
    if renamed and old.content_sha256 is None and (old.file_name, old.url) != (row.file_name, row.url):
        for name in ("file_name", "url"):
            if getattr(old, name) is not None and getattr(old, name) != getattr(row, name):
                fields[name] = getattr(row, name)
                new[name] = event_clock.extend_mark(marks.get(name), getattr(old, name), seq)
    if not new:
        return {}
    return fields | {"completed": json.dumps({**marks, **new})}
