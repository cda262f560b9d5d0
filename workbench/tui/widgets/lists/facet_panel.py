"""Panel beside the list: the values of one field with their counts in the view; enter adds a value to the view."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from curation_db.language.sanitize import display_text
from curation_db.search.facets import FACETS, Facet
from curation_db.search.query_language import QueryField, Term, View
from workbench.tui.rendering.card_content import GOOD, MARK, QUIET, plain
from workbench.tui.widgets.lists.grid import Column
from workbench.tui.widgets.lists.static_table import StaticTable

_WIDTH = 40
_NAMES = {
    QueryField.STATE: "state",
    QueryField.IS: "conflict, flag",
    QueryField.LINT: "checks that warn",
    QueryField.JUDGE: "verdicts",
    QueryField.BY: "decided by",
    QueryField.REASON: "rejected because",
    QueryField.CONCEPT: "concept",
    QueryField.CUE: "cue",
    QueryField.POSITION: "cue's position",
    QueryField.TYPE: "negation type",
    QueryField.PIPELINE: "pipeline",
    QueryField.SOURCE: "source",
    QueryField.STREAM: "stream",
}


class FacetPanel(Vertical):
    """Call `wait` while counting, then `show`."""

    DEFAULT_CSS = """
    FacetPanel { width: 38; border: round $border; border-title-color: $text-accent; border-title-style: bold;
                 border-subtitle-color: $text-muted; padding: 0 1; display: none; }
    FacetPanel StaticTable { height: 1fr; background: $background; }
    FacetPanel:focus-within { border: round $primary; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.field = FACETS[0]
        self._facets: Sequence[Facet] = ()
        self._view = View()

    def compose(self) -> ComposeResult:
        yield Static(id="facet-of", markup=False)
        yield StaticTable(id="facets", gap=1)

    @property
    def table(self) -> StaticTable:
        return self.query_one(StaticTable)

    @property
    def term(self) -> Term | None:
        """The value under the cursor, as a term of a query."""
        if not self._facets:
            return None
        return Term(self.field, (self._facets[self.table.cursor].value,))

    def turn(self, by: int) -> None:
        """Switch to the next field, or the previous one."""
        self.field = FACETS[(FACETS.index(self.field) + by) % len(FACETS)]
        self.wait()

    def wait(self) -> None:
        """Show that the values are being counted."""
        self._facets = ()
        self.border_title = Content(_NAMES[self.field])
        self.border_subtitle = Content(f"← {FACETS.index(self.field) + 1}/{len(FACETS)} →")
        self.table.fill((), (), lambda at: (), empty="counting …")

    def show(self, facets: Sequence[Facet], view: View) -> None:
        """Show the counts, and which values the view already contains."""
        self._facets, self._view = facets, view
        self.table.fill(
            (Column("value"), Column("", 9, right=True)),
            [str(n) for n in range(len(facets))],
            self._cells,
            empty="none in this view",
        )

    def _cells(self, at: int) -> Sequence[Content]:
        facet = self._facets[at]
        suffix = f" {facet.value.meaning}" if facet.value.meaning else ""
        name = display_text(facet.value.name, limit=_WIDTH).replace("_", " ")
        term = Term(self.field, (facet.value,))
        mark = ("✓ ", GOOD) if term in self._view.terms else ""
        return [
            Content.assemble(mark, plain(name), (suffix, MARK)),
            Content.styled(f"{facet.count:,}", QUIET),
        ]
