"""Writer of coco.json: COCO captions with `updated_caption`, the format of the published NegationCLIP set.

The object has {info, licenses, images, annotations} with one entry per line, so that a changed pair is a changed line.
An entry's id is its key in the record: a number, unless the key is no number or its file had it in quotes. Where an id
is taken (two accepted texts for one caption, two sources with equal ids) the first entry keeps it, and the others get
the numbers after the largest. An unknown original caption is "" (loaders collate strings), an unknown file name null.
An image that is known by a URL has `coco_url`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curation_db.exporting.json_objects import encode_flat, json_text
from curation_db.exporting.pairs import WRITE_BUFFER, ExportHeader, ExportPair, fields_of
from curation_db.exporting.selection import as_number

FILE = "coco.json"

_dumps = json.JSONEncoder(allow_nan=False).encode


class Ids:
    """Assigns unique ids to entries."""

    def __init__(self, largest: int) -> None:
        self._next = largest + 1
        self._taken: set[int | str] = set()

    def give(self, key: str, stated: object = None) -> int | str:
        """Return the id of the entry with this `key` in the record; `stated` is the id in its imported file."""
        number = None if stated == key else as_number(key)  # the file had "17" in quotes: keep a string
        wanted: int | str = key if number is None else number
        if wanted in self._taken:
            wanted, self._next = self._next, self._next + 1
        self._taken.add(wanted)
        return wanted


class CocoWriter:
    """Streams the images into coco.json, and the annotations into a temporary file that is appended at the end."""

    def __init__(self, folder: Path, header: ExportHeader) -> None:
        self._file = (folder / FILE).open("w", WRITE_BUFFER, encoding="ascii", newline="\n")
        # pairs arrive by image, but all images precede the first annotation
        self._annotations = tempfile.TemporaryFile(  # noqa: SIM115
            "w+", WRITE_BUFFER, encoding="ascii", newline="\n", dir=folder
        )
        self._image_ids = Ids(header.chosen.largest_image_id)
        self._ids = Ids(header.chosen.largest_caption_id)
        self._image: tuple[str, str] | None = None
        self._image_id: int | str = 0
        licenses = ",".join(f"\n{_dumps(entry)}" for entry in header.licenses)
        self._file.write(f'{{\n"info": {_dumps(_info(header))},\n"licenses": [{licenses}\n],\n"images": [')

    def add(self, pair: ExportPair) -> None:
        """Write the next pair."""
        image = (pair.item.source, pair.item.image_key)
        start = "\n" if self._image is None else ",\n"
        if image != self._image:
            self._image = image
            self._file.write(start + self._image_entry(pair))
        self._annotations.write(start + self._annotation(pair))

    def _image_entry(self, pair: ExportPair) -> str:
        others = fields_of(pair.image_extra, f"image {pair.item.image_key}")
        self._image_id = self._image_ids.give(pair.item.image_key, others.get("id"))
        entry: dict[str, Any] = {"id": self._image_id, "file_name": pair.item.file_name}
        if pair.item.url is not None:
            entry["coco_url"] = pair.item.url
        sizes = {"width": pair.width, "height": pair.height}
        entry |= {name: size for name, size in sizes.items() if size is not None}
        return _encoded(entry, others)

    def _annotation(self, pair: ExportPair) -> str:
        item = pair.item
        key = item.key if item.caption_key is None else item.caption_key
        if not pair.extra:  # put together by hand: the general encoder takes three times as long
            return (
                f'{{"image_id": {json_text(self._image_id)}, "id": {json_text(self._ids.give(key))},'
                f' "caption": {json_text(item.caption or "")}, "updated_caption": {json_text(item.text)}}}'
            )
        others = fields_of(pair.extra, f"candidate {item.key}")
        entry = {
            "image_id": self._image_id,
            "id": self._ids.give(key, others.get("id")),
            "caption": item.caption or "",
            "updated_caption": item.text,
        }
        return _encoded(entry, others)

    def finish(self) -> None:
        """Complete the file."""
        self._file.write('\n],\n"annotations": [')
        self._annotations.seek(0)
        self._file.flush()
        while chunk := self._annotations.buffer.read(WRITE_BUFFER):
            self._file.buffer.write(bytes(chunk))
        self._file.write("\n]\n}\n")
        self.close()

    def close(self) -> None:
        self._annotations.close()
        self._file.close()


def _info(header: ExportHeader) -> dict[str, Any]:
    states = ", ".join(header.selection.to_dict()["states"])
    return {
        "description": f"Negated captions curated with negwb; state: {states}",
        "version": f"negwb {header.tool_version}",
        "event": header.chosen.event_seq,
    }


def _encoded(entry: Mapping[str, Any], others: Mapping[str, Any]) -> str:
    """Return the entry with those imported fields that the record does not supply."""
    more = {name: value for name, value in others.items() if name not in entry}
    return _dumps({**entry, **more}) if more else encode_flat(entry)
