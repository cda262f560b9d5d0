"""Files that cannot be imported, by their first bytes or their first row: each has a name, and a way in.

A file that is none of these is looked at by `detect`.
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


class Foreign(NamedTuple):
    """What a file is, and how its content can be imported."""

    name: str
    hint: str

    def refused(self, path: Path) -> InputError:
        """The error that says so."""
        return InputError(f"{path.name} is {self.name}", hint=self.hint.replace("FILE", shlex.quote(path.name)))


_RUNS_CODE: Final = "it is never loaded, since it can run code: write its rows as JSONL or CSV first"
_MODEL: Final = "it holds no captions; a model is measured with: negwb bench run --model FILE"
_UNPACK: Final = "unpack it and import what is in it: "
_PICTURE: Final = Foreign("a picture", "import the folder that holds it: a text beside each picture is its caption")
_SQLITE: Final = b"SQLite format 3\0"
_TAGS: Final = (b"<!doctype html", b"<html", b"<head", b"<body")
_SHEET: Final = "save the sheet as CSV (UTF-8) and import that"
_MAGIC: Final[tuple[tuple[bytes, Foreign], ...]] = (
    (
        _SQLITE,
        Foreign("a SQLite database", "write its rows first: sqlite3 -header -csv FILE 'SELECT ...' > rows.csv"),
    ),
    (
        b"PAR1",
        Foreign(
            "a Parquet file, which is not read yet",
            "write it as JSONL first: python -c \"import pandas; pandas.read_parquet('FILE')"
            ".to_json('rows.jsonl', orient='records', lines=True)\"",
        ),
    ),
    (b"ARROW1", Foreign("an Arrow file", "write its rows as JSONL first, for example with pandas or datasets")),
    (b"\x89HDF\r\n\x1a\n", Foreign("an HDF5 file", "write its rows as JSONL or CSV first")),
    (b"\x93NUMPY", Foreign("a NumPy array", "write its rows as JSONL or CSV first")),
    *((bytes((0x80, version)), Foreign("a pickle (.pkl, .pth)", _RUNS_CODE)) for version in range(2, 6)),
    (
        b"version https://git-lfs.github.com/spec/",
        Foreign("a Git LFS pointer, not the file itself", "fetch the file: git lfs pull"),
    ),
    (b"/annex/objects/", Foreign("a git-annex pointer, not the file itself", "fetch the file: git annex get FILE")),
    (b"7z\xbc\xaf\x27\x1c", Foreign("a 7z archive", f"{_UNPACK}7z x FILE")),
    (b"Rar!\x1a\x07", Foreign("a RAR archive", f"{_UNPACK}unrar x FILE")),
    (b"%PDF-", Foreign("a PDF document", "copy its captions into a text file or a table")),
    (b"\xff\xd8\xff", _PICTURE),
    (b"\x89PNG\r\n\x1a\n", _PICTURE),
    (b"GIF8", _PICTURE),
)
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIPPED: Final[tuple[tuple[Callable[[str], bool], Foreign], ...]] = (
    (
        lambda name: name.startswith("xl/"),
        Foreign("an Excel workbook", _SHEET),
    ),
    (
        lambda name: name.startswith("word/"),
        Foreign("a Word document", "save its captions as plain text or as a table in CSV"),
    ),
    (
        lambda name: name == "mimetype",
        Foreign("a document of an office program", _SHEET),
    ),
    (lambda name: name.endswith("/data.pkl"), Foreign("a PyTorch file (.pt, .pth)", _MODEL)),
    (lambda name: name.endswith(".npy"), Foreign("a file of NumPy arrays", "write its rows as JSONL or CSV first")),
)
_ARCHIVE: Final = Foreign("a ZIP archive", f"{_UNPACK}unzip FILE")
_TAR: Final = Foreign("a tar archive", f"{_UNPACK}tar xf FILE")
_PAGE: Final = Foreign(
    "a web page (HTML), not data",
    "most likely the login or error page of a site was saved: open it to see, and download the file again",
)
_XML: Final = Foreign("an XML file", "write its rows as JSONL or CSV first")
_RECORD: Final = Foreign(
    "a record of negwb", "export its pairs with: negwb -w ITS_FOLDER export, and import the items.jsonl of that"
)
_APPLICATION_ID: Final = slice(68, 72)
_EMPTY: Final = Foreign("empty", "if it was downloaded or copied, that was cut off: do it again")


def check_kind(path: Path) -> None:
    """Refuse what is neither a file nor a folder, before it is opened: that could wait forever.

    Raises:
        InputError: it is something else.
        OSError: it cannot be looked at.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return
    name = next((name for is_such, name in _SPECIAL if is_such(mode)), "neither a file nor a folder")
    raise InputError(f"{path} is {name}, not a file", hint="write what comes out of it to a file, and import that")


def check_content(path: Path) -> None:
    """Refuse a file that its first bytes show to be of a kind that is not read.

    Raises:
        InputError: it is.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    found = _of_bytes(head) or (_zipped(path) if head.startswith(_ZIP) else None)
    if found is None and is_compressed(path):
        with open_bytes(path) as expanded:
            found = _of_bytes(expanded.read(_HEAD))
    if found is not None:
        raise found.refused(path)


def _of_bytes(head: bytes) -> Foreign | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:100].lower()
    is_record = head.startswith(_SQLITE) and head[_APPLICATION_ID] == APPLICATION_ID.to_bytes(4, "big")
    is_xml = start.startswith(b"<?xml")
    told = (
        (not head, _EMPTY),
        (is_record, _RECORD),
        (head[257:262] == b"ustar", _TAR),
        (head[:4] == b"RIFF" and head[8:12] == b"WEBP", _PICTURE),
        (start.startswith(_TAGS) or (is_xml and b"<html" in head.lower()), _PAGE),
        (is_xml, _XML),
        *((head.startswith(mark), foreign) for mark, foreign in _MAGIC),
    )
    return next((foreign for fits, foreign in told if fits), None)


def _zipped(path: Path) -> Foreign:
    """What a ZIP archive is by the names of what is in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return _ARCHIVE
    return next((foreign for fits, foreign in _ZIPPED if any(map(fits, names))), _ARCHIVE)


_ROWS: Final[tuple[tuple[Callable[[Collection[str]], bool], Foreign], ...]] = (
    (
        lambda names: "conversations" in names,
        Foreign(
            "a file of conversations (LLaVA)",
            "make rows of its pictures and answers first: "
            "jq -c 'EACH | {image, caption: .conversations[-1].value}' FILE > rows.jsonl",
        ),
    ),
    (
        lambda names: "data" in names and not {"annotations", "predictions", "completions"}.isdisjoint(names),
        Foreign("a Label Studio export", "export it from Label Studio as CSV or JSON-MIN and import that"),
    ),
    (
        lambda names: "fields" in names and not {"responses", "suggestions", "vectors", "status"}.isdisjoint(names),
        Foreign(
            "an Argilla export",
            "make rows of its fields first: jq -c 'EACH | {id} + .fields' FILE > rows.jsonl",
        ),
    ),
)


def check_row(path: Path, names: Collection[str] | Mapping[str, object], *, lines: bool) -> None:
    """Refuse a file whose first row has the names of another program's.

    Args:
        path: the file.
        names: of the first row's members.
        lines: each line is a row; else the file is one array.

    Raises:
        InputError: it is another program's.
    """
    for fits, foreign in _ROWS:
        if fits(names):
            hint = foreign.hint.replace("EACH", "." if lines else ".[]")
            raise foreign._replace(hint=hint).refused(path)
