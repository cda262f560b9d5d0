"""An import from end to end: recognise, read, look at the pictures, write batch by batch, index.

One batch is one transaction: an import that is killed leaves whole batches, and importing the file again goes on
from there. Counts and rejects are told only of what is committed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from curation_db.importing.compression import is_compressed, plain_name
from curation_db.importing.detect import detect, usual_delimiter
from curation_db.importing.formats import COCO_SHAPED, NEGBENCH, Format
from curation_db.importing.image_check import NO_PICTURES, ImageChecker, examine, with_tail
from curation_db.importing.image_names import Naming
from curation_db.importing.readers.coco import read_captions, read_negationclip
from curation_db.importing.readers.exported import read_exported, sources_in
from curation_db.importing.readers.flickr import read_flickr
from curation_db.importing.readers.folder import has_metadata, is_of_pictures, read_folder
from curation_db.importing.readers.instances import read_instances
from curation_db.importing.readers.karpathy import read_karpathy
from curation_db.importing.readers.negbench import read_choices, read_retrieval, usual_source
from curation_db.importing.readers.sugarcrepe import read_sugarcrepe
from curation_db.importing.readers.vqa import Files, pair, read_vqa
from curation_db.importing.report import ImportReport
from curation_db.importing.rows import ImageRow, InputError, Reject, RowBatch
from curation_db.importing.sources import (
    COCO,
    SAMPLE,
    Sample,
    is_coco,
    is_coco_vqa,
    sample_of,
    shortened_keys,
    source_for,
)
from curation_db.importing.tables.layout import ColumnLayout, layout_of
from curation_db.importing.tables.reader import TableRow, read_csv, read_jsonl, read_objects
from curation_db.importing.tables.row_mapping import RowMapping as TellColumns
from curation_db.importing.tables.row_mapping import check_columns, ids_without_names, read_rows, settled_columns
from curation_db.importing.unsupported import check_content, check_kind
from curation_db.importing.writers.batch import BatchWriter
from curation_db.importing.writers.candidates import Provenance
from curation_db.language.sanitize import clean
from curation_db.review.candidates import Intake
from curation_db.search import fulltext
from curation_db.storage.store import Store

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is (0: unknown)."""
READING: Final = "reading"
"""The step that counts bytes of the file, unlike all others."""
Tell = Callable[[Reject], None]

_NAME_LIMIT = 100
_FILES = frozenset({".json", ".jsonl", ".ndjson", ".csv", ".tsv"})


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What is to be imported, and as what."""

    path: Path
    format: Format
    source: str
    generator: str
    """Who proposed the candidates; "": each row says it."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    intake: Intake = field(default_factory=Intake)
    annotations: Path | None = None
    """Of VQAv2: the other file, with the answers."""
    prefixes: tuple[str, ...] = ()
    """What is stripped from the beginning of pictures' names."""
    shortened: frozenset[str] = frozenset()
    """The source's keys that older versions made of URLs (`settled`)."""
    follow_links: bool = False
    """Whether links to files outside an imported folder are followed."""
    sources: tuple[str, ...] = ()
    """All sources of a file whose rows name theirs."""
    layout: ColumnLayout | None = None
    """Of a table of text."""
    splits: tuple[str, ...] = ()
    """The splits that are taken, of a file that names them; none: all."""
    sample: Sample | None = None
    """Pictures of a file that is not COCO's: the record tells which source has them (`settled`)."""

    @property
    def naming(self) -> Naming:
        """What pictures' names become."""
        return Naming(self.source, self.prefixes, self.shortened)

    @property
    def size(self) -> int:
        """How many bytes there are to read; 0: a folder, or a compressed file, of which that is not known."""
        files = [self.path] if self.annotations is None else [self.path, self.annotations]
        if self.path.is_dir() or any(map(is_compressed, files)):
            return 0
        return sum(file.stat().st_size for file in files)


def make_plan(
    path: Path,
    *,
    form: Format | None = None,
    source: str | None = None,
    generator: str | None = None,
    mapping: Mapping[str, str] | None = None,
    intake: Intake | None = None,
    annotations: Path | None = None,
    strip_prefixes: tuple[str, ...] = (),
    follow_links: bool = False,
    header: bool = True,
    splits: tuple[str, ...] = (),
) -> ImportPlan:
    """The plan for the file or folder at `path`; what is not said is found out.

    Args:
        path: what is to be imported.
        form: its format; none: told by its content.
        source: whose pictures these are; none: see `sources`.
        generator: who proposed the candidates.
        mapping: the stated columns of a table.
        intake: what holds for new candidates.
        annotations: of VQAv2's two files the other one, whichever that is; beside `path` it is found.
        strip_prefixes: what is stripped from the beginning of pictures' names.
        follow_links: whether links to files outside an imported folder are followed.
        header: whether the first line of a CSV or TSV file names the columns; without it they are named by numbers.
        splits: the splits that are taken, of a file that names them; none: all.

    Raises:
        InputError: no such file, in no format that we know, a table whose columns tell of no picture or no text, or a
            folder without pictures.
        OSError: it cannot be read.
    """
    if not path.exists():
        raise InputError(f"no such file: {path}")
    check_kind(path)
    chosen = form or detect(path)
    if path.is_dir() != (chosen is Format.FOLDER):
        raise InputError(f"{path} is {'a folder' if path.is_dir() else 'no folder'}: not of format {chosen}")
    if splits and chosen is not Format.KARPATHY:
        raise InputError(f"{path.name} is of format {chosen}: --split is for files of Karpathy's, which name splits")
    if (mapping and chosen in COCO_SHAPED | NEGBENCH | {Format.NEGWB, Format.FLICKR}) or (
        mapping and chosen is Format.FOLDER and not has_metadata(path)
    ):
        table = {Format.NEGWB: "jsonl", **dict.fromkeys(NEGBENCH, "csv")}.get(chosen)
        hint = f"--format {table} reads it as a table of other columns" if table else ""
        raise InputError(f"{path.name} is of format {chosen}: it has no columns to map", hint=hint)
    if not header and chosen not in {Format.CSV, Format.TSV}:
        raise InputError(f"{path.name} is of format {chosen}: --no-header is for CSV and TSV files")
    if chosen is Format.FOLDER:
        _check_folder(path)
    elif form is not None:
        check_content(path)  # else it is `detect` that refuses
    files = _both(path, chosen, annotations)
    path = files.questions if files else path
    stem = _name(path.resolve().name if path.is_dir() else plain_name(path).stem) or "import"
    known = {Format.NEGATIONCLIP: "negationclip", Format.SUGARCREPE: f"sugarcrepe-{stem}"}
    usual = str(chosen) if chosen in NEGBENCH else known.get(chosen, stem)
    if chosen is Format.NEGWB:
        usual = ""
    mapping, layout = mapping or {}, None
    if chosen in _TEXT_TABLES:
        layout = layout_of(path, usual=usual_delimiter(path, form), header=header, names=mapping.values())
    if layout is not None and chosen not in NEGBENCH:
        mapping = settled_columns(path, layout, mapping)
    elif (rows := _table_rows(path, chosen, layout)) is not None:
        check_columns(rows, mapping)
    given = _name(source or "")
    sample = None if given or chosen not in _SAMPLED else sample_of(path, chosen, strip_prefixes)
    if not given and chosen not in NEGBENCH and (rows := _table_rows(path, chosen, layout)) is not None:
        ids = ids_without_names(rows, mapping, SAMPLE)
        sample = Sample(mentioned=ids) if ids else None
    sources = sources_in(path) if chosen is Format.NEGWB and not given else ()
    whose = COCO if sample is not None and is_coco(path, sample) else _usual_source(path, chosen, files, layout)
    return ImportPlan(
        path=path,
        format=chosen,
        source=given or whose or next(iter(sources), stem),
        sources=sources,
        generator=_name(generator or "") or usual,
        mapping=mapping,
        intake=intake or Intake(),
        annotations=files.annotations if files else None,
        prefixes=strip_prefixes,
        follow_links=follow_links,
        layout=layout,
        splits=splits,
        sample=None if whose or chosen is Format.SUGARCREPE else sample,
    )


_TEXT_TABLES: Final = NEGBENCH | {Format.CSV, Format.TSV}
_SAMPLED: Final = COCO_SHAPED - {Format.VQA}


def _usual_source(path: Path, form: Format, files: Files | None, layout: ColumnLayout | None) -> str | None:
    """Whose pictures they are, where the format or the file tells."""
    if form in NEGBENCH and layout is not None:
        return usual_source(path, layout)
    return COCO if files is not None and is_coco_vqa(*files) else None


def settled(store: Store, plan: ImportPlan) -> ImportPlan:
    """The plan with what the record knows: whose the pictures are, where neither the file nor a person says it.

    Raises:
        InputError: the record does not say it either.
    """
    with store.read() as connection:
        source = (
            plan.source
            if plan.sample is None
            else source_for(connection, plan.sample, plan.source, must_list=plan.format in COCO_SHAPED)
        )
        return replace(plan, source=source, sample=None, shortened=shortened_keys(connection, source))


def _both(path: Path, form: Format, other: Path | None) -> Files | None:
    """The two files of VQAv2; None: not of this format."""
    if form is Format.VQA:
        return pair(path, other)
    if other is not None:
        raise InputError(f"{path.name} is of format {form}: its annotations are in no file of their own")
    return None


def _check_folder(path: Path) -> None:
    """Refuse a folder without pictures: most likely the files in it were meant."""
    if not is_of_pictures(path):
        files = sorted(each.name for each in path.iterdir() if each.suffix.lower() in _FILES)
        hint = f"import its files one by one: {', '.join(files[:5])}" if files else ""
        raise InputError(f"no picture in {path}", hint=hint)


def _name(told: str) -> str:
    return clean(told.encode("utf-8", "replace").decode()).strip()[:_NAME_LIMIT]


def import_file(
    store: Store,
    plan: ImportPlan,
    *,
    pictures: ImageChecker = NO_PICTURES,
    tell: Tell = lambda reject: None,
    progress: Progress = lambda stage, done, total: None,
) -> ImportReport:
    """Import the rows of `plan` and index what is new; `tell` hears of every row that was refused.

    Raises:
        InputError: the table's columns tell of no picture or no text, or nothing tells whose the pictures are.
        RecordError: the record cannot be written; the batches before are in.
    """
    report = import_rows(store, plan, pictures=pictures, tell=tell, progress=progress)
    total, done = report.captions + report.candidates, 0

    def indexed(rows: int) -> None:
        nonlocal done
        done += rows
        progress("indexing", done, max(total, done))

    fulltext.refresh(store, progress=indexed)
    return report


def import_rows(
    store: Store,
    plan: ImportPlan,
    *,
    pictures: ImageChecker = NO_PICTURES,
    tell: Tell = lambda reject: None,
    progress: Progress = lambda stage, done, total: None,
) -> ImportReport:
    """The import without the indexing afterwards; see `import_file`."""
    plan = settled(store, plan)
    sources = plan.sources or (plan.source,)
    report = ImportReport(str(plan.path), str(plan.format), ", ".join(sources))
    pipeline = "P1" if plan.format is Format.NEGATIONCLIP else "import"
    writers = {
        source: BatchWriter(Provenance(source, plan.generator, pipeline, plan.intake, plan.path.name))
        for source in sources
    }
    total = plan.size
    progress(READING, 0, total)
    with _fewer_collections():
        for batch in read(plan, report.note_columns):
            source = batch.source or plan.source
            _one_batch(store, writers[source], batch, pictures, source, report, tell)
            progress(READING, min(batch.done, total) if total else batch.done, total)
    return report


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """A tenth of the time goes into looking for cycles among rows, which have none."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def read(plan: ImportPlan, columns: TellColumns) -> Iterator[RowBatch]:
    """The batches of the plan's file; `columns` hears what a table's columns were taken for."""
    if (reader := _READERS.get(plan.format)) is not None:
        return reader(plan)
    if plan.format is Format.FOLDER:
        return read_folder(plan.path, plan.naming, follow_links=plan.follow_links, mapping=plan.mapping, tell=columns)
    return read_rows(lambda: _table_rows(plan.path, plan.format, plan.layout) or (), plan.naming, plan.mapping, columns)


def _read_vqa(plan: ImportPlan) -> Iterator[RowBatch]:
    return read_vqa(pair(plan.path, plan.annotations))


_READERS: Final[dict[Format, Callable[[ImportPlan], Iterator[RowBatch]]]] = {
    Format.COCO: lambda plan: read_captions(plan.path, plan.naming),
    Format.NEGATIONCLIP: lambda plan: read_negationclip(plan.path, plan.naming),
    Format.INSTANCES: lambda plan: read_instances(plan.path, plan.naming),
    Format.NEGWB: lambda plan: read_exported(plan.path, plan.naming, plan.sources, generator=plan.generator),
    Format.SUGARCREPE: lambda plan: read_sugarcrepe(plan.path, plan.naming),
    Format.VQA: _read_vqa,
    Format.KARPATHY: lambda plan: read_karpathy(plan.path, plan.naming, plan.splits),
    Format.FLICKR: lambda plan: read_flickr(plan.path, plan.naming),
    Format.NEGBENCH_RETRIEVAL: lambda plan: read_retrieval(plan.path, _layout(plan), plan.naming),
    Format.NEGBENCH_MCQ: lambda plan: read_choices(plan.path, _layout(plan), plan.naming),
}
"""Formats that are no tables with a row per picture."""


def _layout(plan: ImportPlan) -> ColumnLayout:
    return plan.layout or layout_of(plan.path)


def _table_rows(path: Path, form: Format, layout: ColumnLayout | None) -> Iterator[TableRow | Reject] | None:
    """The rows of a table; None: this format is none."""
    match form:
        case Format.JSON:
            return read_objects(path)
        case Format.JSONL:
            return read_jsonl(path)
        case Format.CSV | Format.TSV:
            return read_csv(path, layout or layout_of(path))
    return None


def _one_batch(
    store: Store,
    writer: BatchWriter,
    batch: RowBatch,
    pictures: ImageChecker,
    source: str,
    report: ImportReport,
    tell: Tell,
) -> None:
    writer.images.refuse(batch.refused)
    if batch.mentioned:
        with store.read() as connection:
            told = writer.images.mention(connection, batch)
    else:
        told = []
    missing = _look(store, writer, batch, pictures, source, report)
    told += [*(with_tail(each, pictures) for each in batch.rejects), *missing]
    if batch.images or batch.captions or batch.objects or batch.questions or batch.licenses:
        with store.write() as connection:
            outcome = writer.write(connection, batch)
        batch.counts.update(outcome.counts)
        told += outcome.rejects
    for name, count in batch.counts.items():
        setattr(report, name, getattr(report, name) + count)
    for each in told:
        report.count(each)
        tell(each)


def _look(
    store: Store, writer: BatchWriter, batch: RowBatch, pictures: ImageChecker, source: str, report: ImportReport
) -> list[Reject]:
    """Look for the batch's pictures, before the write lock is taken: reading headers takes its time."""
    fresh: dict[str, ImageRow] = {}
    for row in batch.images:
        if not writer.images.seen(row.key):
            fresh.setdefault(row.key, row)  # of several rows of a picture the first goes in
    report.remote_pictures += sum(row.url is not None for row in fresh.values())
    if not pictures.look:
        report.unsought_pictures += sum(row.url is None for row in fresh.values())
        names = (row.file_name for row in fresh.values() if row.file_name)
        report.first_unsought = report.first_unsought or next(names, "")
        return []
    with store.read() as connection:
        known = writer.images.known(connection, list(fresh))
    seen, wrong = examine(list(fresh.values()), source, pictures, known)
    sized = {row.key: row for row in seen}
    batch.images = [sized.get(row.key, row) if row is fresh.get(row.key) else row for row in batch.images]
    report.missing_pictures += sum(each.reason == "missing-file" for each in wrong)
    return wrong
