"""Reads Parquet files, batch by batch and only the columns of the caption and the image. Needs pyarrow."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

from curation_db.corpus_audit.collector import Collector
from curation_db.corpus_audit.parts import Part
from curation_db.corpus_audit.readers.batch import CaptionBatch
from curation_db.corpus_audit.readers.columns import ColumnChoice, image_name
from curation_db.corpus_audit.readers.lines import Report
from curation_db.corpus_audit.samples import Origin
from curation_db.importing.rows import InputError, RejectReason
from curation_db.language.sanitize import first_line

_ROWS: Final = 8_192
_GROUP_LIMIT: Final = 4 << 30
"""Most bytes of a column of a row group, expanded; larger ones are refused, since a page of it may have this size."""


def read_parquet(part: Part, collector: Collector, columns: ColumnChoice, report: Report) -> None:
    """Add the captions of a Parquet file.

    Raises:
        InputError: pyarrow is missing, the file is damaged, or has no column with captions.
    """
    try:
        # by name, because only the extra `exports` has it
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise InputError("Parquet files need the package pyarrow", hint="pip install 'negwb[exports]'") from None
    try:
        with parquet.ParquetFile(Path(part.path), memory_map=False) as file:
            _read(file, part, collector, columns, report, (arrow.ArrowException, OSError))
    except (arrow.ArrowException, OSError) as error:
        raise InputError(f"damaged Parquet file: {first_line(error)}") from None


def _read(
    file: Any,
    part: Part,
    collector: Collector,
    columns: ColumnChoice,
    report: Report,
    damage: tuple[type[Exception], ...],
) -> None:
    """Add the captions of an opened file. A row group that raises an error of `damage` costs only itself; if no row
    group can be read, the error is raised."""
    caption, image = columns.required(file.schema_arrow.names)
    wanted = [caption] if image is None or not _is_plain(file.schema_arrow.field(image).type) else [caption, image]
    row, groups, damaged = 0, file.metadata.num_row_groups, 0
    for group in range(groups):
        facts = file.metadata.row_group(group)
        if _expanded_bytes(facts, caption) > _GROUP_LIMIT:
            message = f"a row group with more than {_GROUP_LIMIT >> 30} GiB of captions"
            collector.refuse(RejectReason.TEXT_TOO_LONG, message, _origin(collector, row), f"{facts.num_rows} rows")
            row += facts.num_rows
            continue
        end = row + facts.num_rows
        try:
            for rows in file.iter_batches(batch_size=_ROWS, row_groups=[group], columns=wanted):
                _add_rows(rows, row, collector)
                row += rows.num_rows
        except damage as error:
            damaged += 1
            if damaged == groups:
                raise
            message = f"damaged row group: {first_line(error)}"
            collector.refuse(RejectReason.TRUNCATED, message, _origin(collector, row), f"{end - row} rows")
        row = end
        report(part.size * (group + 1) // groups)


def _add_rows(rows: Any, before: int, collector: Collector) -> None:
    """Add the captions of some rows, which follow `before` others."""
    texts = _texts(rows.column(0))
    images = rows.column(1).to_pylist() if rows.num_columns > 1 else [None] * len(texts)
    with CaptionBatch(collector) as batch:
        for at, (text, name) in enumerate(zip(texts, images, strict=True), before + 1):
            if isinstance(text, bytes):
                _add_bytes(text, at, collector)
                continue
            batch.add(text if isinstance(text, list) else [text], lambda at=at: f"row {at}", image_name(name))  # type: ignore[misc]


def _texts(column: Any) -> list[Any]:
    """Return the captions; those that are not valid UTF-8 as bytes."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_text(value) for value in column]


def _text(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return value.as_buffer().to_pybytes()


def _add_bytes(text: bytes, row: int, collector: Collector) -> None:
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        collector.refuse(
            RejectReason.ENCODING, "invalid utf-8", _origin(collector, row - 1), text[:400].decode(errors="replace")
        )
    else:
        collector.add_text(decoded, lambda: _origin(collector, row - 1))


def _origin(collector: Collector, row: int) -> Origin:
    return Origin(collector.file, None, f"row {row + 1}")


def _is_plain(kind: Any) -> bool:
    """Return whether a column has texts or numbers, and not whole images."""
    return str(kind) in {"string", "large_string", "string_view", "int64", "int32", "uint64", "uint32"}


def _expanded_bytes(group: Any, column: str) -> int:
    chunks = (group.column(at) for at in range(group.num_columns))
    return sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.partition(".")[0] == column)
