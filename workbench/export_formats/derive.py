"""Deriving a training set in the format of another program from a frozen export and the image folders.

The folder appears whole or not at all. Equal exports, images and options give equal bytes, except for absolute paths of
images in formats that refer to them. Pairs whose image cannot be used are left out and listed.

A further format is a module here with a `FormatWriter`, an entry of `FORMATS` and a member of `TargetFormat` in
`workbench/commands/export/as_format.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from curation_db.atomic_write import partial_folder, seal, sync
from curation_db.exporting.blind_gate import HardNegatives, pair_of
from curation_db.exporting.manifest import (
    MANIFEST_FILE,
    FileFacts,
    file_facts,
    hash_of,
    read_items,
    read_manifest,
    verify,
)
from curation_db.exporting.selection import ExportRefused, NameTaken, NothingChosen
from curation_db.exporting.training_rows import TrainingRow, rows_of, surplus
from curation_db.trust.blind_classifier import CaptionPair
from workbench.export_formats.imagefolder import ImageFolderWriter
from workbench.export_formats.images import ImageFile, Locate, images_of
from workbench.export_formats.open_clip_csv import CsvWriter
from workbench.export_formats.parquet import ParquetWriter
from workbench.export_formats.splits import WHOLE, Split, split_of
from workbench.export_formats.webdataset import WebDatasetWriter
from workbench.export_formats.writers import FormatOptions, FormatWriter, MakeWriter

FORMATS: Mapping[str, MakeWriter] = {
    "csv": CsvWriter,
    "webdataset": WebDatasetWriter,
    "parquet": ParquetWriter,
    "imagefolder": ImageFolderWriter,
}
SKIPPED_FILE = "skipped_images.jsonl"
"""The images whose pairs are left out, with the reasons."""

Progress = Callable[[int, int], None]
Check = Callable[[HardNegatives], None]


@dataclass(frozen=True, slots=True)
class SkippedImage:
    source: str
    image_key: str
    file_name: str | None
    problem: str
    """Name of a member of `ImageProblem`."""
    pairs: int


@dataclass(slots=True)
class DerivedSet:
    """What was written."""

    export_sha256: str
    rows: Counter[str] = field(default_factory=Counter)
    """By split."""
    images: Counter[str] = field(default_factory=Counter)
    without_negative: int = 0
    """Rows for which no contradicted caption is known, where hard negatives are asked for."""
    reverse: int = 0
    """Rows in which the negated text is the false one."""
    not_true: int = 0
    """Pairs left out because no text of them is known to be true of the image."""
    pairs: tuple[list[CaptionPair], list[CaptionPair]] = field(default_factory=lambda: ([], []))
    """The pairs of a true and a false caption, without reversed ones, and the reversed ones."""
    skipped: list[SkippedImage] = field(default_factory=list)
    files: Mapping[str, FileFacts] = field(default_factory=dict)

    @property
    def skipped_pairs(self) -> int:
        return sum(image.pairs for image in self.skipped)

    def counts(self) -> dict[str, Any]:
        """Return the counts for the manifest and for JSON."""
        splits = {name: {"pairs": rows, "images": self.images[name]} for name, rows in self.rows.items()}
        return {
            "pairs": self.rows.total(),
            "splits": splits,
            "reverse": self.reverse,
            "without_negative": self.without_negative,
            "not_true": self.not_true,
            "skipped_images": len(self.skipped),
            "skipped_pairs": self.skipped_pairs,
        }


def derive(
    export: Path,
    folder: Path,
    data_format: str,
    locate: Locate,
    *,
    tool_version: str,
    options: FormatOptions = FormatOptions(),  # noqa: B008  # frozen
    splits: tuple[Split, ...] = WHOLE,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
    check: Check = lambda negatives: None,
) -> DerivedSet:
    """Write the pairs of the frozen export in the folder `export` into the new folder `folder`.

    Args:
        data_format: Name from `FORMATS`.
        seed: Changes which images are in which split, and which rows lose their negative.
        check: Called with the written pairs of a true and a false caption; where it raises, nothing is published.

    Raises:
        NameTaken: `folder` exists.
        NothingChosen: there is no row to write; nothing was written.
        ExportRefused: the export was changed, or is none.
        ManifestError: the export cannot be read.
        ModuleNotFoundError: the library of the format is not installed.
        OSError: the folder cannot be written; the partial folder is removed.
    """
    if folder.exists() or folder.is_symlink():
        raise _taken(folder)
    if problems := verify(export):
        raise ExportRefused(f"{export}: {problems[0]}", hint="export again: an export must not be changed")
    manifest = read_manifest(export)
    suffixes = frozenset(PurePosixPath(item.file_name).suffix.lower() for item in read_items(export) if item.file_name)
    options = replace(options, suffixes=suffixes)
    derived = DerivedSet(manifest.export_sha256)
    with partial_folder(folder.parent, folder.name) as draft:
        _write_rows(export, draft, FORMATS[data_format], locate, derived, options, splits, seed, progress)
        if not derived.rows.total():
            raise NothingChosen(_no_rows(derived), hint=_no_rows_hint(derived))
        if options.hard_negatives:
            check(HardNegatives(tuple(derived.pairs[False]), tuple(derived.pairs[True])))
        if derived.skipped:
            lines = (json.dumps(asdict(image)) + "\n" for image in derived.skipped)
            (draft / SKIPPED_FILE).write_text("".join(lines), encoding="ascii", newline="\n")
        paths = sorted(path for path in draft.rglob("*") if path.is_file())
        derived.files = {path.relative_to(draft).as_posix(): file_facts(path) for path in paths}
        content = {
            "format": 1,
            "data_format": data_format,
            "tool_version": tool_version,
            "export_sha256": manifest.export_sha256,
            "event_seq": manifest.event_seq,
            "hard_negatives": options.hard_negatives,
            "balance": options.balance,
            "shard_rows": options.shard_rows,
            "image_paths": options.image_paths,
            "splits": {split.name: split.share for split in splits},
            "seed": seed,
            "counts": derived.counts(),
            "files": {name: asdict(facts) for name, facts in derived.files.items()},
            "sha256": hash_of(derived.files),
        }
        (draft / MANIFEST_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="ascii", newline="\n")
        seal(draft)
        try:
            draft.rename(folder)
        except OSError as error:
            if folder.exists():
                raise _taken(folder) from error
            raise
    sync(folder.parent)
    return derived


def _write_rows(
    export: Path,
    draft: Path,
    make: MakeWriter,
    locate: Locate,
    derived: DerivedSet,
    options: FormatOptions,
    splits: tuple[Split, ...],
    seed: int,
    progress: Progress,
) -> None:
    total = read_manifest(export).counts.pairs

    stripped = surplus(read_items(export), seed=seed) if options.balance else frozenset()

    def true_rows() -> Iterator[TrainingRow]:
        for row in rows_of(read_items(export), hard_negatives=options.hard_negatives, stripped=stripped):
            if row is None:
                derived.not_true += 1
            else:
                yield row

    done = 0
    with ExitStack() as stack:
        writers: dict[str, FormatWriter] = {}
        for split in splits:
            writers[split.name] = make(draft, split.name, options)
            stack.callback(writers[split.name].close)
            derived.rows[split.name] = 0
        for rows, image in images_of(true_rows(), locate):
            if isinstance(image, ImageFile):
                name = split_of(image.sha256, splits, seed)
                for row in rows:
                    writers[name].add(row, image)
                    derived.reverse += row.reverse
                    derived.without_negative += options.hard_negatives and row.negative is None
                    if row.negative is not None:
                        derived.pairs[row.reverse].append(pair_of(row, row.negative))
                derived.rows[name] += len(rows)
                derived.images[name] += 1
            else:
                item = rows[0].item
                skipped = SkippedImage(item.source, item.image_key, item.file_name, image.name, len(rows))
                derived.skipped.append(skipped)
            done += len(rows)
            progress(done + derived.not_true, total)
        for writer in writers.values():
            writer.finish()


def _taken(folder: Path) -> NameTaken:
    return NameTaken(f"{folder} exists already", hint="choose another folder with --out, or delete it")


def _no_rows(derived: DerivedSet) -> str:
    if derived.skipped:
        return f"none of the {len(derived.skipped):,} images can be used (first: {derived.skipped[0].problem.lower()})"
    return "no pair of the export has a text that is known to be true of its image"


def _no_rows_hint(derived: DerivedSet) -> str:
    if derived.skipped:
        return "set the image folders in [pictures] of negwb.toml"
    return "export accepted pairs; rejected ones can be used with --hard-negatives"
