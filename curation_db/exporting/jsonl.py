"""Writers of the JSON Lines formats: items.jsonl (all fields, for negwb) and pairs.jsonl (the fields that others need).

ASCII; every key on every line; null for an unknown value; `url` only where an image is known by a URL.
"""

from __future__ import annotations

from pathlib import Path

from curation_db.exporting.json_objects import encode_flat
from curation_db.exporting.manifest import ITEMS_FILE, ExportItem
from curation_db.exporting.pairs import ExportHeader, ExportPair

PAIRS_FILE = "pairs.jsonl"


class _LinesWriter:
    """Base of the writers: one line per pair."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="ascii", newline="\n")

    def write(self, line: str) -> None:
        self._file.write(line)

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
        self.write(encode_flat(_fields(pair.item)) + "\n")


def _fields(item: ExportItem) -> dict[str, str | None]:
    values = {
        "source": item.source,
        "image": item.image_key,
        "file_name": item.file_name,
        "caption": item.caption,
        "text": item.text,
        "concept": item.concept,
        "negation_type": item.negation_type,
        "cue": item.cue,
        "key": item.key,
    }
    return values if item.url is None else {**values, "url": item.url}
