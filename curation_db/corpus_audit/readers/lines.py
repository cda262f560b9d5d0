"""Reads files of lines, in blocks of a range of bytes: plain text with one caption on each line, and JSONL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from curation_db.corpus_audit.block_scan import BLOCK
from curation_db.corpus_audit.collector import Collector
from curation_db.corpus_audit.parts import Part
from curation_db.corpus_audit.readers.batch import CaptionBatch
from curation_db.corpus_audit.readers.columns import ColumnChoice
from curation_db.corpus_audit.samples import Origin
from curation_db.foreign_json import JsonError, parse_json
from curation_db.importing.compression import damage, open_bytes, packed_position
from curation_db.importing.encoding import sniff
from curation_db.importing.rows import RefusedRow, RejectReason
from curation_db.importing.tables.reader import LINE_LIMIT, open_text
from curation_db.importing.tables.reader import read_lines as read_text_lines

Report = Callable[[int], None]
"""Called with the number of bytes of the part that were read."""

_BOM: Final = b"\xef\xbb\xbf"
_TOO_LONG: Final = f"a line of more than {LINE_LIMIT:,} bytes"


def read_text(part: Part, collector: Collector, report: Report) -> None:
    """Add the lines of a text file."""
    if _is_wide(part):
        _read_wide_text(part, collector)
        return
    with open_bytes(Path(part.path)) as file:
        for block in _blocks(file, part, collector, report):
            collector.add_lines(block)
        note_damage(file, collector)


def _is_wide(part: Part) -> bool:
    """Return whether the file is in UTF-16 or UTF-32."""
    with open_bytes(Path(part.path)) as file:
        return sniff(file.read(4))[0] not in {"utf-8", "utf-8-sig"}


def _read_wide_text(part: Part, collector: Collector) -> None:
    """Add the lines of a file in UTF-16 or UTF-32."""
    with open_text(Path(part.path)) as file, CaptionBatch(collector) as batch:
        for number, line in read_text_lines(file):
            batch.add([line.rstrip("\r\n")], number)
            collector.lines = number
        note_damage(file, collector)


def read_jsonl(part: Part, collector: Collector, columns: ColumnChoice, report: Report) -> None:
    """Add the captions of the objects of a JSONL file; a line can also be a string."""
    if _is_wide(part):
        with open_text(Path(part.path)) as text, CaptionBatch(collector) as batch:
            for number, line in read_text_lines(text):
                collector.lines = number
                _add_row(line, number, collector, batch, columns)
        return
    with open_bytes(Path(part.path)) as file, CaptionBatch(collector) as batch:
        for block in _blocks(file, part, collector, report):
            for row in block.split(b"\n")[:-1]:
                collector.lines += 1
                _add_row(row, collector.lines, collector, batch, columns)
        note_damage(file, collector)


def _add_row(line: bytes | str, number: int, collector: Collector, batch: CaptionBatch, columns: ColumnChoice) -> None:
    if not line.strip():
        return
    shown = line[:400] if isinstance(line, str) else line[:400].decode(errors="replace")
    try:
        row = parse_json(line.decode() if isinstance(line, bytes) else line, strict=False)
        texts, image = ([row], None) if isinstance(row, str) else columns.cells(_as_object(row))
    except (JsonError, UnicodeDecodeError) as error:
        reason = RejectReason.MALFORMED if isinstance(error, JsonError) else RejectReason.ENCODING
        collector.refuse(reason, str(error), Origin(collector.file, number), shown)
    except RefusedRow as error:
        collector.refuse(error.reason, error.message, Origin(collector.file, number), shown)
    else:
        batch.add(texts, number, image)


def _as_object(row: object) -> dict[str, object]:
    if not isinstance(row, dict):
        raise RefusedRow(RejectReason.MALFORMED, f"expected an object, got {type(row).__name__}")
    return row


def note_damage(file: IO[Any], collector: Collector) -> None:
    """Add a bad row if a compressed file ended too early."""
    if message := damage(file):
        collector.refuse(RejectReason.TRUNCATED, message, Origin(collector.file, None, "the end of the file"), "")


def _blocks(file: BinaryIO, part: Part, collector: Collector, report: Report) -> Iterator[bytes]:
    """Yield blocks of the lines that begin in the part; each ends with a newline, and "\\r\\n" becomes "\\n"."""
    is_packed = packed_position(file) is not None
    end = None if is_packed else part.end
    at, rest = 0, b""
    if part.start:
        file.seek(part.start - 1)
        at = part.start - 1 + _skip_line(file)
        if at >= part.end:
            return
    while data := file.read(BLOCK):
        if at == 0 and not rest and data.startswith(_BOM):
            data, at = data[len(_BOM) :], len(_BOM)
        rest += data
        report(packed_position(file) or at - part.start)
        # The last line of the part begins before `end`, so its newline is at `end` - 1 or later.
        cut = 0 if end is None else rest.find(b"\n", max(0, end - 1 - at)) + 1
        if cut:
            yield _with_line_ends(rest[:cut])
            return
        if cut := rest.rfind(b"\n") + 1:
            yield _with_line_ends(rest[:cut])
            at, rest = at + cut, rest[cut:]
        elif len(rest) > LINE_LIMIT:
            collector.lines += 1
            origin = Origin(collector.file, collector.lines)
            collector.refuse(RejectReason.TEXT_TOO_LONG, _TOO_LONG, origin, rest[:400].decode(errors="replace"))
            at, rest = at + len(rest) + _skip_line(file), b""
            if end is not None and at >= end:
                return
    if rest:
        yield _with_line_ends(rest + b"\n")


def _with_line_ends(block: bytes) -> bytes:
    return block.replace(b"\r\n", b"\n") if b"\r" in block else block


def _skip_line(file: BinaryIO) -> int:
    """Skip the rest of a line; return its length."""
    length = 0
    while piece := file.readline(BLOCK):
        length += len(piece)
        if piece.endswith(b"\n"):
            break
    return length
