"""Determines the source of the images in a file of COCO's shape, if `--source` is not given.

Each data set of this shape numbers its own images, so equal ids mean nothing across data sets. The rules, in order:

1. A file is COCO's if its image names follow COCO's rule and its ids are in COCO's range.
2. It belongs to the source of the record that has its images under the same ids and names.
3. It gets a new source, named after the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from curation_db.importing.formats import Format
from curation_db.importing.image_names import Naming
from curation_db.importing.json_stream import JsonRun, read_json
from curation_db.importing.readers.coco import image_name
from curation_db.importing.readers.karpathy import key_and_name
from curation_db.importing.rows import (
    COCO_LARGEST,
    InputError,
    RefusedRow,
    coco_id,
    key_of,
    may_be_same_image,
    member,
    size_of,
)
from curation_db.storage import sqlite

COCO: Final = "coco"
SAMPLE: Final = 1_000
"""Number of images of a file that are compared."""
_BLOCK: Final = 1 << 18
_COCO_FILE: Final = re.compile(r"(?:^|[_-])(?:train|val|test|minival|unlabeled)20(?:14|15|17)(?:[_.-]|$)")
_RELEASE: Final = re.compile(r"(?:train|val)2014|test2015")
_SHORTENED: Final = text("""
    SELECT i.key FROM image i WHERE i.source_id = (SELECT id FROM source WHERE name = :source)
    AND i.key >= 'A' AND i.key GLOB '[A-Za-z]*:/[^/]*'
""")
_HINT: Final = "name the source of the images: --source NAME"


class ListedImage(NamedTuple):
    """An image as a file lists it."""

    key: str
    name: str | None
    width: int | None = None
    height: int | None = None
    unstripped: str | None = None
    """The name before a prefix was removed; the image may be stored under it."""

    def may_be_named(self, known: str | None) -> bool:
        """Return whether this may be the image that is stored under the name `known`."""
        stripped = self.unstripped is not None and may_be_same_image(known, self.unstripped)
        return stripped or may_be_same_image(known, self.name)


@dataclass(slots=True)
class ImageSample:
    """The first images of a file."""

    listed: list[ListedImage] = field(default_factory=list)
    mentioned: list[str] = field(default_factory=list)
    """Image ids in annotations, if the file lists no images."""

    @property
    def keys(self) -> list[str]:
        """The image ids."""
        return [each.key for each in self.listed] or self.mentioned


def sample_of(path: Path, form: Format, prefixes: tuple[str, ...] = ()) -> ImageSample:
    """Return the first images of a file of COCO's shape."""
    naming = Naming(COCO, prefixes)
    sample, ids = ImageSample(), dict[str, None]()
    for event in read_json(path, block=_BLOCK):
        if not isinstance(event, JsonRun):
            continue
        if form is Format.SUGARCREPE:
            _add_listed(event.values, lambda item: _read_named_image(naming, item, item.get("filename")), sample)
        elif event.key == "images":
            listed = _read_karpathy_image if form is Format.KARPATHY else _read_coco_image
            _add_listed(event.values, lambda item, listed=listed: listed(naming, item), sample)
        elif event.key == "annotations" and len(ids) < SAMPLE:
            ids |= dict.fromkeys(_image_ids(event.values))
        if len(sample.listed) >= SAMPLE or (sample.listed and event.key == "annotations"):
            return sample
    sample.mentioned = list(ids)[:SAMPLE]
    return sample


def _add_listed(values: list[Any], read: Any, sample: ImageSample) -> None:
    known = {each.key for each in sample.listed}  # the first of two images with one id counts
    for item in values[:SAMPLE]:
        try:
            image = read(item)
        except (RefusedRow, AttributeError):
            continue
        if image.key not in known:
            known.add(image.key)
            sample.listed.append(image)


def _read_coco_image(naming: Naming, item: Any) -> ListedImage:
    key = key_of(member(item, "id"))
    name = image_name(item, naming)
    size = size_of(item.get("width")), size_of(item.get("height"))
    return ListedImage(key, name.file_name or name.url, *size, name.unstripped)


def _read_karpathy_image(naming: Naming, item: Any) -> ListedImage:
    key, name = key_and_name(item, naming)
    return ListedImage(key, name.file_name or name.url, unstripped=name.unstripped)


def _read_named_image(naming: Naming, item: Any, stated: object) -> ListedImage:
    name = naming.name(stated)
    return ListedImage(naming.key(name), name.file_name or name.url)


def _image_ids(values: list[Any]) -> list[str]:
    ids = []
    for item in values[:SAMPLE]:
        try:
            ids.append(key_of(member(item, "image_id")))
        except RefusedRow:
            continue
    return ids


# -- rule 1: COCO


def is_coco(path: Path, sample: ImageSample) -> bool:
    """Return whether the images are COCO's, by their names and ids, or by ids and file name if they have no names."""
    named = [each for each in sample.listed if each.name is not None]
    if named:
        return 2 * sum(coco_id(each.name or "") == each.key for each in named) > len(named)
    return bool(sample.keys) and _COCO_FILE.search(path.name) is not None and all(map(_in_range, sample.keys))


def _in_range(key: str) -> bool:
    return key.isdecimal() and len(key) < 10 and 0 < int(key) <= COCO_LARGEST


def is_coco_vqa(*paths: Path) -> bool:
    """Return whether the questions are about COCO images, by the files' `data_type` and `data_subtype`."""
    for path in paths:
        for event in read_json(path, block=_BLOCK):
            if not isinstance(event, JsonRun) or event.key in {"questions", "annotations"}:
                break
            if event.key is None and event.names == ["data_type"] and event.values[0] != "mscoco":
                return False
            if event.key is None and event.names == ["data_subtype"]:
                return isinstance(event.values[0], str) and _RELEASE.fullmatch(event.values[0]) is not None
    return any(_COCO_FILE.search(path.name) for path in paths)


# -- rules 2 and 3: the record


def source_for(connection: Connection, sample: ImageSample, own: str, *, must_list: bool = True) -> str:
    """Return the source of a file that rule 1 does not assign to COCO.

    A file with image ids only belongs to COCO if the record has all of them as COCO images.

    Args:
        own: Name of a new source; a number is appended if a source of this name has other images.
        must_list: Whether the format should list its images, so that ids alone are an error.

    Raises:
        InputError: `must_list`, the file lists no images, and its ids do not determine the source.
    """
    sources: dict[str, int] = {
        row.name: row.id for row in connection.execute(text("SELECT id, name FROM source ORDER BY id"))
    }
    if not sample.listed and sample.mentioned:
        if not must_list and _has_all(connection, sources.get(own), sample.mentioned):
            return own
        if all(map(_in_range, sample.mentioned)) and _has_all(connection, sources.get(COCO), sample.mentioned):
            return COCO
        if not must_list:
            return own
        raise InputError("the file lists no images, and its image ids do not determine their source", hint=_HINT)
    compared = {name: _compare(connection, source_id, sample) for name, source_id in sources.items()}
    matching = [name for name, (same, other) in compared.items() if same > other]
    if matching:
        return max(matching, key=lambda name: (compared[name][0], name == own))
    name, number = own, 1
    while name in sources and compared[name][1]:
        number += 1
        name = f"{own}-{number}"
    return name


def _has_all(connection: Connection, source_id: int | None, keys: list[str]) -> bool:
    """Return whether the source has an image for each of these keys."""
    if source_id is None:
        return False
    known = sqlite.select_in(connection, "image", ("key",), "key", keys, source_id=source_id)
    return {row.key for row in known} >= set(keys)


def shortened_keys(connection: Connection, source: str) -> frozenset[str]:
    """Return the source's keys that are URLs with one slash: versions before schema 0004 treated URLs as file names."""
    return frozenset(connection.execute(_SHORTENED, {"source": source}).scalars())


def _compare(connection: Connection, source_id: int, sample: ImageSample) -> tuple[int, int]:
    """Return for how many ids the source has the same image, and for how many another image."""
    columns = ("key", "file_name", "url", "width", "height")
    rows = sqlite.select_in(connection, "image", columns, "key", sample.keys, source_id=source_id)
    old = {row.key: row for row in rows}
    same = other = 0
    for each in sample.listed:
        if (row := old.get(each.key)) is None:
            continue
        known = row.file_name or row.url
        if not each.may_be_named(known) or not _sizes_agree(row, each):
            other += 1
        elif known is not None and each.name is not None:
            same += 1
    return same, other


def _sizes_agree(row: Any, each: ListedImage) -> bool:
    """Return whether two sizes may belong to one image; some programs ignore the EXIF orientation."""
    known, listed = (row.width, row.height), (each.width, each.height)
    return any(
        all(one is None or other is None or one == other for one, other in zip(known, size, strict=True))
        for size in (listed, listed[::-1])
    )
