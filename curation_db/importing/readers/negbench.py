"""NegBench's CSV files, as candidates to review: what a language model wrote about each picture.

Retrieval: every text in `captions` is one, whether or not it denies anything; `negative_objects` says what it may
deny. Multiple choice: the option that is right is one; the others are wrong on purpose and are kept beside it, as is
everything else in the row. Lists in cells are read as lists of texts and as nothing else. Rows that have only the id
of a picture that other rows name are read last.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final

from curation_db.enums import NegationType
from curation_db.importing.image_names import Naming
from curation_db.importing.rows import (
    TEXT_LIMIT,
    CandidateRow,
    ImageRow,
    InputError,
    RefusedRow,
    Reject,
    RejectReason,
    RowBatch,
    coco_id,
    key_of,
    reject,
)
from curation_db.importing.tables.columns import is_empty
from curation_db.importing.tables.layout import ColumnLayout
from curation_db.importing.tables.reader import TableRow, read_csv
from curation_db.language.negation_cues import has_cue
from curation_db.language.object_mentions import mentions_in_any_form

LIST_LIMIT: Final = 100_000
"""Characters of the longest list in a cell."""
MOST_TEXTS: Final = 1_000
"""Texts in a cell."""
_MOST_OBJECTS: Final = 100
"""That may be denied in a row; the published files name a handful."""
_BATCH: Final = 5_000
_LOOK: Final = 20
_PATHS: Final = ("filepath", "image_path")
_IDS: Final = ("image_id",)
_LISTS: Final[tuple[str, ...]] = ("positive_objects", "negative_objects", "all_captions")
_OPTION: Final = re.compile(r"caption_(\d)")
_INDEX: Final = re.compile(r"|Unnamed: \d+")
_COCO: Final = re.compile(r"(?i)coco|(?:train|val|test)20(?:14|15|17)")
_STRING: Final = r"""(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_LIST: Final = re.compile(rf"\[\s*(?:{_STRING}(?:\s*,\s*{_STRING})*\s*,?\s*)?\]", re.DOTALL)
_TYPES: Final = {"positive": NegationType.OTHER, "negative": NegationType.ABSENCE, "hybrid": NegationType.ABSENCE}

Texts = Callable[[TableRow, str, RowBatch], None]


def is_retrieval(columns: Iterable[str]) -> bool:
    """Whether a table with these columns is one of NegBench's for retrieval."""
    told = set(columns)
    return "captions" in told and {"positive_objects", "negative_objects", "negative_concept"} & told != set()


def is_plain_retrieval(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table is one of NegBench's for retrieval with two columns, the picture's path and its captions.

    Files of people's captions have the same columns, so most rows must deny something.

    Args:
        rows: the table's first rows, that of the names included.
    """
    names = [name.strip() for name in rows[0]] if rows else []
    told = {name for name in names if name not in _IDS and not _INDEX.fullmatch(name)}
    if told not in ({"filepath", "captions"}, {"image_path", "captions"}):
        return False
    place = names.index("captions")
    cells = [row[place].strip() for row in rows[1:] if len(row) == len(names)]
    listed = [cell for cell in cells if cell.startswith("[")]
    return 2 * sum(map(has_cue, listed)) > len(cells)


def is_choice(columns: Iterable[str]) -> bool:
    """Whether a table with these columns is one of NegBench's with several options, or with two."""
    return {"correct_answer", "caption_0", "caption_1"} <= set(columns)


def usual_source(path: Path, layout: ColumnLayout) -> str | None:
    """ "coco" where a picture's path and name say so: VOC's and others' are numbered too, and are others.

    Raises:
        InputError: the columns tell of no picture.
    """
    rows = [row for row in islice(read_csv(path, layout), _LOOK) if isinstance(row, TableRow)]
    if rows and not any(name in rows[0].cells for name in (*_PATHS, *_IDS)):
        raise InputError(f"{path.name} has no column filepath, image_path or image_id")
    paths = (str(row.cells.get(name, "")) for row in rows for name in _PATHS)
    return "coco" if any(_coco_name(told) for told in paths) else None


def _coco_name(path: str) -> str | None:
    """The bare name of a picture whose path says that it is COCO's, as in COCO's own files."""
    name = PurePosixPath(path.strip().replace("\\", "/")).name
    return name if _COCO.search(path) and coco_id(name) else None


def read_retrieval(path: Path, layout: ColumnLayout, naming: Naming) -> Iterator[RowBatch]:
    """The pictures and candidates of a retrieval file."""
    return _read(path, layout, naming, _captions)


def read_choices(path: Path, layout: ColumnLayout, naming: Naming) -> Iterator[RowBatch]:
    """The pictures and candidates of a file of multiple choice."""
    return _read(path, layout, naming, _choice)


def _read(path: Path, layout: ColumnLayout, naming: Naming, texts: Texts) -> Iterator[RowBatch]:
    batch, put_off = RowBatch(), False
    for row in read_csv(path, layout):
        if isinstance(row, Reject):
            batch.rejects.append(row)
            continue
        batch.done = row.done
        if _lacks_name(row):
            put_off = True
            continue
        _add(row, naming, texts, batch)
        if _is_full(batch):
            yield batch
            batch = RowBatch(done=batch.done)
    yield batch
    if put_off:
        yield from _put_off(path, layout, naming, texts, batch.done)


def _put_off(path: Path, layout: ColumnLayout, naming: Naming, texts: Texts, done: int) -> Iterator[RowBatch]:
    """The rows without a picture's name, from a second reading."""
    batch = RowBatch(done=done)
    for row in read_csv(path, layout):
        if isinstance(row, TableRow) and _lacks_name(row):
            _add(row, naming, texts, batch)
        if _is_full(batch):
            yield batch
            batch = RowBatch(done=done)
    yield batch


def _lacks_name(row: TableRow) -> bool:
    """Whether the row has only the id of a picture that other rows may name."""
    return _number(row) != "" and any(name in row.cells for name in _PATHS) and _stated(row) is None


def _is_full(batch: RowBatch) -> bool:
    return len(batch.candidates) + len(batch.rejects) >= _BATCH


def _add(row: TableRow, naming: Naming, texts: Texts, batch: RowBatch) -> None:
    try:
        image = _image(row, naming)
        texts(row, image.key, batch)
    except RefusedRow as why:
        batch.rejects.append(reject(row.at, why))
        if number := _number(row):  # rows without a name cannot tell whether this picture is meant
            batch.refused.add(number)
    else:
        batch.images.append(image)


def _stated(row: TableRow) -> str | None:
    return next((row.cells[name] for name in _PATHS if not is_empty(row.cells.get(name))), None)


def _number(row: TableRow) -> str:
    told = row.cells.get("image_id")
    return "" if is_empty(told) else str(told).strip().removesuffix(".0")  # as pandas writes ids after a gap


def _image(row: TableRow, naming: Naming) -> ImageRow:
    told, number = _stated(row), _number(row)
    if told is None and not number:
        raise RefusedRow(RejectReason.NO_PICTURE, "the row names no picture")
    if told is None:
        return ImageRow(key_of(number), None, None, None, None, row.at)
    name = naming.name((_coco_name(told) if naming.source == "coco" else None) or told)
    key = naming.key(name)
    if number and key != key_of(number):
        if naming.source == "coco" and key.isdecimal():
            raise RefusedRow(
                RejectReason.BAD_VALUE, f"column image_id: {number[:40]} is not the picture {name.file_name}"
            )
        key = key_of(number)
    return ImageRow(key, name.file_name, None, None, None, row.at, None, name.url, name.unstripped)


# -- retrieval


def _captions(row: TableRow, image: str, batch: RowBatch) -> None:
    """Every caption of the row, with the object that it denies, where it speaks of a single one."""
    if "captions" not in row.cells:
        raise RefusedRow(RejectReason.NO_FIELD, "no column 'captions'")
    lists = {name: _listed(row, name) for name in _LISTS if name in row.cells}
    denied = lists.get("negative_objects") or _words(row, "negative_concept")
    found = _listed(row, "captions")
    if not found:
        raise RefusedRow(RejectReason.EMPTY_TEXT, "column captions: the row holds no text")
    extra = _extra(row, lists, {"captions"})
    for text in found:
        batch.candidates.append(CandidateRow(None, image, None, text, _spoken_of(text, denied), extra, row.at))


def _spoken_of(text: str, objects: Iterable[str]) -> str | None:
    """The one of `objects` that the text speaks of; None: none, or several."""
    told = [each for each in dict.fromkeys(objects) if each.strip()]
    if len(told) > _MOST_OBJECTS or len(text) > TEXT_LIMIT:
        return None
    found = [each for each in told if mentions_in_any_form(text, each)]
    return found[0] if len(found) == 1 else None


# -- multiple choice


def _choice(row: TableRow, image: str, batch: RowBatch) -> None:
    """The right option, with the wrong ones beside it."""
    options = {int(found[1]): row.cells[name] for name in row.cells if (found := _OPTION.fullmatch(name))}
    right = _right(row, options)
    template = str(row.cells.get("correct_answer_template") or "").strip().casefold()
    wrong = [options[place] for place in sorted(options) if place != right and not is_empty(options[place])]
    told = {"wrong": wrong, **({"template": template} if template else {})}
    lists = {name: _listed(row, name) for name in _LISTS if name in row.cells}
    extra = _extra(row, {**lists, **told}, {"correct_answer", "correct_answer_template"})
    text = options[right]
    denied = lists.get("negative_objects") or _words(row, "negative_concept")
    concept = None if template == "positive" else _spoken_of(text, denied)
    candidate = CandidateRow(None, image, None, text, concept, extra, row.at, negation_type=_TYPES.get(template))
    batch.candidates.append(candidate)


def _right(row: TableRow, options: Mapping[int, str]) -> int:
    told = str(row.cells.get("correct_answer") or "").strip()
    if re.fullmatch(r"\d{1,3}(?:\.0)?", told) is None:
        raise RefusedRow(RejectReason.BAD_VALUE, f"column correct_answer: {told[:40]!r} is no number of an option")
    if (number := int(told.removesuffix(".0"))) not in options:
        raise RefusedRow(
            RejectReason.BAD_VALUE, f"column correct_answer: {number} is none of the {len(options)} options"
        )
    if is_empty(options[number]):
        raise RefusedRow(RejectReason.EMPTY_TEXT, f"column caption_{number}: the right option is empty")
    return number


# -- cells


def _words(row: TableRow, name: str) -> list[str]:
    told = row.cells.get(name)
    return [] if is_empty(told) else [str(told).strip()]


def _listed(row: TableRow, name: str) -> list[str]:
    """The texts in a cell: a list as Python writes it, or one text alone.

    Raises:
        RefusedRow: it begins like a list and is none of texts.
    """
    cell = str(row.cells[name]).strip()
    if not cell.startswith("["):
        return [] if is_empty(cell) else [cell]
    listed = literal_texts(cell)
    if listed is None:
        raise RefusedRow(RejectReason.BAD_VALUE, f"column {name}: no list of texts")
    if len(listed) > MOST_TEXTS:
        raise RefusedRow(RejectReason.BAD_VALUE, f"column {name}: {len(listed):,} texts; {MOST_TEXTS:,} at most")
    return listed


def literal_texts(cell: str) -> list[str] | None:
    """The list of texts that `cell` spells as Python does; None: it spells none, or is longer than `LIST_LIMIT`.

    Checked to be flat and of strings alone before it is parsed, so nothing in it is deep and nothing is evaluated.
    """
    if len(cell) > LIST_LIMIT or _LIST.fullmatch(cell) is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return list(ast.literal_eval(cell))
    except (ValueError, SyntaxError, MemoryError):  # \N{no such name}, \xZ
        return None


def _extra(row: TableRow, told: Mapping[str, Any], used: Iterable[str]) -> str | None:
    """What else the row says, as JSON."""
    passed = {*used, *_PATHS, *_IDS}
    rest = {
        name: cell
        for name, cell in row.cells.items()
        if name not in passed and cell and not _INDEX.fullmatch(name) and not _OPTION.fullmatch(name)
    }
    return json.dumps({**rest, **told}, separators=(",", ":")) if rest or told else None
