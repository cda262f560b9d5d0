"""Reader of the Flickr caption files results_20130124.token and Flickr8k.token.txt.

A line is an image name, "#", a number, a tab and the caption. There is no header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation_db.importing.image_names import Naming
from curation_db.importing.rows import CaptionRow, ImageRow, RefusedRow, RejectReason, RowBatch, reject
from curation_db.importing.tables.reader import LINE_LIMIT, TableLine, open_text, read_lines, truncation_rejects

_BATCH: Final = 5_000
_ROW: Final = re.compile(r"(?P<key>(?P<image>[^\t\r\n]+\.\w{3,4})#\d+)\t(?P<text>.*)", re.DOTALL)


def is_flickr(head: str) -> bool:
    """Return whether `head` is the beginning of a Flickr caption file."""
    return _ROW.match(head) is not None


def read_flickr(path: Path, naming: Naming) -> Iterator[RowBatch]:
    """Yield the images and captions of a file."""
    batch, done = RowBatch(), 0
    with open_text(path) as file:
        for number, line in read_lines(file):
            done += len(line)
            batch.done = done
            if line.strip():
                _row(line, number, naming, batch)
            if len(batch.captions) >= _BATCH:
                yield batch
                batch = RowBatch(done=done)
        batch.rejects += truncation_rejects(file)
    yield batch


def _row(line: str, number: int, naming: Naming, batch: RowBatch) -> None:
    at = (TableLine(f"line {number}", line[:400]), 0)
    try:
        if len(line) >= LINE_LIMIT:
            raise RefusedRow(RejectReason.TEXT_TOO_LONG, f"a line of {LINE_LIMIT:,} or more characters")
        if (match := _ROW.fullmatch(line.rstrip("\r\n"))) is None:
            raise RefusedRow(RejectReason.MALFORMED, "expected IMAGE#NUMBER, a tab and a caption")
        name = naming.name(match["image"])
    except RefusedRow as why:
        batch.rejects.append(reject(at, why))
        return
    key = naming.key(name)
    batch.images.append(ImageRow(key, name.file_name, None, None, None, at, None, name.url, name.unstripped))
    batch.captions.append(CaptionRow(match["key"], key, match["text"], at))
