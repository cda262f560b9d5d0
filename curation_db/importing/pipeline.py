"""Pipeline of an import: detect the format, read rows, check the image files, write in batches, index.

One batch is one transaction: an import that is killed leaves complete batches, and a second import of the file
continues from there. Counts and rejects are reported only for committed batches.
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
from curation_db.importing.image_check import NO_IMAGE_FOLDERS, ImageChecker, check_images, with_suffix_match
from curation_db.importing.image_names import Naming
from curation_db.importing.readers.coco import read_captions, read_negationclip
from curation_db.importing.readers.exported import read_exported, sources_in
from curation_db.importing.readers.flickr import read_flickr
from curation_db.importing.readers.folder import has_images, has_metadata, read_folder
from curation_db.importing.readers.instances import read_instances
from curation_db.importing.readers.karpathy import read_karpathy
from curation_db.importing.readers.negbench import read_choices, read_retrieval, usual_source
from curation_db.importing.readers.sugarcrepe import read_sugarcrepe
from curation_db.importing.readers.vqa import VqaFiles, find_files, read_vqa
from curation_db.importing.report import ImportReport
from curation_db.importing.rows import ImageRow, InputError, Reject, RejectReason, RowBatch
from curation_db.importing.sources import (
    COCO,
    SAMPLE,
    ImageSample,
    is_coco,
    is_coco_vqa,
    sample_of,
    shortened_keys,
    source_for,
)
from curation_db.importing.tables.layout import ColumnLayout, layout_of
from curation_db.importing.tables.reader import TableRow, read_csv, read_jsonl, read_objects
from curation_db.importing.tables.row_mapping import ColumnsCallback as TellColumns
from curation_db.importing.tables.row_mapping import check_columns, ids_without_names, read_rows, resolve_columns
from curation_db.importing.unsupported import check_content, check_kind
from curation_db.importing.writers.batch import BatchWriter
from curation_db.importing.writers.candidates import Provenance
from curation_db.language.sanitize import clean
from curation_db.review.candidates import Intake
from curation_db.search import fulltext
from curation_db.storage.store import Store

ProgressCallback = Callable[[str, int, int], None]
"""Called with the stage, the amount done and the total (0: unknown)."""
READING: Final = "reading"
"""The stage that counts bytes of the file; other stages count rows."""
RejectCallback = Callable[[Reject], None]

_NAME_LIMIT = 100
_FILES = frozenset({".json", ".jsonl", ".ndjson", ".csv", ".tsv"})


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """The file to import, its format, and the options of the import."""

    path: Path
    format: Format
    source: str
    generator: str
    """Generator of the candidates; "": each row names its own."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    intake: Intake = field(default_factory=Intake)
    annotations: Path | None = None
    """VQAv2 only: the file with the answers; `path` is the file with the questions."""
    prefixes: tuple[str, ...] = ()
    """Prefixes that are removed from image names."""
    shortened: frozenset[str] = frozenset()
    """Keys of the source that older versions derived from URLs; set by `resolve_source`."""
    follow_links: bool = False
    """Whether links to files outside an imported folder are followed."""
    sources: tuple[str, ...] = ()
    """All sources of a file whose rows name their source."""
    layout: ColumnLayout | None = None
    """CSV and TSV only."""
    splits: tuple[str, ...] = ()
    """Splits to import; empty: all."""
    sample: ImageSample | None = None
    """Images of a file that is not COCO's; `resolve_source` looks them up in the record to find the source."""

    @property
    def naming(self) -> Naming:
        """The rules that turn image names of the file into file names and keys."""
        return Naming(self.source, self.prefixes, self.shortened)

    @property
    def size(self) -> int:
        """Bytes to read; 0 for a folder or a compressed file, whose expanded size is unknown."""
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
    """Return the plan for the file or folder at `path`; detect what the arguments leave open.

    Args:
        form: Its format; None: detected from the content.
        source: Source of the images; None: found by the rules in the module `sources`.
        mapping: Table columns by field, as given with `--map`.
        intake: Settings for new candidates.
        annotations: The second file of VQAv2, with questions or answers; None: searched for beside `path`.
        strip_prefixes: Prefixes that are removed from image names.
        follow_links: Whether links to files outside an imported folder are followed.
        header: Whether the first line of a CSV or TSV file names the columns; without it numbers name them.
        splits: Splits to import, for a file that names splits; empty: all.

    Raises:
        InputError: The file does not exist, its format is unknown, its columns hold no image or no text, or the folder
            holds no image.
        OSError: The file cannot be read.
    """
    if not path.exists():
        raise InputError(f"no such file: {path}")
    check_kind(path)
    chosen = form or detect(path)
    if path.is_dir() != (chosen is Format.FOLDER):
        raise InputError(f"{path} is {'a folder' if path.is_dir() else 'not a folder'}, so its format is not {chosen}")
    if splits and chosen is not Format.KARPATHY:
        raise InputError(f"{path.name} has format {chosen}: --split is only for Karpathy files, which name splits")
    if (mapping and chosen in COCO_SHAPED | NEGBENCH | {Format.NEGWB, Format.FLICKR}) or (
        mapping and chosen is Format.FOLDER and not has_metadata(path)
    ):
        table = {Format.NEGWB: "jsonl", **dict.fromkeys(NEGBENCH, "csv")}.get(chosen)
        hint = f"to read it as a table of other columns: --format {table}" if table else ""
        raise InputError(f"{path.name} has format {chosen}: it has no columns to map", hint=hint)
    if not header and chosen not in {Format.CSV, Format.TSV}:
        raise InputError(f"{path.name} has format {chosen}: --no-header is only for CSV and TSV files")
    if chosen is Format.FOLDER:
        _check_folder(path)
    elif form is not None:
        check_content(path)  # without `form`, `detect` has called it
    files = _vqa_files(path, chosen, annotations)
    path = files.questions if files else path
    stem = _clean_name(path.resolve().name if path.is_dir() else plain_name(path).stem) or "import"
    known = {Format.NEGATIONCLIP: "negationclip", Format.SUGARCREPE: f"sugarcrepe-{stem}"}
    usual = str(chosen) if chosen in NEGBENCH else known.get(chosen, stem)
    if chosen is Format.NEGWB:
        usual = ""
    mapping, layout = mapping or {}, None
    if chosen in _CSV_FORMATS:
        layout = layout_of(path, usual=usual_delimiter(path, form), header=header, names=mapping.values())
    if layout is not None and chosen not in NEGBENCH:
        mapping = resolve_columns(path, layout, mapping)
    elif (rows := _table_rows(path, chosen, layout)) is not None:
        check_columns(rows, mapping)
    given = _clean_name(source or "")
    sample = None if given or chosen not in _SAMPLED else sample_of(path, chosen, strip_prefixes)
    if not given and chosen not in NEGBENCH and (rows := _table_rows(path, chosen, layout)) is not None:
        ids = ids_without_names(rows, mapping, SAMPLE)
        sample = ImageSample(mentioned=ids) if ids else None
    sources = sources_in(path) if chosen is Format.NEGWB and not given else ()
    whose = COCO if sample is not None and is_coco(path, sample) else _usual_source(path, chosen, files, layout)
    return ImportPlan(
        path=path,
        format=chosen,
        source=given or whose or next(iter(sources), stem),
        sources=sources,
        generator=_clean_name(generator or "") or usual,
        mapping=mapping,
        intake=intake or Intake(),
        annotations=files.annotations if files else None,
        prefixes=strip_prefixes,
        follow_links=follow_links,
        layout=layout,
        splits=splits,
        sample=None if whose or chosen is Format.SUGARCREPE else sample,
    )


_CSV_FORMATS: Final = NEGBENCH | {Format.CSV, Format.TSV}
_SAMPLED: Final = COCO_SHAPED - {Format.VQA}


def _usual_source(path: Path, form: Format, files: VqaFiles | None, layout: ColumnLayout | None) -> str | None:
    """Return the source of the images if the format or the file states it, else None."""
    if form in NEGBENCH and layout is not None:
        return usual_source(path, layout)
    return COCO if files is not None and is_coco_vqa(*files) else None


def resolve_source(store: Store, plan: ImportPlan) -> ImportPlan:
    """Complete the plan from the record: the source, if neither the file nor the caller names it.

    Raises:
        InputError: The record does not determine the source either.
    """
    with store.read() as connection:
        source = (
            plan.source
            if plan.sample is None
            else source_for(connection, plan.sample, plan.source, must_list=plan.format in COCO_SHAPED)
        )
        return replace(plan, source=source, sample=None, shortened=shortened_keys(connection, source))


def _vqa_files(path: Path, form: Format, other: Path | None) -> VqaFiles | None:
    """Return the two files of VQAv2, or None for other formats."""
    if form is Format.VQA:
        return find_files(path, other)
    if other is not None:
        raise InputError(f"{path.name} has format {form}: --annotations is only for VQAv2")
    return None


def _check_folder(path: Path) -> None:
    """Refuse a folder without images: most likely its data files should be imported."""
    if not has_images(path):
        files = sorted(each.name for each in path.iterdir() if each.suffix.lower() in _FILES)
        hint = f"import its files one by one: {', '.join(files[:5])}" if files else ""
        raise InputError(f"no image in {path}", hint=hint)


def _clean_name(name: str) -> str:
    return clean(name.encode("utf-8", "replace").decode()).strip()[:_NAME_LIMIT]


def import_file(
    store: Store,
    plan: ImportPlan,
    *,
    checker: ImageChecker = NO_IMAGE_FOLDERS,
    on_reject: RejectCallback = lambda reject: None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> ImportReport:
    """Import the rows of `plan` and add the new texts to the search index.

    Args:
        plan: From `make_plan`.
        on_reject: Called for each row that is listed, refused or not.

    Raises:
        InputError: The table's columns hold no image or no text, or the source cannot be determined.
        RecordError: The record cannot be written; earlier batches are stored.
    """
    report = import_rows(store, plan, checker=checker, on_reject=on_reject, progress=progress)
    total, done = report.captions + report.candidates, 0

    def on_indexed(rows: int) -> None:
        nonlocal done
        done += rows
        progress("indexing", done, max(total, done))

    fulltext.refresh(store, progress=on_indexed)
    return report


def import_rows(
    store: Store,
    plan: ImportPlan,
    *,
    checker: ImageChecker = NO_IMAGE_FOLDERS,
    on_reject: RejectCallback = lambda reject: None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> ImportReport:
    """Import as `import_file` does, without the search index."""
    plan = resolve_source(store, plan)
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
            _import_batch(store, writers[source], batch, checker, source, report, on_reject)
            progress(READING, min(batch.done, total) if total else batch.done, total)
    return report


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Collect garbage less often: searching for cycles among rows, which have none, took a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def read(plan: ImportPlan, columns: TellColumns) -> Iterator[RowBatch]:
    """Yield the batches of the plan's file; call `columns` with the fields of a table's columns."""
    if (reader := _READERS.get(plan.format)) is not None:
        return reader(plan)
    if plan.format is Format.FOLDER:
        return read_folder(
            plan.path, plan.naming, follow_links=plan.follow_links, mapping=plan.mapping, on_columns=columns
        )
    return read_rows(lambda: _table_rows(plan.path, plan.format, plan.layout) or (), plan.naming, plan.mapping, columns)


def _read_vqa(plan: ImportPlan) -> Iterator[RowBatch]:
    return read_vqa(find_files(plan.path, plan.annotations))


_READERS: Final[dict[Format, Callable[[ImportPlan], Iterator[RowBatch]]]] = {
    Format.COCO: lambda plan: read_captions(plan.path, plan.naming),
    Format.NEGATIONCLIP: lambda plan: read_negationclip(plan.path, plan.naming),
    Format.INSTANCES: lambda plan: read_instances(plan.path, plan.naming),
    Format.NEGWB: lambda plan: read_exported(plan.path, plan.naming, plan.sources, generator=plan.generator),
    Format.SUGARCREPE: lambda plan: read_sugarcrepe(plan.path, plan.naming),
    Format.VQA: _read_vqa,
    Format.KARPATHY: lambda plan: read_karpathy(plan.path, plan.naming, plan.splits),
    Format.FLICKR: lambda plan: read_flickr(plan.path, plan.naming),
    Format.NEGBENCH_RETRIEVAL: lambda plan: read_retrieval(plan.path, _layout_of_plan(plan), plan.naming),
    Format.NEGBENCH_MCQ: lambda plan: read_choices(plan.path, _layout_of_plan(plan), plan.naming),
}
"""Readers of the formats that are not tables with one row per image."""


def _layout_of_plan(plan: ImportPlan) -> ColumnLayout:
    return plan.layout or layout_of(plan.path)


def _table_rows(path: Path, form: Format, layout: ColumnLayout | None) -> Iterator[TableRow | Reject] | None:
    """Return the rows of a table, or None if the format is not a table."""
    match form:
        case Format.JSON:
            return read_objects(path)
        case Format.JSONL:
            return read_jsonl(path)
        case Format.CSV | Format.TSV:
            return read_csv(path, layout or layout_of(path))
    return None


def _import_batch(
    store: Store,
    writer: BatchWriter,
    batch: RowBatch,
    checker: ImageChecker,
    source: str,
    report: ImportReport,
    on_reject: RejectCallback,
) -> None:
    writer.images.refuse(batch.refused)
    if batch.mentioned:
        with store.read() as connection:
            rejects = writer.images.add_mentioned(connection, batch)
    else:
        rejects = []
    missing = _check_batch_images(store, writer, batch, checker, source, report)
    rejects += [*(with_suffix_match(each, checker) for each in batch.rejects), *missing]
    if batch.images or batch.captions or batch.objects or batch.questions or batch.licenses:
        with store.write() as connection:
            outcome = writer.write(connection, batch)
        batch.counts.update(outcome.counts)
        rejects += outcome.rejects
    for name, count in batch.counts.items():
        setattr(report, name, getattr(report, name) + count)
    for each in rejects:
        report.count(each)
        on_reject(each)


def _check_batch_images(
    store: Store, writer: BatchWriter, batch: RowBatch, checker: ImageChecker, source: str, report: ImportReport
) -> list[Reject]:
    """Check the batch's image files; before the write lock is taken, because reading headers is slow."""
    fresh: dict[str, ImageRow] = {}
    for row in batch.images:
        if not writer.images.seen(row.key):
            fresh.setdefault(row.key, row)  # the first of several rows of an image is stored
    report.remote_pictures += sum(row.url is not None for row in fresh.values())
    if not checker.has_folders:
        report.unsought_pictures += sum(row.url is None for row in fresh.values())
        names = (row.file_name for row in fresh.values() if row.file_name)
        report.first_unsought = report.first_unsought or next(names, "")
        return []
    with store.read() as connection:
        known = writer.images.known(connection, list(fresh))
    checked, warnings = check_images(list(fresh.values()), source, checker, known)
    sized = {row.key: row for row in checked}
    batch.images = [sized.get(row.key, row) if row is fresh.get(row.key) else row for row in batch.images]
    report.missing_pictures += sum(each.reason is RejectReason.MISSING_FILE for each in warnings)
    return warnings
