"""Images of the record by their names, and those with the objects that an annotation file lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

_SEPARATOR = "\x1f"
_IMAGES = text("""
    SELECT s.name AS source, i.key, i.file_name, i.content_sha256, group_concat(o.category, char(31)) AS categories
    FROM image_object o JOIN image i ON i.id = o.image_id JOIN source s ON s.id = i.source_id
    WHERE o.count > 0 GROUP BY i.id ORDER BY s.name, i.key
""")

_NAMES = text("""
    SELECT s.name, i.key, i.file_name, i.url, i.content_sha256 FROM image i JOIN source s ON s.id = i.source_id
    ORDER BY i.id
""")


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    source: str
    key: str
    file_name: str | None
    sha256: str | None
    """Of the file, where negwb has read it."""
    categories: frozenset[str]
    """Of the annotated objects. An object that is not annotated may be there all the same."""


@dataclass(frozen=True, slots=True)
class NamedImage:
    source: str
    key: str
    file_name: str | None
    url: str | None
    sha256: str | None
    """Of the file, where negwb has read it."""


def read_image_names(connection: Connection) -> Iterator[NamedImage]:
    """Yield all images of the record with the names that other data sets may call them by."""
    for row in connection.execute(_NAMES):
        digest = None if row.content_sha256 is None else row.content_sha256.hex()
        yield NamedImage(row.name, row.key, row.file_name, row.url, digest)


def read_annotated_images(connection: Connection) -> list[AnnotatedImage]:
    """Return all images with annotated objects, by source and key."""
    return [
        AnnotatedImage(
            row.source,
            row.key,
            row.file_name,
            None if row.content_sha256 is None else row.content_sha256.hex(),
            frozenset(row.categories.split(_SEPARATOR)),
        )
        for row in connection.execute(_IMAGES)
    ]
