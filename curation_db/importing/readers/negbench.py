"""Reader of NegBench CSV files, whose texts were written by a language model.

Retrieval: every text in `captions` becomes a candidate, negated or not; `negative_objects` lists the objects that it
may negate. Multiple choice: the correct option becomes a candidate; the wrong options and all other cells are stored
with it. Lists in cells are parsed as lists of strings only. Rows that have an image id but no image name are read in a
second pass.
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
"""Most characters of a list in a cell."""
MOST_TEXTS: Final = 1_000
"""Most texts in a cell."""
_MOST_OBJECTS: Final = 100
"""Most objects that a row may negate; the published files name a handful."""
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
    """Return whether these are the columns of a NegBench retrieval table."""
    names = set(columns)
    return "captions" in names and {"positive_objects", "negative_objects", "negative_concept"} & names != set()


def is_plain_retrieval(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether a table is a NegBench retrieval table with two columns, image path and captions.

    Files with human captions have the same columns, so most rows must have a negation cue.

    Args:
        rows: The table's first rows, including the header.
    """
    names = [name.strip() for name in rows[0]] if rows else []
    columns = {name for name in names if name not in _IDS and not _INDEX.fullmatch(name)}
    if columns not in ({"filepath", "captions"}, {"image_path", "captions"}):
        return False
    place = names.index("captions")
    cells = [row[place].strip() for row in rows[1:] if len(row) == len(names)]
    listed = [cell for cell in cells if cell.startswith("[")]
    return 2 * sum(map(has_cue, listed)) > len(cells)


def is_choice(columns: Iterable[str]) -> bool:
    """Return whether these are the columns of a NegBench multiple-choice table, with two or more options."""
    return {"correct_answer", "caption_0", "caption_1"} <= set(columns)


def usual_source(path: Path, layout: ColumnLayout) -> str | None:
    """Return "coco" if the path and the name of an image are COCO's, else None.

    The name alone does not decide: VOC and other data sets number their images too.

    Raises:
        InputError: No column holds an image.
    """
    rows = [row for row in islice(read_csv(path, layout), _LOOK) if isinstance(row, TableRow)]
    if rows and not any(name in rows[0].cells for name in (*_PATHS, *_IDS)):
        raise InputError(f"{path.name} has no column filepath, image_path or image_id")
    paths = (str(row.cells.get(name, "")) for row in rows for name in _PATHS)
    return "coco" if any(_coco_name(image_path) for image_path in paths) else None


def _coco_name(path: str) -> str | None:
    """Return the base name of an image path that is COCO's, as in COCO's files; None: it is not."""
    name = PurePosixPath(path.strip().replace("\\", "/")).name
    return name if _COCO.search(path) and coco_id(name) else None


def read_retrieval(path: Path, layout: ColumnLayout, naming: Naming) -> Iterator[RowBatch]:
    """Yield the images and candidates of a retrieval file."""
    return _read(path, layout, naming, _captions)


def read_choices(path: Path, layout: ColumnLayout, naming: Naming) -> Iterator[RowBatch]:
    """Yield the images and candidates of a multiple-choice file."""
    return _read(path, layout, naming, _choice)


def _read(path: Path, layout: ColumnLayout, naming: Naming, texts: Texts) -> Iterator[RowBatch]:
    batch, second_pass = RowBatch(), False
    for row in read_csv(path, layout):
        if isinstance(row, Reject):
            batch.rejects.append(row)
            continue
        batch.done = row.done
        if _lacks_name(row):
            second_pass = True
            continue
        _add(row, naming, texts, batch)
        if _is_full(batch):
            yield batch
            batch = RowBatch(done=batch.done)
    yield batch
    if second_pass:
        yield from _read_rows_without_name(path, layout, naming, texts, batch.done)


def _read_rows_without_name(
    path: Path, layout: ColumnLayout, naming: Naming, texts: Texts, done: int
) -> Iterator[RowBatch]:
    """Yield the rows without an image name, in a second pass."""
    batch = RowBatch(done=done)
    for row in read_csv(path, layout):
        if isinstance(row, TableRow) and _lacks_name(row):
            _add(row, naming, texts, batch)
        if _is_full(batch):
            yield batch
            batch = RowBatch(done=done)
    yield batch


def _lacks_name(row: TableRow) -> bool:
    """Return whether the row has an image id but no image name, which other rows may have."""
    return _number(row) != "" and any(name in row.cells for name in _PATHS) and _stated(row) is None


def _is_full(batch: RowBatch) -> bool:
    return len(batch.candidates) + len(batch.rejects) >= _BATCH


def _add(row: TableRow, naming: Naming, texts: Texts, batch: RowBatch) -> None:
    try:
        image = _image(row, naming)
        texts(row, image.key, batch)
    except RefusedRow as why:
        batch.rejects.append(reject(row.at, why))
        if number := _number(row):  # rows with this id and no name may mean another image
            batch.refused.add(number)
    else:
        batch.images.append(image)


def _stated(row: TableRow) -> str | None:
    return next((row.cells[name] for name in _PATHS if not is_empty(row.cells.get(name))), None)


def _number(row: TableRow) -> str:
    cell = row.cells.get("image_id")
    return "" if is_empty(cell) else str(cell).strip().removesuffix(".0")  # pandas writes 17.0 if an id is missing


def _image(row: TableRow, naming: Naming) -> ImageRow:
    stated, number = _stated(row), _number(row)
    if stated is None and not number:
        raise RefusedRow(RejectReason.NO_PICTURE, "the row names no image")
    if stated is None:
        return ImageRow(key_of(number), None, None, None, None, row.at)
    name = naming.name((_coco_name(stated) if naming.source == "coco" else None) or stated)
    key = naming.key(name)
    if number and key != key_of(number):
        if naming.source == "coco" and key.isdecimal():
            raise RefusedRow(
                RejectReason.BAD_VALUE, f"column image_id: {number[:40]} is not the id of the image {name.file_name}"
            )
        key = key_of(number)
    return ImageRow(key, name.file_name, None, None, None, row.at, None, name.url, name.unstripped)


# -- retrieval


def _captions(row: TableRow, image: str, batch: RowBatch) -> None:
    """Add every caption of the row, with the object that it negates if it mentions exactly one."""
    if "captions" not in row.cells:
        raise RefusedRow(RejectReason.NO_FIELD, "no column 'captions'")
    lists = {name: _listed(row, name) for name in _LISTS if name in row.cells}
    negated = lists.get("negative_objects") or _negative_concept(row)
    captions = _listed(row, "captions")
    if not captions:
        raise RefusedRow(RejectReason.EMPTY_TEXT, "column captions: the row holds no text")
    extra = _extra(row, lists, {"captions"})
    for text in captions:
        batch.candidates.append(CandidateRow(None, image, None, text, _negated_object(text, negated), extra, row.at))


def _negated_object(text: str, objects: Iterable[str]) -> str | None:
    """Return the only one of `objects` that the text mentions; None: none, or several."""
    unique = [each for each in dict.fromkeys(objects) if each.strip()]
    if len(unique) > _MOST_OBJECTS or len(text) > TEXT_LIMIT:
        return None
    mentioned = [each for each in unique if mentions_in_any_form(text, each)]
    return mentioned[0] if len(mentioned) == 1 else None


# -- multiple choice


def _choice(row: TableRow, image: str, batch: RowBatch) -> None:
    """Add the correct option, with the wrong options stored as JSON."""
    options = {int(match[1]): row.cells[name] for name in row.cells if (match := _OPTION.fullmatch(name))}
    right = _right(row, options)
    template = str(row.cells.get("correct_answer_template") or "").strip().casefold()
    wrong = [options[place] for place in sorted(options) if place != right and not is_empty(options[place])]
    stored = {"wrong": wrong, **({"template": template} if template else {})}
    lists = {name: _listed(row, name) for name in _LISTS if name in row.cells}
    extra = _extra(row, {**lists, **stored}, {"correct_answer", "correct_answer_template"})
    text = options[right]
    negated = lists.get("negative_objects") or _negative_concept(row)
    concept = None if template == "positive" else _negated_object(text, negated)
    candidate = CandidateRow(None, image, None, text, concept, extra, row.at, negation_type=_TYPES.get(template))
    batch.candidates.append(candidate)


def _right(row: TableRow, options: Mapping[int, str]) -> int:
    cell = str(row.cells.get("correct_answer") or "").strip()
    if re.fullmatch(r"\d{1,3}(?:\.0)?", cell) is None:
        raise RefusedRow(RejectReason.BAD_VALUE, f"column correct_answer: {cell[:40]!r} is not an option number")
    if (number := int(cell.removesuffix(".0"))) not in options:
        raise RefusedRow(
            RejectReason.BAD_VALUE, f"column correct_answer: {number} is not one of the {len(options)} options"
        )
    if is_empty(options[number]):
        raise RefusedRow(RejectReason.EMPTY_TEXT, f"column caption_{number}: the correct option is empty")
    return number


# -- cells


def _negative_concept(row: TableRow) -> list[str]:
    cell = row.cells.get("negative_concept")
    return [] if is_empty(cell) else [str(cell).strip()]


def _listed(row: TableRow, name: str) -> list[str]:
    """Return the texts in a cell: a Python list literal, or a single text.

    Raises:
        RefusedRow: The cell begins like a list and is not a list of texts.
    """
    cell = str(row.cells[name]).strip()
    if not cell.startswith("["):
        return [] if is_empty(cell) else [cell]
    listed = literal_texts(cell)
    if listed is None:
        raise RefusedRow(RejectReason.BAD_VALUE, f"column {name}: not a list of texts")
    if len(listed) > MOST_TEXTS:
        raise RefusedRow(RejectReason.BAD_VALUE, f"column {name}: {len(listed):,} texts; {MOST_TEXTS:,} at most")
    return listed


def literal_texts(cell: str) -> list[str] | None:
    """Return the texts of a Python list literal; None: it is not a list of strings, or is longer than `LIST_LIMIT`.

    A pattern checks that the list is flat and holds only strings before it is parsed, so no deep nesting is parsed.
    """
    if len(cell) > LIST_LIMIT or _LIST.fullmatch(cell) is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return list(ast.literal_eval(cell))
    except (ValueError, SyntaxError, MemoryError):  # \N{no such name}, \xZ
        return None


def _extra(row: TableRow, parsed: Mapping[str, Any], used: Iterable[str]) -> str | None:
    """Return the other cells of the row and the `parsed` ones, as JSON; None: there are none."""
    skipped = {*used, *_PATHS, *_IDS}
    rest = {
        name: cell
        for name, cell in row.cells.items()
        if name not in skipped and cell and not _INDEX.fullmatch(name) and not _OPTION.fullmatch(name)
    }
    return json.dumps({**rest, **parsed}, separators=(",", ":")) if rest or parsed else None
