"""Recognizes unsupported files by their first bytes or their first row, and says how to convert them.

`detect` recognizes the supported formats.
"""

from __future__ import annotations

import shlex
import stat
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from curation_db.importing.compression import is_compressed, open_bytes
from curation_db.importing.rows import InputError
from curation_db.storage.sqlite import APPLICATION_ID

_HEAD: Final = 4096
_SPECIAL: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnsupportedKind(NamedTuple):
    """An unsupported kind of file, with a hint how to import its content."""

    name: str
    hint: str

    def error(self, path: Path) -> InputError:
        return InputError(f"{path.name} is {self.name}", hint=self.hint.replace("FILE", shlex.quote(path.name)))


_RUNS_CODE: Final = "it is never loaded, because it can run code: write its rows as JSONL or CSV first"
_MODEL: Final = "it holds no captions; to evaluate a model: negwb bench run --model FILE"
_UNPACK: Final = "unpack it and import its files: "
_IMAGE: Final = UnsupportedKind(
    "an image", "import its folder: a text file of the same name beside each image holds its captions"
)
_SQLITE: Final = b"SQLite format 3\0"
_TAGS: Final = (b"<!doctype html", b"<html", b"<head", b"<body")
_SHEET: Final = "save the sheet as CSV (UTF-8) and import that"
_MAGIC: Final[tuple[tuple[bytes, UnsupportedKind], ...]] = (
    (
        _SQLITE,
        UnsupportedKind("a SQLite database", "write its rows first: sqlite3 -header -csv FILE 'SELECT ...' > rows.csv"),
    ),
    (
        b"PAR1",
        UnsupportedKind(
            "a Parquet file, which is not supported yet",
            "write it as JSONL first: python -c \"import pandas; pandas.read_parquet('FILE')"
            ".to_json('rows.jsonl', orient='records', lines=True)\"",
        ),
    ),
    (b"ARROW1", UnsupportedKind("an Arrow file", "write its rows as JSONL first, for example with pandas or datasets")),
    (b"\x89HDF\r\n\x1a\n", UnsupportedKind("an HDF5 file", "write its rows as JSONL or CSV first")),
    (b"\x93NUMPY", UnsupportedKind("a NumPy array", "write its rows as JSONL or CSV first")),
    *((bytes((0x80, version)), UnsupportedKind("a pickle (.pkl, .pth)", _RUNS_CODE)) for version in range(2, 6)),
    (
        b"version https://git-lfs.github.com/spec/",
        UnsupportedKind("a Git LFS pointer, not the file itself", "fetch the file: git lfs pull"),
    ),
    (
        b"/annex/objects/",
        UnsupportedKind("a git-annex pointer, not the file itself", "fetch the file: git annex get FILE"),
    ),
    (b"7z\xbc\xaf\x27\x1c", UnsupportedKind("a 7z archive", f"{_UNPACK}7z x FILE")),
    (b"Rar!\x1a\x07", UnsupportedKind("a RAR archive", f"{_UNPACK}unrar x FILE")),
    (b"%PDF-", UnsupportedKind("a PDF document", "copy its captions into a text file or a table")),
    (b"\xff\xd8\xff", _IMAGE),
    (b"\x89PNG\r\n\x1a\n", _IMAGE),
    (b"GIF8", _IMAGE),
)
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIPPED: Final[tuple[tuple[Callable[[str], bool], UnsupportedKind], ...]] = (
    (
        lambda name: name.startswith("xl/"),
        UnsupportedKind("an Excel workbook", _SHEET),
    ),
    (
        lambda name: name.startswith("word/"),
        UnsupportedKind("a Word document", "save its captions as plain text or as a table in CSV"),
    ),
    (
        lambda name: name == "mimetype",
        UnsupportedKind("a document of an office program", _SHEET),
    ),
    (lambda name: name.endswith("/data.pkl"), UnsupportedKind("a PyTorch file (.pt, .pth)", _MODEL)),
    (
        lambda name: name.endswith(".npy"),
        UnsupportedKind("a file of NumPy arrays", "write its rows as JSONL or CSV first"),
    ),
)
_ARCHIVE: Final = UnsupportedKind("a ZIP archive", f"{_UNPACK}unzip FILE")
_TAR: Final = UnsupportedKind("a tar archive", f"{_UNPACK}tar xf FILE")
_PAGE: Final = UnsupportedKind(
    "a web page (HTML), not data",
    "most likely the login or error page of a web site was saved: open it to check, and download the file again",
)
_XML: Final = UnsupportedKind("an XML file", "write its rows as JSONL or CSV first")
_RECORD: Final = UnsupportedKind(
    "a record of negwb", "export its pairs with: negwb -w ITS_FOLDER export, and import the items.jsonl of the export"
)
_APPLICATION_ID: Final = slice(68, 72)
_EMPTY: Final = UnsupportedKind("empty", "if the download or copy was interrupted, repeat it")


def check_kind(path: Path) -> None:
    """Check that `path` is a file or a folder, before it is opened: opening a pipe could block forever.

    Raises:
        InputError: The path is neither a file nor a folder.
        OSError: The path cannot be read.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return
    name = next((name for is_such, name in _SPECIAL if is_such(mode)), "neither a file nor a folder")
    raise InputError(f"{path} is {name}, not a file", hint="write its content to a file, and import the file")


def check_content(path: Path) -> None:
    """Check that the first bytes of a file are not those of an unsupported kind.

    Raises:
        InputError: The kind is unsupported.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    kind = _kind_of_bytes(head) or (_kind_of_zip(path) if head.startswith(_ZIP) else None)
    if kind is None and is_compressed(path):
        with open_bytes(path) as expanded:
            kind = _kind_of_bytes(expanded.read(_HEAD))
    if kind is not None:
        raise kind.error(path)


def _kind_of_bytes(head: bytes) -> UnsupportedKind | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:100].lower()
    is_record = head.startswith(_SQLITE) and head[_APPLICATION_ID] == APPLICATION_ID.to_bytes(4, "big")
    is_xml = start.startswith(b"<?xml")
    checks = (
        (not head, _EMPTY),
        (is_record, _RECORD),
        (head[257:262] == b"ustar", _TAR),
        (head[:4] == b"RIFF" and head[8:12] == b"WEBP", _IMAGE),
        (start.startswith(_TAGS) or (is_xml and b"<html" in head.lower()), _PAGE),
        (is_xml, _XML),
        *((head.startswith(mark), kind) for mark, kind in _MAGIC),
    )
    return next((kind for fits, kind in checks if fits), None)


def _kind_of_zip(path: Path) -> UnsupportedKind:
    """Return the kind of a ZIP archive, by the names of its members."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return _ARCHIVE
    return next((kind for fits, kind in _ZIPPED if any(map(fits, names))), _ARCHIVE)


_ROWS: Final[tuple[tuple[Callable[[Collection[str]], bool], UnsupportedKind], ...]] = (
    (
        lambda names: "conversations" in names,
        UnsupportedKind(
            "a file of conversations (LLaVA)",
            "make rows of its images and answers first: "
            "jq -c 'EACH | {image, caption: .conversations[-1].value}' FILE > rows.jsonl",
        ),
    ),
    (
        lambda names: "data" in names and not {"annotations", "predictions", "completions"}.isdisjoint(names),
        UnsupportedKind("a Label Studio export", "export it from Label Studio as CSV or JSON-MIN and import that"),
    ),
    (
        lambda names: "fields" in names and not {"responses", "suggestions", "vectors", "status"}.isdisjoint(names),
        UnsupportedKind(
            "an Argilla export",
            "make rows of its fields first: jq -c 'EACH | {id} + .fields' FILE > rows.jsonl",
        ),
    ),
)


def check_row(path: Path, names: Collection[str] | Mapping[str, object], *, lines: bool) -> None:
    """Check that the first row of a file is not from a program whose exports are not supported.

    Args:
        names: Member names of the first row.
        lines: Whether each line is a row; else the file is one array.

    Raises:
        InputError: The first row has the members of such a program.
    """
    for fits, kind in _ROWS:
        if fits(names):
            hint = kind.hint.replace("EACH", "." if lines else ".[]")
            raise kind._replace(hint=hint).error(path)
