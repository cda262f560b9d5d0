"""Audits one part of a corpus: picks the reader, and turns a fault of the file as a whole into an `InputError`."""

from __future__ import annotations

from curation_db.corpus_audit.collector import Collector
from curation_db.corpus_audit.part_result import AuditOptions, PartResult
from curation_db.corpus_audit.parts import Part, SourceForm
from curation_db.corpus_audit.readers.columns import ColumnChoice
from curation_db.corpus_audit.readers.lines import Report, read_jsonl, read_text
from curation_db.importing.rows import InputError


def audit_part(part: Part, options: AuditOptions, report: Report = lambda done: None) -> PartResult:
    """Return the result of a part. Holds a block or a batch in memory, never a file.

    Raises:
        InputError: The file cannot be read as a whole.
    """
    collector = Collector(part.file, options.sizes)
    try:
        _read(part, collector, options, report)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from None
    return PartResult.of(collector)


def _read(part: Part, collector: Collector, options: AuditOptions, report: Report) -> None:
    columns = ColumnChoice(options.column)
    if part.form is SourceForm.TEXT:
        read_text(part, collector, report)
    elif part.form is SourceForm.JSONL:
        read_jsonl(part, collector, columns, report)
    elif part.form in {SourceForm.CSV, SourceForm.TSV}:
        from curation_db.corpus_audit.readers.rows import read_table  # noqa: PLC0415 -- of the formats that are read

        read_table(part, collector, columns, report, header=options.header)
    elif part.form is SourceForm.JSON:
        from curation_db.corpus_audit.readers.rows import read_json_file  # noqa: PLC0415

        read_json_file(part, collector, columns, report)
    elif part.form is SourceForm.PARQUET:
        from curation_db.corpus_audit.readers.parquet import read_parquet  # noqa: PLC0415

        read_parquet(part, collector, columns, report)
    elif part.form is SourceForm.WEBDATASET:
        from curation_db.corpus_audit.readers.webdataset import read_webdataset  # noqa: PLC0415

        read_webdataset(part, collector, columns, report)
    else:
        from curation_db.corpus_audit.readers.record import read_record  # noqa: PLC0415

        read_record(part, collector, report)
