"""Which format a file is in, by what stands in it; its name only breaks ties.

Only the beginning is parsed, but for COCO's shape, where the first annotation is searched for at the speed of
`str.find`.
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
_TELLING = (
    ("multiple_choice_answer", Format.VQA),
    ("updated_caption", Format.NEGATIONCLIP),
    ("category_id", Format.INSTANCES),
    ("caption", Format.COCO),
)
_SENTENCES = {"filename", "sentences"}
_LIMIT = 1 << 20
_TABLES = frozenset({".csv", ".tsv", ".tab"})


def detect(path: Path) -> Format:
    """The format of the file or folder at `path`.

    Raises:
        InputError: none that we know.
        OSError: it cannot be read.
    """
    if path.is_dir():
        return Format.FOLDER
    check_content(path)
    with TextBlocks(path) as source:
        head = source.read(_HEAD)
        cut = source.damage
    start = head.lstrip()
    if cut and not start.strip("\udcff"):  # nothing but the mark of what could not be decompressed
        raise InputError(f"{path.name}: {cut}")
    if not start:
        raise InputError(f"{path.name} is empty")
    if start.startswith("["):
        check_row(path, _fields(start[1:].lstrip()), lines=False)
        return Format.JSON
    if is_flickr(start):
        return Format.FLICKR
    found = _of_object(path, start) if start.startswith("{") else _of_table(path, start)
    if found is None:
        listed = ", ".join(Format)
        raise InputError(f"{path.name} is in no format that we know", hint=f"say which with --format: {listed}")
    return found


def _of_object(path: Path, head: str) -> Format | None:
    """The format of a file that begins with a brace."""
    if _is_jsonl(path, head):
        check_row(path, _fields(head), lines=True)
        return Format.NEGWB if is_exported(_parsed(head.partition("\n")[0]) or ()) else Format.JSONL
    if _has_questions(head):
        return Format.VQA
    if _first_image(head) >= _SENTENCES:
        return Format.KARPATHY
    fields = _first_annotation(path)
    if fields is not None:
        # none but the ids: there is no annotation, or the file stops in the first one
        found = Format.COCO if fields <= {"id", "image_id"} else None
        return next((known for name, known in _TELLING if name in fields), found)
    # of a file of COCO's that was cut off there may be no more than the images
    return Format.COCO if _first_image(head) >= {"id", "file_name"} else _of_members(head)


def _first_image(head: str) -> set[str]:
    """The fields of the first entry of `images`; none: there is none in what was read."""
    found = _IMAGES.search(head)
    return set() if found is None else _fields(head[found.end() :])


def _has_questions(head: str) -> bool:
    found = _QUESTIONS.search(head)
    return found is not None and _fields(head[found.end() :]) >= {"question_id", "question"}


def _of_members(head: str) -> Format | None:
    """The format of an object of objects, of which single ones may be none."""
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
    """Whether a file's only line is no row but a file of COCO's, or an object of objects; some may be none."""
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
    """The fields of a COCO file's first annotation (none: there is none); None: the file is not of this shape."""
    with TextBlocks(path) as source:
        window = ""
        while block := source.read(_LIMIT):
            window = window[-64:] + block
            if found := _ANNOTATIONS.search(window):
                return _fields((window[found.end() :] + source.read(_LIMIT)).lstrip())
    return None


def _fields(text: str) -> set[str]:
    """The names in the object that `text` begins with, which may be broken or cut off."""
    if text.startswith("]"):
        return set()
    try:
        item, _ = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return set(re.findall(r'"(\w+)"\s*:', text[:_LIMIT]))
    return set(item) if isinstance(item, dict) else {type(item).__name__}


def _of_table(path: Path, head: str) -> Format | None:
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
    """What stands between the cells by the format or the file's name."""
    tabs = form is Format.TSV or (form is None and plain_name(path).suffix.lower() in {".tsv", ".tab"})
    return "\t" if tabs else ","
