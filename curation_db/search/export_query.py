"""A query of the candidate list as the selection of an export.

The query is answered by the record of now, because the indexes of the search know no earlier record. In the manifest
of an export annotators have pseudonyms, so a query has them instead of names from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from curation_db.exporting.pseudonyms import names_of, pseudonyms_of
from curation_db.search.query_language import QueryField, Term, Value, View, parse_view
from curation_db.search.search import ids_of

FIXED: Final = frozenset(
    {
        QueryField.CUE,
        QueryField.POSITION,
        QueryField.TYPE,
        QueryField.CONCEPT,
        QueryField.PIPELINE,
        QueryField.SOURCE,
        QueryField.TEXT,
        QueryField.CAPTION,
    }
)
"""Fields that a candidate has from its import on, so that the record of now answers for any event."""


@dataclass(frozen=True, slots=True)
class ViewQuery:
    """An `exporting.selection.ExportQuery`."""

    view: View
    """Without an order; the annotators of `by:` terms have pseudonyms."""

    @property
    def text(self) -> str:
        return str(self.view)

    @property
    def is_fixed(self) -> bool:
        """Whether later decisions, verdicts and imports do not change the answer for a candidate."""
        return all(term.field in FIXED for term in self.view.terms)

    def ids(self, connection: Connection) -> Set[int]:
        """Return the ids of the candidates that match."""
        named = _with_annotators(self.view, lambda name: names_of(connection, [name])[0])
        return {number for block in ids_of(connection, named) for number in block}


def parse_query(line: str) -> ViewQuery:
    """Return the query of a manifest.

    Raises:
        ViewError: it cannot be parsed.
    """
    return ViewQuery(View(parse_view(line).terms))


def query_of(connection: Connection, view: View) -> ViewQuery:
    """Return the query with the terms of `view`, and pseudonyms of its annotators.

    Raises:
        RecordError: the record has no secret for pseudonyms.
    """
    hidden = _with_annotators(view, lambda name: next(iter(pseudonyms_of(connection, name)), name))
    return ViewQuery(View(hidden.terms))


def _with_annotators(view: View, rename: Callable[[str], str]) -> View:
    terms = [_renamed(term, rename) if term.field is QueryField.BY else term for term in view.terms]
    return replace(view, terms=tuple(terms))


def _renamed(term: Term, rename: Callable[[str], str]) -> Term:
    return replace(term, values=tuple(Value(rename(value.name), value.meaning) for value in term.values))
