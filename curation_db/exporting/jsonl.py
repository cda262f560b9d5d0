"""The formats of one JSON object a line: items.jsonl (everything, for our own tools) and pairs.jsonl (what others
need). ASCII, every key on every line, null where something is not known; `url` only where a picture is known by one.
"""

from __future__ import annotations

import json
from pathlib import Path

from curation_db.exporting.manifest import ITEMS_FILE, ExportItem
from curation_db.exporting.pairs import ExportPair, Frame

PAIRS_FILE = "pairs.jsonl"

_encode = json.JSONEncoder(allow_nan=False).encode


class _LinesWriter:
    """Writes a line per pair."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="ascii", newline="\n")

    def write(self, line: str) -> None:
        """Append one line."""
        self._file.write(line)

    def finish(self) -> None:
        """Complete the file."""
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class ItemsWriter(_LinesWriter):
    """items.jsonl: in every export, whatever its format."""

    def __init__(self, folder: Path, _frame: Frame) -> None:
        super().__init__(folder / ITEMS_FILE)

    def add(self, pair: ExportPair) -> None:
        """Take the next pair."""
        self.write(pair.item.to_line())


class PairsWriter(_LinesWriter):
    """pairs.jsonl: picture, caption and negated caption, for whoever reads lines."""

    def __init__(self, folder: Path, _frame: Frame) -> None:
        super().__init__(folder / PAIRS_FILE)

    def add(self, pair: ExportPair) -> None:
        """Take the next pair."""
        self.write(_encode(_told(pair.item)) + "\n")


def _told(item: ExportItem) -> dict[str, str | None]:
    told = {
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
    return told if item.url is None else {**told, "url": item.url}
