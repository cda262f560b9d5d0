"""Verification of a derived set: its files are what was written, and its rows are those of the export it comes from.

The folder may come from elsewhere, so nothing outside of it is read, and its rows are read only if all hashes match.
"""

from __future__ import annotations

import csv
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from curation_db.exporting.manifest import (
    DESCRIPTIONS,
    MANIFEST_FILE,
    FileFacts,
    ManifestError,
    file_facts,
    hash_of,
    read_items,
)
from curation_db.exporting.training_rows import row_of
from curation_db.foreign_json import parse_json
from workbench.export_formats.open_clip_csv import cell

_SHOWN: Final = 5
"""Problems of one kind that are listed, of the rows."""


class DerivedRow(NamedTuple):
    """A row as its format has it; source and key are None in a table of csv."""

    source: str | None
    key: str | None
    text: str
    negative: str


@dataclass(frozen=True, slots=True)
class DerivedManifest:
    data_format: str
    export_sha256: str
    hard_negatives: bool
    pairs: Mapping[str, int]
    """By split."""
    left_out: int
    """Pairs of the export without a true text or a usable image."""
    files: Mapping[str, FileFacts]
    sha256: str


def is_derived(folder: Path) -> bool:
    """Return whether the manifest in the folder is one of a derived set."""
    try:
        content = parse_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "data_format" in content


def read_derived(folder: Path) -> DerivedManifest:
    """Read the manifest of a derived set.

    Raises:
        ManifestError: it is missing or damaged.
    """
    path = folder / MANIFEST_FILE
    try:
        content = parse_json(path.read_bytes())
        counts = content["counts"]
        return DerivedManifest(
            str(content["data_format"]),
            str(content["export_sha256"]),
            bool(content["hard_negatives"]),
            {str(name): int(split["pairs"]) for name, split in counts["splits"].items()},
            int(counts["not_true"]) + int(counts["skipped_pairs"]),
            {str(name): FileFacts(str(f["sha256"]), int(f["bytes"])) for name, f in content["files"].items()},
            str(content["sha256"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"{path} is damaged: {error!r}") from error


def verify_derived(folder: Path, export: Path | None) -> list[str]:
    """Return the problems of the derived set in `folder`, one line each; empty: there are none.

    Args:
        export: Folder of the export that it comes from; None: it is not here, so rows are only counted.

    Raises:
        ModuleNotFoundError: the library of the format is not installed.
    """
    try:
        manifest = read_derived(folder)
    except ManifestError as error:
        return [str(error)]
    if manifest.data_format not in _READERS:
        return [f"{MANIFEST_FILE}: the format {manifest.data_format!r} is not known"]
    if problems := _file_problems(folder, manifest):
        return problems
    read = _READERS[manifest.data_format]
    try:
        rows = {split: list(read(folder, split, manifest)) for split in manifest.pairs}
    except (OSError, ValueError, KeyError, TypeError, csv.Error, tarfile.TarError) as error:
        return [f"its rows cannot be read: {error}"]
    problems = [
        f"split {split}: {len(rows[split]):,} rows instead of {pairs:,}"
        for split, pairs in manifest.pairs.items()
        if len(rows[split]) != pairs
    ]
    if export is not None:
        every = (row for split in rows.values() for row in split)
        problems += _row_problems(every, manifest, export)
    return problems


def _file_problems(folder: Path, manifest: DerivedManifest) -> list[str]:
    problems = [problem for name, facts in sorted(manifest.files.items()) for problem in _check(folder, name, facts)]
    if hash_of(manifest.files) != manifest.sha256:
        problems.append(f"{MANIFEST_FILE}: sha256 does not match the listed files")
    found = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if not path.is_dir())
    known = {MANIFEST_FILE, *DESCRIPTIONS, *manifest.files}
    return problems + [f"{name}: not in the manifest" for name in found if name not in known]


def _check(folder: Path, name: str, facts: FileFacts) -> list[str]:
    parts = PurePosixPath(name).parts
    if not parts or name != "/".join(parts) or ".." in parts or parts[0] == "/":
        return [f"{name!r}: a file outside the folder"]  # a hostile manifest must not cause reads elsewhere
    path = folder / name
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
        return [f"{name}: a link"]
    try:
        actual = file_facts(path)
    except OSError as error:
        return [f"{name}: {error.strerror or error}"]
    if actual.bytes != facts.bytes:
        return [f"{name}: {actual.bytes} bytes instead of {facts.bytes}"]
    return [f"{name}: its content was changed"] if actual.sha256 != facts.sha256 else []


class _Expected:
    """The rows that the export gives; each can be found once. A balanced set leaves negatives out."""

    def __init__(self, export: Path, manifest: DerivedManifest) -> None:
        self.items = 0
        self._by_item: dict[tuple[str | None, str | None], DerivedRow] = {}
        self._titles: Counter[str] = Counter()
        self._negatives: set[tuple[str, str]] = set()
        is_table = manifest.data_format == _CSV
        for item in read_items(export):
            self.items += 1
            row = row_of(item, hard_negatives=manifest.hard_negatives)
            if row is None:
                continue
            text, negative = _stored(row.text), _stored(row.negative or "")
            if is_table:
                self._titles[cell(text)] += 1
                self._negatives.add((cell(text), cell(negative)))
            else:
                self._by_item[item.source, item.key] = DerivedRow(item.source, item.key, text, negative)

    def problem(self, row: DerivedRow) -> str:
        """Return what is wrong with a row; "" if the export gives it."""
        if row.key is None:
            self._titles[row.text] -= 1
            if self._titles[row.text] < 0:
                return "no text of the export, or too often"
            is_known = not row.negative or (row.text, row.negative) in self._negatives
            return "" if is_known else "another negative than in the export"
        expected = self._by_item.pop((row.source, row.key), None)
        if expected is None:
            return "no pair of the export, or twice"
        is_same = row.text == expected.text and row.negative in ("", expected.negative)
        return "" if is_same else "another text than in the export"


def _row_problems(rows: Iterable[DerivedRow], manifest: DerivedManifest, export: Path) -> list[str]:
    """Compare the rows with those that the export gives; every row must be one of them, at most once."""
    expected = _Expected(export, manifest)
    kinds: Counter[str] = Counter()
    listed: list[str] = []
    count = 0
    for row in rows:
        count += 1
        if kind := expected.problem(row):
            kinds[kind] += 1
            if kinds[kind] <= _SHOWN:
                listed.append(f"{row.key or row.text!r}: {kind}")
    listed += [f"{number - _SHOWN:,} more: {kind}" for kind, number in kinds.items() if number > _SHOWN]
    if count + manifest.left_out != expected.items:
        listed.append(f"{count:,} rows and {manifest.left_out:,} left out, of {expected.items:,} pairs of the export")
    return listed


def _stored(text: str) -> str:
    """Return the text as the formats store it: without lone surrogates."""
    return text.encode(errors="replace").decode()


def _from_fields(fields: Mapping[str, Any]) -> DerivedRow:
    values = [str(fields[name]) for name in ("source", "key", "text")]
    return DerivedRow(values[0], values[1], _stored(values[2]), _stored(str(fields.get("negative", ""))))


def _csv_rows(folder: Path, split: str, _manifest: DerivedManifest) -> Iterator[DerivedRow]:
    with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t")
        for row in table:
            yield DerivedRow(None, None, row["title"], row.get("negative") or "")


def _webdataset_rows(folder: Path, split: str, manifest: DerivedManifest) -> Iterator[DerivedRow]:
    for name in sorted(manifest.files):
        if name.startswith(f"{split}/") and name.endswith(".tar"):
            with tarfile.open(folder / name, "r:") as shard:
                for member in shard:
                    if member.name.endswith(".json") and (content := shard.extractfile(member)) is not None:
                        yield _from_fields(parse_json(content.read()))


def _imagefolder_rows(folder: Path, split: str, _manifest: DerivedManifest) -> Iterator[DerivedRow]:
    with (folder / split / "metadata.jsonl").open(encoding="ascii", newline="\n") as file:
        for line in file:
            yield _from_fields(parse_json(line))


def _parquet_rows(folder: Path, split: str, manifest: DerivedManifest) -> Iterator[DerivedRow]:
    from pyarrow import parquet  # noqa: PLC0415

    columns = ["source", "key", "text", *(["negative"] if manifest.hard_negatives else [])]
    for name in sorted(manifest.files):
        if name.rpartition("-")[0] == split and name.endswith(".parquet"):
            for batch in parquet.ParquetFile(folder / name).iter_batches(columns=columns):
                yield from map(_from_fields, batch.to_pylist())


_CSV: Final = "csv"
_READERS: Final[Mapping[str, Callable[[Path, str, DerivedManifest], Iterator[DerivedRow]]]] = {
    _CSV: _csv_rows,
    "webdataset": _webdataset_rows,
    "imagefolder": _imagefolder_rows,
    "parquet": _parquet_rows,
}
