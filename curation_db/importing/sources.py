"""Which source the pictures of a file of COCO's shape belong to, where no `--source` says so.

Every set of this shape numbers its own pictures, so equal ids mean nothing across sets. A file is COCO's if its
pictures' names follow COCO's rule and its ids are in COCO's range. Else it belongs to the source of the record that
has its pictures under the same ids and names; else it gets a source of its own, named after the file.
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
from curation_db.importing.readers.coco import name_in
from curation_db.importing.readers.karpathy import picture_in
from curation_db.importing.rows import (
    COCO_LARGEST,
    InputError,
    RefusedRow,
    coco_id,
    key_of,
    member,
    same_picture,
    size_of,
)
from curation_db.storage import sqlite

COCO: Final = "coco"
SAMPLE: Final = 1_000
"""Pictures of a file that are looked at."""
_BLOCK: Final = 1 << 18
_COCO_FILE: Final = re.compile(r"(?:^|[_-])(?:train|val|test|minival|unlabeled)20(?:14|15|17)(?:[_.-]|$)")
_RELEASE: Final = re.compile(r"(?:train|val)2014|test2015")
_SHORTENED: Final = text("""
    SELECT i.key FROM image i WHERE i.source_id = (SELECT id FROM source WHERE name = :source)
    AND i.key >= 'A' AND i.key GLOB '[A-Za-z]*:/[^/]*'
""")
_HINT: Final = "say whose pictures they are: --source NAME"


class Sighting(NamedTuple):
    """A picture as a file lists it."""

    key: str
    name: str | None
    width: int | None = None
    height: int | None = None
    unstripped: str | None = None
    """The name before a prefix was stripped from it: the record may have the picture under that one."""

    def may_be(self, known: str | None) -> bool:
        """Whether it may be the picture that the record knows by the name `known`."""
        stripped = self.unstripped is not None and same_picture(known, self.unstripped)
        return stripped or same_picture(known, self.name)


@dataclass(slots=True)
class Sample:
    """The first pictures of a file."""

    listed: list[Sighting] = field(default_factory=list)
    mentioned: list[str] = field(default_factory=list)
    """Ids to which annotations refer, where the file lists no pictures."""

    @property
    def keys(self) -> list[str]:
        """The pictures' ids."""
        return [each.key for each in self.listed] or self.mentioned


def sample_of(path: Path, form: Format, prefixes: tuple[str, ...] = ()) -> Sample:
    """The first pictures of a file of COCO's shape."""
    naming = Naming(COCO, prefixes)
    sample, ids = Sample(), dict[str, None]()
    for event in read_json(path, block=_BLOCK):
        if not isinstance(event, JsonRun):
            continue
        if form is Format.SUGARCREPE:
            _take(event.values, lambda item: _named(naming, item, item.get("filename")), sample)
        elif event.key == "images":
            listed = _split_picture if form is Format.KARPATHY else _listed
            _take(event.values, lambda item, listed=listed: listed(naming, item), sample)
        elif event.key == "annotations" and len(ids) < SAMPLE:
            ids |= dict.fromkeys(_ids(event.values))
        if len(sample.listed) >= SAMPLE or (sample.listed and event.key == "annotations"):
            return sample
    sample.mentioned = list(ids)[:SAMPLE]
    return sample


def _take(values: list[Any], read: Any, sample: Sample) -> None:
    known = {each.key for each in sample.listed}  # of two pictures under one id the first counts
    for item in values[:SAMPLE]:
        try:
            found = read(item)
        except (RefusedRow, AttributeError):
            continue
        if found.key not in known:
            known.add(found.key)
            sample.listed.append(found)


def _listed(naming: Naming, item: Any) -> Sighting:
    key = key_of(member(item, "id"))
    name = name_in(item, naming)
    size = size_of(item.get("width")), size_of(item.get("height"))
    return Sighting(key, name.file_name or name.url, *size, name.unstripped)


def _split_picture(naming: Naming, item: Any) -> Sighting:
    key, name = picture_in(item, naming)
    return Sighting(key, name.file_name or name.url, unstripped=name.unstripped)


def _named(naming: Naming, item: Any, stated: object) -> Sighting:
    name = naming.name(stated)
    return Sighting(naming.key(name), name.file_name or name.url)


def _ids(values: list[Any]) -> list[str]:
    found = []
    for item in values[:SAMPLE]:
        try:
            found.append(key_of(member(item, "image_id")))
        except RefusedRow:
            continue
    return found


# -- COCO's own


def is_coco(path: Path, sample: Sample) -> bool:
    """Whether the file's pictures are COCO's: by their names and ids, and without names by the file's own name."""
    named = [each for each in sample.listed if each.name is not None]
    if named:
        return 2 * sum(coco_id(each.name or "") == each.key for each in named) > len(named)
    return bool(sample.keys) and _COCO_FILE.search(path.name) is not None and all(map(_in_range, sample.keys))


def _in_range(key: str) -> bool:
    return key.isdecimal() and len(key) < 10 and 0 < int(key) <= COCO_LARGEST


def is_coco_vqa(*paths: Path) -> bool:
    """Whether questions are about COCO's pictures, by what the files say of their data."""
    for path in paths:
        for event in read_json(path, block=_BLOCK):
            if not isinstance(event, JsonRun) or event.key in {"questions", "annotations"}:
                break
            if event.key is None and event.names == ["data_type"] and event.values[0] != "mscoco":
                return False
            if event.key is None and event.names == ["data_subtype"]:
                return isinstance(event.values[0], str) and _RELEASE.fullmatch(event.values[0]) is not None
    return any(_COCO_FILE.search(path.name) for path in paths)


# -- the record's


def source_for(connection: Connection, sample: Sample, own: str, *, must_list: bool = True) -> str:
    """The source of a file that is not COCO's: the one that has its pictures, else `own` or a free name like it.

    A file that has only ids of pictures is COCO's if the record has all of them as COCO's pictures.

    Raises:
        InputError: the file `must_list` its pictures and does not, and its ids alone do not tell whose they are.
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
        raise InputError("the file lists no pictures, and its image ids alone do not tell whose they are", hint=_HINT)
    compared = {name: _compare(connection, source_id, sample) for name, source_id in sources.items()}
    met = [name for name, (same, other) in compared.items() if same > other]
    if met:
        return max(met, key=lambda name: (compared[name][0], name == own))
    name, number = own, 1
    while name in sources and compared[name][1]:
        number += 1
        name = f"{own}-{number}"
    return name


def _has_all(connection: Connection, source_id: int | None, keys: list[str]) -> bool:
    """Whether the source has a picture under each of these keys."""
    if source_id is None:
        return False
    known = sqlite.select_in(connection, "image", ("key",), "key", keys, source_id=source_id)
    return {row.key for row in known} >= set(keys)


def shortened_keys(connection: Connection, source: str) -> frozenset[str]:
    """The source's keys that are URLs with a slash missing: versions before schema 0004 took URLs for file names."""
    return frozenset(connection.execute(_SHORTENED, {"source": source}).scalars())


def _compare(connection: Connection, source_id: int, sample: Sample) -> tuple[int, int]:
    """How many of the pictures the source has under their ids, and under how many of the ids it has another one."""
    columns = ("key", "file_name", "url", "width", "height")
    found = sqlite.select_in(connection, "image", columns, "key", sample.keys, source_id=source_id)
    old = {row.key: row for row in found}
    same = other = 0
    for each in sample.listed:
        if (row := old.get(each.key)) is None:
            continue
        known = row.file_name or row.url
        if not each.may_be(known) or not _sizes_agree(row, each):
            other += 1
        elif known is not None and each.name is not None:
            same += 1
    return same, other


def _sizes_agree(row: Any, each: Sighting) -> bool:
    """Whether the two sizes may be those of one picture; programs differ in whether they turn it as its EXIF says."""
    known, told = (row.width, row.height), (each.width, each.height)
    return any(
        all(one is None or other is None or one == other for one, other in zip(known, size, strict=True))
        for size in (told, told[::-1])
    )
