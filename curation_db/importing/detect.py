"""Detects the format of a file from its content; the file name decides only if the content does not.

Only the beginning of a file is parsed. In a file of COCO's shape the first annotation is searched for in the whole
file, at the speed of `str.find`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from curation_db.foreign_json import JsonError, parse_json
from curation_db.importing.compression import plain_name
from curation_db.importing.encoding import TextBlocks
from curation_db.importing.formats import Format
from curation_db.importing.readers.exported import is_exported
from curation_db.importing.readers.flickr import is_flickr
from curation_db.importing.readers.negbench import is_choice, is_plain_retrieval, is_retrieval
from curation_db.importing.rows import InputError
from curation_db.importing.tables.layout import layout_in
from curation_db.importing.unsupported import check_content, check_row

_HEAD = 1 << 18
_ANNOTATIONS = re.compile(r'"annotations"\s*:\s*\[')
_IMAGES = re.compile(r'"images"\s*:\s*\[\s*(?=\{)')
_MEMBER_OBJECT = re.compile(r'"\s*:\s*\{')
_FIRST_KEY = re.compile(r'\{\s*("(?:[^"\\]|\\.)*")\s*:\s*(.)', re.DOTALL)
_QUESTIONS = re.compile(r'"questions"\s*:\s*\[\s*(?=\{)')
_FORMAT_FIELDS = (
    ("multiple_choice_answer", Format.VQA),
    ("updated_caption", Format.NEGATIONCLIP),
    ("category_id", Format.INSTANCES),
    ("caption", Format.COCO),
)
_SENTENCES = {"filename", "sentences"}
_LIMIT = 1 << 20
_TABLES = frozenset({".csv", ".tsv", ".tab"})


def detect(path: Path) -> Format:
    """Return the format of the file or folder at `path`.

    Raises:
        InputError: The format is unknown or not supported.
        OSError: The file cannot be read.
    """
    if path.is_dir():
        return Format.FOLDER
    check_content(path)
    with TextBlocks(path) as source:
        head = source.read(_HEAD)
        damage = source.damage
    start = head.lstrip()
    if damage and not start.strip("\udcff"):  # only the mark for data that could not be decompressed
        raise InputError(f"{path.name}: {damage}")
    if not start:
        raise InputError(f"{path.name} is empty")
    if start.startswith("["):
        check_row(path, _fields(start[1:].lstrip()), lines=False)
        return Format.JSON
    if is_flickr(start):
        return Format.FLICKR
    detected = _object_format(path, start) if start.startswith("{") else _table_format(path, start)
    if detected is None:
        listed = ", ".join(Format)
        raise InputError(f"the format of {path.name} is unknown", hint=f"give it with --format: {listed}")
    return detected


def _object_format(path: Path, head: str) -> Format | None:
    """Return the format of a file that begins with a brace, or None if unknown."""
    if _is_jsonl(path, head):
        check_row(path, _fields(head), lines=True)
        return Format.NEGWB if is_exported(_parsed(head.partition("\n")[0]) or ()) else Format.JSONL
    if _has_questions(head):
        return Format.VQA
    if _first_image(head) >= _SENTENCES:
        return Format.KARPATHY
    fields = _first_annotation(path)
    if fields is not None:
        # only ids: there is no annotation, or the file ends inside the first one
        default = Format.COCO if fields <= {"id", "image_id"} else None
        return next((known for name, known in _FORMAT_FIELDS if name in fields), default)
    # a truncated COCO file may hold only the images
    return Format.COCO if _first_image(head) >= {"id", "file_name"} else _format_of_members(head)


def _first_image(head: str) -> set[str]:
    """Return the fields of the first entry of `images`; empty if `head` holds no entry."""
    match = _IMAGES.search(head)
    return set() if match is None else _fields(head[match.end() :])


def _has_questions(head: str) -> bool:
    match = _QUESTIONS.search(head)
    return match is not None and _fields(head[match.end() :]) >= {"question_id", "question"}


def _format_of_members(head: str) -> Format | None:
    """Return the format of an object whose members are objects; single members may be something else."""
    first = _FIRST_KEY.match(head)
    if first is None:
        return None
    if '"negative_caption"' in head and '"filename"' in head and _MEMBER_OBJECT.search(head):
        return Format.SUGARCREPE
    return Format.JSON if first[2] == "{" else None


def _is_jsonl(path: Path, head: str) -> bool:
    line, _, rest = head.partition("\n")
    row = _parsed(line)
    if not isinstance(row, dict):
        return plain_name(path).suffix.lower() in {".jsonl", ".ndjson"}
    return rest.lstrip().startswith("{") or not _is_whole_file(row)


def _is_whole_file(row: dict[str, Any]) -> bool:
    """Return whether a file's only line is a whole COCO file or an object of objects instead of one row.

    Single members of an object of objects may be something else.
    """
    if all(isinstance(each, dict | list) for each in row.values()):
        return True
    if isinstance(row.get("images"), list) and isinstance(row.get("annotations"), list):
        return True
    images = row.get("images")
    if isinstance(images, list) and images and isinstance(images[0], dict) and images[0].keys() >= _SENTENCES:
        return True
    listed = row.get("questions") or row.get("annotations")
    if isinstance(listed, list) and listed and isinstance(listed[0], dict) and "question_id" in listed[0]:
        return True
    objects = [each for each in row.values() if isinstance(each, dict)]
    return len(objects) * 2 >= len(row) or any("caption" in each for each in objects)


def _parsed(line: str) -> Any:
    try:
        return parse_json(line, strict=False)
    except JsonError:
        return None


def _first_annotation(path: Path) -> set[str] | None:
    """Return the fields of the first annotation of a COCO file; empty: no annotation; None: not of COCO's shape."""
    with TextBlocks(path) as source:
        window = ""
        while block := source.read(_LIMIT):
            window = window[-64:] + block
            if match := _ANNOTATIONS.search(window):
                return _fields((window[match.end() :] + source.read(_LIMIT)).lstrip())
    return None


def _fields(text: str) -> set[str]:
    """Return the member names of the object at the start of `text`, which may be malformed or truncated."""
    if text.startswith("]"):
        return set()
    try:
        item, _ = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return set(re.findall(r'"(\w+)"\s*:', text[:_LIMIT]))
    return set(item) if isinstance(item, dict) else {type(item).__name__}


def _table_format(path: Path, head: str) -> Format | None:
    suffix = plain_name(path).suffix.lower()
    if suffix in {".jsonl", ".ndjson"}:
        return Format.JSONL
    if suffix not in _TABLES and (suffix not in {"", ".txt"} or "\0" in head):
        return None
    layout = layout_in(head, usual=usual_delimiter(path))
    columns = [name.strip() for name in layout.sample[0]] if layout.sample else []
    if len(columns) < 2 and suffix not in _TABLES:
        return None
    if is_retrieval(columns) or is_plain_retrieval(layout.sample):
        return Format.NEGBENCH_RETRIEVAL
    if is_choice(columns):
        return Format.NEGBENCH_MCQ
    return Format.TSV if layout.delimiter == "\t" else Format.CSV


def usual_delimiter(path: Path, form: Format | None = None) -> str:
    """Return the delimiter that the format or the file name suggests."""
    tabs = form is Format.TSV or (form is None and plain_name(path).suffix.lower() in {".tsv", ".tab"})
    return "\t" if tabs else ","
