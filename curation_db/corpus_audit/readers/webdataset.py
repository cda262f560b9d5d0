"""Reads WebDataset shards as a stream: of each sample the text in NAME.txt, else the caption in NAME.json.

Nothing is extracted. Members of other kinds, such as images, are skipped. Headers and texts have limits, because a tar
file can state any size.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from tarfile import (  # type: ignore[attr-defined]
    EmptyHeaderError,
    InvalidHeaderError,
    ReadError,
    TruncatedHeaderError,
)
from typing import Any, Final, Self

from curation_db.corpus_audit.collector import Collector
from curation_db.corpus_audit.parts import Part
from curation_db.corpus_audit.readers.batch import CaptionBatch
from curation_db.corpus_audit.readers.columns import ColumnChoice
from curation_db.corpus_audit.readers.lines import Report, note_damage
from curation_db.corpus_audit.samples import Origin
from curation_db.foreign_json import JsonError, parse_json
from curation_db.importing.compression import open_bytes, packed_position
from curation_db.importing.rows import TEXT_LIMIT, RefusedRow, RejectReason
from curation_db.language.sanitize import first_line

IMAGES: Final = (".jpg", ".jpeg", ".png", ".webp")
SEPARATOR: Final = "#"
"""Between the path of a shard and the name of the image in it."""
_HEADER_LIMIT: Final = 1 << 20
_TEXT_BYTES: Final = 4 * TEXT_LIMIT
_JSON_BYTES: Final = 4 << 20
_LONG_HEADERS: Final = frozenset(
    {
        *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
        *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    }
)


_UNEXPECTED_ENDS: Final = (EmptyHeaderError, InvalidHeaderError, TruncatedHeaderError)


class BoundedTarInfo(tarfile.TarInfo):
    """A member whose name and attributes have a limited size, because tarfile reads them into memory.

    A damaged header and a missing end of the archive raise an error; tarfile itself takes both for the end.
    """

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:  # named as in the base class
        try:
            return super().fromtarfile(tarfile)
        except _UNEXPECTED_ENDS as error:
            raise ReadError(f"cut off or damaged after {tarfile.offset:,} bytes: {error}") from None

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _LONG_HEADERS and not 0 <= self.size <= _HEADER_LIMIT:
            raise ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


class _Sample:
    """The captions of the members with one name."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.texts: list[Any] | None = None
        self.fields: dict[str, Any] | None = None
        self.image: str | None = None


def read_webdataset(part: Part, collector: Collector, columns: ColumnChoice, report: Report) -> None:
    """Add the captions of a shard."""
    with open_bytes(Path(part.path)) as file, CaptionBatch(collector) as batch:
        sample = _Sample("")
        try:
            with tarfile.open(fileobj=file, mode="r|", tarinfo=BoundedTarInfo) as archive:
                for member in archive:
                    archive.members = []  # type: ignore[attr-defined]  # a stream does not need them
                    if not member.isfile():
                        continue
                    key, suffix = _split(member.name)
                    if key != sample.key:
                        _finish(sample, collector, batch, columns, part)
                        sample = _Sample(key)
                        report(packed_position(file) or member.offset)
                    _take(sample, member, suffix, archive, collector)
        except (tarfile.TarError, EOFError, ValueError) as error:
            origin = Origin(collector.file, None, f"after {sample.key}" if sample.key else "the beginning")
            collector.refuse(RejectReason.TRUNCATED, f"damaged tar file: {first_line(error)}", origin, "")
        _finish(sample, collector, batch, columns, part)
        note_damage(file, collector)


def _split(name: str) -> tuple[str, str]:
    """Return the key of a sample and the suffix of a member: they meet at the first dot of the base name."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return f"{folder}{slash}{stem}", f".{suffix.lower()}"


def _take(
    sample: _Sample, member: tarfile.TarInfo, suffix: str, archive: tarfile.TarFile, collector: Collector
) -> None:
    """Read a member if it holds the caption."""
    if suffix in IMAGES and sample.image is None:
        sample.image = member.name
    if suffix not in {".txt", ".json"}:
        return
    origin = Origin(collector.file, None, member.name)
    if member.size > (_TEXT_BYTES if suffix == ".txt" else _JSON_BYTES):
        collector.refuse(RejectReason.TEXT_TOO_LONG, f"{member.size:,} bytes", origin, "")
        return
    content = archive.extractfile(member)
    data = b"" if content is None else content.read()
    try:
        if suffix == ".txt":
            sample.texts = [data.decode().strip("\r\n")]
            return
        fields = parse_json(data, strict=False)
    except UnicodeDecodeError as error:
        collector.refuse(
            RejectReason.ENCODING, f"invalid utf-8 at byte {error.start}", origin, data[:400].decode(errors="replace")
        )
    except JsonError as error:
        collector.refuse(RejectReason.MALFORMED, str(error), origin, data[:400].decode(errors="replace"))
    else:
        sample.fields = fields if isinstance(fields, dict) else None


def _finish(sample: _Sample, collector: Collector, batch: CaptionBatch, columns: ColumnChoice, part: Part) -> None:
    """Add the captions of a complete sample; the text stands before the JSON file, which has copies of it."""
    texts = sample.texts
    if texts is None and sample.fields is not None:
        try:
            texts = columns.cells(sample.fields)[0]
        except RefusedRow as error:
            collector.refuse(error.reason, error.message, Origin(collector.file, None, sample.key), sample.fields)
    if texts:
        image = None if sample.image is None else f"{part.path}{SEPARATOR}{sample.image}"
        batch.add(texts, lambda key=sample.key: key, image)  # type: ignore[misc]
