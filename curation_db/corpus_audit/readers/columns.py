"""Chooses the column with the captions, and the one with the image, by the usual names or as stated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from curation_db.importing.rows import InputError, RefusedRow, RejectReason
from curation_db.importing.tables.columns import texts_in_cell, usual_names
from curation_db.language.sanitize import display_text

_CAPTION: Final = (*usual_names("caption"), "alt_text", "alt", "raw", *usual_names("candidate"))
_IMAGE: Final = (*usual_names("image"), "url", "image_url", "key", *usual_names("image_id"))
"""Names as in COCO, LAION (TEXT, URL) and img2dataset (caption, url, key), in lower case."""


class ColumnChoice:
    """The columns of rows whose names may differ from row to row."""

    def __init__(self, stated: str | None) -> None:
        self._stated = stated
        self._known: dict[tuple[str, ...], tuple[str | None, str | None]] = {}

    def of(self, names: Iterable[str]) -> tuple[str | None, str | None]:
        """Return the columns with the caption and with the image; None: there is none."""
        key = tuple(names)
        chosen = self._known.get(key)
        if chosen is None:
            if len(self._known) > 1_000:  # rows of hostile names
                self._known.clear()
            chosen = self._known[key] = (self._caption(key), _first(key, _IMAGE))
        return chosen

    def _caption(self, names: Sequence[str]) -> str | None:
        if self._stated is None:
            return _first(names, _CAPTION)
        return self._stated if self._stated in names else _first(names, (self._stated.strip().casefold(),))

    def required(self, names: Sequence[str]) -> tuple[str, str | None]:
        """Return the columns of a table.

        Raises:
            InputError: There is no column with captions.
        """
        caption, image = self.of(names)
        if caption is None:
            wanted = "no column holds captions" if self._stated is None else f"no column {self._stated!r}"
            listed = display_text(", ".join(names), limit=300)
            raise InputError(wanted, hint=f"name it: --column NAME; columns: {listed}")
        return caption, image

    def cells(self, row: Mapping[str, Any]) -> tuple[list[Any], str | None]:
        """Return the captions of a row, and its image.

        Raises:
            RefusedRow: The row has no column with captions.
        """
        caption, image = self.of(row)
        if caption is None:
            wanted = "no field holds a caption" if self._stated is None else f"no field {self._stated!r}"
            raise RefusedRow(RejectReason.NO_FIELD, wanted)
        return texts_of(row[caption]), image_name(row[image] if image else None)


def texts_of(cell: object) -> list[Any]:
    """Return the captions in a cell: the items of a list, else the cell itself; none for an empty cell."""
    if isinstance(cell, str) and cell[:1] != "[":
        return [cell]
    return texts_in_cell(cell) or [""]


def image_name(cell: object) -> str | None:
    """Return the name, address or ID of an image, or None."""
    return str(cell) if isinstance(cell, str | int) and not isinstance(cell, bool) and cell != "" else None


def _first(names: Sequence[str], usual: Iterable[str]) -> str | None:
    lowered = {name.strip().casefold(): name for name in reversed(names)}
    return next((lowered[name] for name in usual if name in lowered), None)
