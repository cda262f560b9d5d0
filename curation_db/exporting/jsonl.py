"""Writers of the JSON Lines formats: items.jsonl (all fields, for negwb) and pairs.jsonl (the fields that others need).

ASCII; every key on every line; null for an unknown value; `url` only where an image is known by a URL.
"""

from __future__ import annotations

from pathlib import Path

from curation_db.exporting.json_objects import json_text
from curation_db.exporting.manifest import ITEMS_FILE, ExportItem
from curation_db.exporting.pairs import WRITE_BUFFER, ExportHeader, ExportPair

PAIRS_FILE = "pairs.jsonl"


class _LinesWriter:
    """Base of the writers: one line per pair."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", WRITE_BUFFER, encoding="ascii", newline="\n")
        self.write = self._file.write

    def finish(self) -> None:
        """Complete the file."""
        self.close()

    def close(self) -> None:
        self._file.close()


class ItemsWriter(_LinesWriter):
    """Writer of items.jsonl, which is part of every export."""

    def __init__(self, folder: Path, _header: ExportHeader) -> None:
        super().__init__(folder / ITEMS_FILE)

    def add(self, pair: ExportPair) -> None:
        """Write the next pair."""
        self.write(pair.item.to_line())


class PairsWriter(_LinesWriter):
    """Writer of pairs.jsonl: image, caption and negated caption, for other programs."""

    def __init__(self, folder: Path, _header: ExportHeader) -> None:
        super().__init__(folder / PAIRS_FILE)

    def add(self, pair: ExportPair) -> None:
        """Write the next pair."""
        self.write(_line(pair.item))


def _line(item: ExportItem) -> str:
    """Return the line, put together by hand: the general encoder takes three times as long."""
    text = json_text
    url = "" if item.url is None else f', "url": {text(item.url)}'
    return (
        f'{{"source": {text(item.source)}, "image": {text(item.image_key)}, "file_name": {text(item.file_name)},'
        f' "caption": {text(item.caption)}, "text": {text(item.text)}, "concept": {text(item.concept)},'
        f' "negation_type": {text(item.negation_type)}, "cue": {text(item.cue)}, "key": {text(item.key)}{url}}}\n'
    )
