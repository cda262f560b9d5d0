"""Maps table columns to fields: as stated with `--map`, else by usual column names. Parses cells with several texts.

A cell may hold a JSON list, or the text of a JSON or Python list; the text is parsed as a literal, never evaluated.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from curation_db.foreign_json import JsonError, parse_json
from curation_db.importing.rows import InputError

FIELDS: Final = ("image", "image_id", "caption", "candidate", "concept", "id", "gold")
"""Fields of `--map`."""

# fmt: off
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "image": (
        "image", "image_path", "image_file", "image_name", "image_filename", "img", "img_path", "filepath", "file_path",
        "file_name", "filename", "file", "path", "picture",
    ),
    "image_id": ("image_id", "imageid", "img_id", "picture_id"),
    "caption": (
        "caption", "captions", "correct_caption", "original_caption", "true_caption", "text", "sentence",
        "title",
    ),
    "candidate": (
        "updated_caption", "candidate", "candidates", "negated_caption", "negated_captions", "negative_caption",
        "negative_captions", "hard_negative", "hard_negatives", "hard_negative_caption", "hard_negative_captions",
        "negated", "negative", "negatives", "foil",
    ),
    "concept": ("concept", "negated_concept", "negative_concept", "absent_object", "negated_object"),
    "id": ("id", "idx", "uid", "annotation_id", "ann_id", "caption_id"),
    "gold": ("gold_answer", "known_answer"),
}
# fmt: on
_USUAL: Final = frozenset(name for names in _NAMES.values() for name in names)
_EMPTY: Final = frozenset({"", "nan", "null", "none", "n/a", "na", "<na>", "#n/a"})
"""Texts that programs write into a cell without a value."""
_LONGEST_EMPTY: Final = 16
_LIST_LIMIT = 400_000


def is_usual(name: str) -> bool:
    """Return whether a column name (in lower case) is a usual name of a field."""
    return name in _USUAL


def usual_names(name: str) -> tuple[str, ...]:
    """Return the usual column names of a field."""
    return _NAMES[name]


def is_empty(cell: object) -> bool:
    """Return whether a cell has no value: it is blank, or holds only a text such as "nan" or "n/a"."""
    if isinstance(cell, str):
        return (len(cell) < _LONGEST_EMPTY or cell.isspace()) and cell.strip().casefold() in _EMPTY
    return cell is None or cell != cell  # noqa: PLR0124 (true for NaN only)


def parse_mapping(pairs: Iterable[str]) -> dict[str, str]:
    """Return the mapping of field to column from arguments of the form `FIELD=COLUMN`.

    Raises:
        InputError: An argument has another form, an unknown field, or a repeated field.
    """
    mapping: dict[str, str] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not equals or name not in FIELDS or not column:
            raise InputError(f"cannot map {pair!r}", hint=f"FIELD=COLUMN, where FIELD is one of {', '.join(FIELDS)}")
        if name in mapping:
            raise InputError(f"{name!r} is mapped twice")
        mapping[name] = column
    return mapping


def match_columns(columns: Sequence[str], mapping: Mapping[str, str], *, numbered: bool = False) -> dict[str, str]:
    """Return field to column: as stated, else by usual names.

    Args:
        mapping: Stated columns by field.
        numbered: Whether a column may be stated by its number, from 1.

    Raises:
        InputError: A stated column does not exist, or no column holds an image or a text.
    """
    known = choose_columns(columns, resolve_stated(columns, mapping, numbered=numbered))
    _check(known, columns)
    return known


def resolve_stated(columns: Sequence[str], mapping: Mapping[str, str], *, numbered: bool = False) -> dict[str, str]:
    """Return the stated columns by their names in the table, ignoring case and surrounding blanks.

    Raises:
        InputError: A stated column does not exist.
    """
    lowered = {column.strip().casefold(): column for column in reversed(columns)}
    known = {}
    for name, wanted in mapping.items():
        column = wanted if wanted in columns else lowered.get(wanted.strip().casefold())
        if column is None and numbered and wanted.isdecimal() and 0 < int(wanted[:9]) <= len(columns):
            column = columns[int(wanted[:9]) - 1]
        if column is None:
            raise InputError(f"no column {wanted!r} for {name}", hint=_listed(columns))
        known[name] = column
    return known


def choose_columns(columns: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """Return field to column: those of `known`, and for other fields the column with the first usual name."""
    chosen, taken = dict(known), set(known.values())
    lowered = {column.strip().casefold(): column for column in reversed(columns)}
    for name, usual in _NAMES.items():
        free = (lowered[each] for each in usual if each in lowered and lowered[each] not in taken)
        if name not in known and (column := next(free, None)) is not None:
            chosen[name] = column
            taken.add(column)
    return chosen


def unused_columns(columns: Iterable[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the columns with a usual name that are not used, each with its field, which another column fills."""
    taken = set(chosen.values())
    named = {each: name for name, usual in _NAMES.items() for each in usual}
    free = {column: named.get(column.strip().casefold(), "") for column in columns if column not in taken}
    return {column: name for column, name in free.items() if name}


def _listed(columns: Sequence[str]) -> str:
    return f"columns: {', '.join(columns)[:300]}"


def _check(known: Mapping[str, str], columns: Sequence[str]) -> None:
    listed = _listed(columns)
    if "image" not in known and "image_id" not in known:
        raise InputError("no column holds an image name or id", hint=f"name it: --map image=COLUMN; {listed}")
    if "caption" not in known and "candidate" not in known:
        hint = f"name it: --map caption=COLUMN or --map candidate=COLUMN; {listed}"
        raise InputError("no column holds a text", hint=hint)


def texts_in_cell(cell: object) -> list[Any]:
    """Return the texts in a cell: the items of a list, else the cell itself; empty for an empty cell."""
    if is_empty(cell):
        return []
    if isinstance(cell, str) and (inner := cell.strip()).startswith("[") and inner.endswith("]"):
        cell = _parsed(inner)
    return list(cell) if isinstance(cell, list) else [cell]


def _parsed(cell: str) -> object:
    """Return the list in a cell's text, or the text if it is not a list: "[a dog]" may be a caption."""
    if len(cell) > _LIST_LIMIT:
        return cell
    try:
        return _texts_only(parse_json(cell, strict=False), cell)
    except JsonError:
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return _texts_only(ast.literal_eval(cell), cell)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return cell


def _texts_only(listed: object, cell: str) -> object:
    whole = isinstance(listed, list) and all(isinstance(each, str) for each in listed)
    return listed if whole else cell
