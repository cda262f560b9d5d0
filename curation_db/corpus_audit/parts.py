"""Divides a corpus into parts: files, byte ranges of large text files, ranges of captions of the record.

A part is the unit of work of a process and of the state on disk. The division depends only on the corpus, so that a
resumed audit and one with another number of processes combine the same parts.
"""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

from curation_db.importing.compression import is_compressed, open_bytes, plain_name
from curation_db.importing.rows import InputError
from curation_db.language.sanitize import counted, display_text

PART_BYTES: Final = 16 << 20
"""Size of a part of a file that can be divided at line ends: a fifth of a second, so that processes end together."""
MOST_PARTS: Final = 1_000_000
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"(\d+)\.\.(\d+)")
_ADDRESS: Final = re.compile(r"https?://", re.IGNORECASE)
_HEAD: Final = 1 << 16
_STATS: Final = "_stats.json"
"""End of the names of img2dataset's statistics."""


class SourceForm(StrEnum):
    """Format of a file of captions."""

    TEXT = "text"
    """One caption on each line."""
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    WEBDATASET = "webdataset"
    RECORD = "record"
    """The captions or candidates of a workspace."""


_SUFFIXES: Final = {
    ".txt": SourceForm.TEXT,
    ".text": SourceForm.TEXT,
    ".json": SourceForm.JSON,
    ".jsonl": SourceForm.JSONL,
    ".ndjson": SourceForm.JSONL,
    ".csv": SourceForm.CSV,
    ".tsv": SourceForm.TSV,
    ".tab": SourceForm.TSV,
    ".parquet": SourceForm.PARQUET,
    ".tar": SourceForm.WEBDATASET,
    ".tgz": SourceForm.WEBDATASET,
}
_DIVISIBLE: Final = frozenset({SourceForm.TEXT, SourceForm.JSONL})


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a corpus."""

    file: str
    """Name for display, below the corpus."""
    path: str
    """Path of the file or of the record; an address if `is_remote`."""
    form: SourceForm | None
    """None: known when the file was fetched."""
    start: int
    """First byte of the lines that begin in this part, or first ID of the record."""
    end: int
    """First byte after them, or last ID."""
    stamp: str
    """Changes when the content may have changed."""
    table: str = ""
    """Table of the record: caption or candidate."""

    @property
    def is_remote(self) -> bool:
        """Whether the file must be fetched."""
        return is_address(self.path)

    @property
    def size(self) -> int:
        """Bytes of the part, or number of IDs; 0: unknown."""
        return self.end - self.start

    def to_json(self) -> dict[str, Any]:
        """Return what identifies the part, as JSON types."""
        return asdict(self)


def is_address(source: str) -> bool:
    """Return whether the source is an HTTP address."""
    return _ADDRESS.match(source) is not None


def parts_of(source: str, *, form: SourceForm | None = None, part_bytes: int = PART_BYTES) -> list[Part]:
    """Return the parts of a local corpus, or one part for each address.

    Args:
        source: File, folder, pattern with `*` or with braces ("{00000..00127}.tar", "{a,b}.json"), or address.
        form: The format of all files; None: by the name, else by the content.

    Raises:
        InputError: There is no such file, or no file of a known format.
    """
    if is_address(source):
        found = (_remote(address, form) for address in _expanded(source))
    else:
        root, paths = _paths(source, form)
        found = (part for path in paths for part in _file_parts(path, root, form, part_bytes))
    parts = list(itertools.islice(found, MOST_PARTS + 1))
    if len(parts) > MOST_PARTS:
        raise InputError(f"more than {MOST_PARTS:,} files or parts", hint="audit a part of the corpus at a time")
    return parts


def _remote(address: str, form: SourceForm | None) -> Part:
    name = PurePosixPath(urlsplit(address).path).name or urlsplit(address).netloc
    return Part(name, address, form or _form_of_name(Path(name)), 0, 0, "")


def fetched(part: Part, path: Path) -> Part:
    """Return a remote part whose file was fetched to `path`, whole.

    Raises:
        InputError: The format is unknown.
    """
    return replace(part, path=str(path), form=part.form or _form_of_content(path), end=path.stat().st_size)


def _expanded(pattern: str) -> Iterator[str]:
    """Yield the names that a pattern with braces stands for, as a shell expands it."""
    match = next((each for each in _BRACES.finditer(pattern) if "," in each[1] or _RANGE.fullmatch(each[1])), None)
    if match is None:
        yield pattern
        return
    head, tail = pattern[: match.start()], pattern[match.end() :]
    for choice in itertools.islice(_choices(match[1]), MOST_PARTS + 1):
        yield from _expanded(f"{head}{choice}{tail}")


def _choices(inner: str) -> Iterable[str]:
    limits = _RANGE.fullmatch(inner)
    if limits is None:
        return inner.split(",")
    first, last = limits.groups()
    width = len(first) if first.startswith("0") or last.startswith("0") else 0
    step = 1 if int(first) <= int(last) else -1
    return (f"{number:0{width}}" for number in range(int(first), int(last) + step, step))


def _paths(source: str, form: SourceForm | None) -> tuple[Path, list[Path]]:
    """Return the folder below which names are shown, and the files in a fixed order."""
    path = Path(source)
    if path.is_dir():
        paths = _of_folder(path, form)
        if not paths:
            raise InputError(
                f"{display_text(source, limit=200)} has no file of captions", hint=f"known: {' '.join(_SUFFIXES)}"
            )
        return path, paths
    if path.exists():
        return path.parent, [path]
    names = [
        name
        for each in itertools.islice(_expanded(source), MOST_PARTS + 1)
        for name in (sorted(glob.glob(each, recursive=True)) if glob.has_magic(each) else [each])
    ]
    missing = [name for name in names if not Path(name).is_file()]
    paths = [Path(name) for name in names if Path(name).is_file()]
    if not paths or (missing and not glob.has_magic(source)):
        first = display_text(missing[0] if missing else source, limit=200)
        raise InputError(f"there is no file {first}", hint="a file, a folder, a pattern in quotes, or an address")
    return _common(paths), list(dict.fromkeys(paths))


def _common(paths: list[Path]) -> Path:
    parents = {path.parent for path in paths}
    return parents.pop() if len(parents) == 1 else Path()


def _of_folder(folder: Path, form: SourceForm | None) -> list[Path]:
    """Return the files of captions below a folder; of several files about the same samples, one.

    img2dataset writes 00000.tar or 00000/*.txt, 00000.parquet and 00000_stats.json about the same samples.
    """
    known: dict[Path, tuple[SourceForm, Path]] = {}
    for path in sorted(folder.rglob("*")):
        kind = form or _form_of_name(path)
        if kind is None or path.name.endswith(_STATS) or path.name.startswith(".") or not path.is_file():
            continue
        stem = path.with_name(path.name.partition(".")[0])
        others = known.setdefault(stem, (kind, path))
        if _RANK.index(kind) < _RANK.index(others[0]):
            known[stem] = (kind, path)
    folders = {path.parent for _, path in known.values()}
    return sorted(path for stem, (kind, path) in known.items() if kind is not SourceForm.PARQUET or stem not in folders)


_RANK: Final = [
    SourceForm.WEBDATASET,
    SourceForm.PARQUET,
    SourceForm.CSV,
    SourceForm.TSV,
    SourceForm.JSONL,
    SourceForm.TEXT,
    SourceForm.JSON,
]
"""Which of several files with one stem is read: the one that has the images, then the smallest."""


def _form_of_name(path: Path) -> SourceForm | None:
    return _SUFFIXES.get(plain_name(path).suffix.lower())


def _file_parts(path: Path, root: Path, form: SourceForm | None, part_bytes: int) -> Iterator[Part]:
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    try:
        info = path.stat()
        kind = form or _form_of_name(path)
        if kind is None or kind is SourceForm.JSON:
            kind = _form_of_content(path)
        whole = Part(name, str(path), kind, 0, info.st_size, f"{info.st_size} {info.st_mtime_ns}")
        if kind not in _DIVISIBLE or info.st_size <= part_bytes or _is_indivisible(path):
            yield whole
            return
    except OSError as error:
        raise InputError(f"{display_text(name, limit=200)} cannot be read: {error.strerror}") from None
    for start in range(0, info.st_size, part_bytes):
        yield replace(whole, start=start, end=min(start + part_bytes, info.st_size))


def _is_indivisible(path: Path) -> bool:
    """Return whether line ends cannot be found by their byte: compressed, UTF-16 and UTF-32."""
    if is_compressed(path):
        return True
    with path.open("rb") as file:
        return b"\0" in file.read(4)


def _form_of_content(path: Path) -> SourceForm:
    """Return the format by the first bytes, of the expanded content.

    Raises:
        InputError: The file is binary, of an unknown format.
    """
    with open_bytes(path) as file:
        head = file.read(_HEAD)
    if head.startswith(b"PAR1"):
        return SourceForm.PARQUET
    if head[257:262] == b"ustar":
        return SourceForm.WEBDATASET
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"[{") or text.startswith(b'["') or (text.startswith(b"[") and text[1:].lstrip()[:1] in b'{"]'):
        return SourceForm.JSON
    if text.startswith(b"{"):
        first, _, rest = text.partition(b"\n")
        is_lines = first.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{")
        return SourceForm.JSONL if is_lines else SourceForm.JSON
    known = _form_of_name(path)
    if known is not None and known is not SourceForm.JSON:
        return known
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        forms = ", ".join(form for form in SourceForm if form is not SourceForm.RECORD)
        raise InputError(f"the format of {display_text(path.name, limit=200)} is unknown", hint=f"--format: {forms}")
    return SourceForm.JSON if known is SourceForm.JSON else SourceForm.TEXT


def described(parts: list[Part]) -> str:
    """Return the number of files for display."""
    return counted(len({part.path for part in parts}), "file")
