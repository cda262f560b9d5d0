"""What Browse reads from the record (in threads), and the state that outlives its screen."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from curation_db.errors import RecordError
from curation_db.language.sanitize import display_text
from curation_db.search import fulltext, search
from curation_db.search.facets import FACETS, Facet, facets, unknown_name
from curation_db.search.queries import SETTLED
from curation_db.search.query_language import INDEXED_TEXT, LOOKS, QueryField, View
from curation_db.search.rows import ListedCandidate, page_of
from curation_db.storage.store import Store
from workbench.annotation.models import ImageLoader
from workbench.tui.widgets.lists.record_table import PAGE
from workbench.tui.widgets.lists.row_selection import TableSelection
from workbench.workspace.image_signatures import refresh_record

NAMED = (QueryField.JUDGE, QueryField.BY, QueryField.CUE, QueryField.CONCEPT, QueryField.PIPELINE, QueryField.SOURCE)
"""Fields whose values only the record knows, for completion."""


@dataclass
class BrowseMemory:
    """State of Browse that outlives the screen."""

    view: View = field(default_factory=View)
    at: int | None = None
    """The candidate under the cursor."""
    selection: TableSelection = field(default_factory=TableSelection)
    facets: bool = False
    """Whether the facet panel is open."""
    facet: QueryField = FACETS[0]
    image: bool | None = None
    """Whether the image of the row is shown; None: where the screen is wide enough."""


@dataclass(frozen=True, slots=True)
class ListBlock:
    """The next ids of a view, and the rows that the screen shows first."""

    ids: array[int]
    rows: Sequence[ListedCandidate] = ()
    rows_at: int = 0
    """The index in the list of the first row."""


def blocks_of(store: Store, view: View, at: int | None = None, *, blind: bool = False) -> Iterator[ListBlock]:
    """Yield the ids of the view as they are found, with the rows of the first page or of those around `at`.

    Text queries update the index first.
    """
    if any(view.filters_by(name) for name in INDEXED_TEXT):
        _index(store)
    with store.read() as connection:
        start = 0
        for ids in search.ids_of(connection, view):
            first = ids.index(at) - PAGE if at is not None and at in ids else None
            if first is None and start > 0:
                yield ListBlock(ids)
            else:
                begin = max(0, first or 0)
                rows = page_of(connection, ids[begin : begin + (PAGE if first is None else 2 * PAGE)], view)
                yield ListBlock(ids, _as_shown(rows, blind=blind), start + begin)
            start += len(ids)


def compare_images(store: Store, view: View, pictures: ImageLoader, progress: Callable[[int, int], None]) -> None:
    """Compute the signatures of new images, if the view needs them. An exception from `progress` ends the pass."""
    if any(view.filters_by(name) for name in LOOKS):
        with contextlib.suppress(RecordError):  # the cache folder is read-only: what was compared before counts
            refresh_record(store, pictures.locate_name, lambda _, done, of: progress(done, of), only_new=True)


def _index(store: Store) -> None:
    with store.read() as connection:
        if not fulltext.behind(connection):
            return
    with contextlib.suppress(RecordError):  # the record is busy or read-only: search what is indexed
        fulltext.refresh(store)


def no_result_reason(store: Store, view: View) -> str:
    """Return why the view is empty."""
    if not view.terms:
        return "there is no candidate yet"
    with store.read() as connection:
        return unknown_name(connection, view) or f"nothing is {display_text(str(view), limit=200)}"


def rows_of(store: Store, memory: BrowseMemory, ids: Sequence[int], *, blind: bool = False) -> list[ListedCandidate]:
    """Return the rows of the view that is listed now."""
    with store.read() as connection:
        return _as_shown(page_of(connection, ids, memory.view), blind=blind)


def _as_shown(rows: list[ListedCandidate], *, blind: bool) -> list[ListedCandidate]:
    """Hide the verdicts about open candidates in a blind session."""
    return [_hidden(row) if blind and row.state not in SETTLED else row for row in rows]


def _hidden(row: ListedCandidate) -> ListedCandidate:
    return replace(row, hidden=True, verdicts=(), conflict=False, margin=None)


def facet_values(store: Store, name: QueryField, ids: Sequence[int] | None) -> list[Facet]:
    """Return the values of a field with their counts among `ids`, or in the whole record."""
    with store.read() as connection:
        return facets(connection, name, ids)


def names_of(store: Store, name: QueryField) -> list[str]:
    """Return the values that can be typed; none while the record is busy, because completion is optional."""
    try:
        return list(dict.fromkeys(facet.value.name for facet in facet_values(store, name, None)))
    except RecordError:
        return []
