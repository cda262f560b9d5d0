"""`negwb browse`: search candidates, in a screen or as JSON lines."""

from __future__ import annotations

import contextlib
from array import array
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.commands.decide.curate import CurateOptions, run_curate
from workbench.commands.options import AnnotatorOption, ImagesOption, ReadonlyOption
from workbench.console.progress_bars import step_bars
from workbench.console.terminal_check import at_a_terminal
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from curation_db.search.query_language import View
    from curation_db.search.rows import ListedCandidate
    from curation_db.storage.store import Store
    from workbench.workspace.layout import Workspace

_PAGE = 200
_EPILOG = """\b
Examples:
  negwb browse                                       open the browse screen (key b in negwb curate)
  negwb browse 'state:accepted cue:no "red hat"'     accepted candidates with cue "no" and this phrase
  negwb browse 'is:conflict -judge:llava=present sort:conflict'
  negwb browse 'by:ana reason:present' --json        rejected by ana as present, one JSON object per line
  negwb browse 'state:accepted margin:<0 sort:mistaken'   accepted pairs that a model doubts (negwb mistaken RUN)
  negwb browse 'lint:in-sibling,in-objects' --json --limit 20
  negwb browse 'like:1204 state:open'                the open candidates most similar to candidate 1204, best first
  negwb browse 'family:1204' --json                  the same sentence, or the same denial of a near-duplicate image

\b
Terms: state by reason judge is lint margin cue position type concept pipeline source stream caption like family near,
or plain words. A comma means "or", a leading minus means "not"; sort: newest oldest decided conflict mistaken concept
text state similar, and with a minus in reverse: sort:-text.
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(browse)


def browse(
    context: typer.Context,
    query: Annotated[list[str] | None, typer.Argument(metavar="[QUERY]", help="Search terms and sort order.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line; the default without a terminal.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Print at most this many.", show_default="all")] = None,
    annotator: AnnotatorOption = None,
    images: ImagesOption = None,
    readonly: ReadonlyOption = False,
) -> None:
    """Search candidates; open them as cards, or decide many at once.

    Browsing does not lease cards.
    """
    from workbench.workspace.layout import find_workspace

    view = parse_query(" ".join(query or ()))
    workspace = find_workspace(context.obj)
    if as_json or limit is not None or not at_a_terminal():
        from curation_db.storage.store import open_read_only

        with open_read_only(workspace.database) as store:
            _print_candidates(store, workspace, view, limit)
        return
    from workbench.tui.screens.base.navigation import MainView

    options = CurateOptions(readonly=readonly)
    raise typer.Exit(run_curate(workspace, annotator, options, images=images, start=MainView.BROWSE, view=str(view)))


def parse_query(line: str) -> View:
    """Parse a query.

    Raises:
        UsageError: the query has a syntax error or an unknown term.
    """
    from curation_db.search.query_language import ViewError, parse_view

    try:
        return parse_view(line)
    except ViewError as error:
        raise UsageError(str(error), hint="see: negwb browse --help") from error


def _print_candidates(store: Store, workspace: Workspace, view: View, limit: int | None) -> None:
    import json

    from curation_db.search.facets import unknown_name
    from workbench.workspace.image_signatures import look_note

    refresh_indexes(store, workspace, view)
    if note := look_note(store, view):
        typer.echo(f"negwb: {note}", err=True)
    count = 0
    for row in _rows(store, view, limit):
        typer.echo(json.dumps(_candidate_json(row), ensure_ascii=False))
        count += 1
    if not count:
        with store.read() as connection:
            reason = unknown_name(connection, view)
        raise NothingToDo(reason or f"no candidate matches {view}" if view.terms else "there are no candidates yet")


def refresh_indexes(store: Store, workspace: Workspace, view: View) -> None:
    """Bring the full-text index, the lint index and the image signatures up to date, as far as the view needs them.

    They may lag behind an import. In a record that cannot be written they stay as they are.
    """
    from curation_db.errors import RecordError, RecordUnwritable
    from curation_db.lint.index import LintIndexer
    from curation_db.search import fulltext
    from curation_db.search.query_language import INDEXED_TEXT, LOOKS, QueryField
    from workbench.workspace.settings.settings import read_settings

    if any(view.filters_by(field) for field in LOOKS):
        from workbench.workspace.image_signatures import locator, refresh_record

        with contextlib.suppress(RecordError), step_bars(lines=True) as report_step:  # the cache folder is read-only
            refresh_record(store, locator(workspace, read_settings(workspace.settings)), report_step)
    with contextlib.suppress(RecordUnwritable):
        if any(view.filters_by(field) for field in INDEXED_TEXT):
            fulltext.refresh(store)
        if view.filters_by(QueryField.LINT):
            indexer = LintIndexer(store, read_settings(workspace.settings).checks)
            with step_bars(lines=True) as report_step:
                while indexer.step(_PAGE):
                    report_step("indexing lint findings", indexer.progress.upto, indexer.progress.newest)


def _rows(store: Store, view: View, limit: int | None) -> Iterator[ListedCandidate]:
    from curation_db.search.rows import page_of

    for start in range(0, len(ids := _candidate_ids(store, view, limit)), _PAGE):
        with store.read() as connection:
            page = page_of(connection, ids[start : start + _PAGE], view)
        yield from page  # outside the transaction: the reader of the output may take hours


def _candidate_ids(store: Store, view: View, limit: int | None) -> array[int]:
    from curation_db.search.search import ids_of

    ids: array[int] = array("q")
    with store.read() as connection:
        for block in ids_of(connection, view):
            ids.extend(block)
            if limit is not None and len(ids) >= limit:
                break
    return ids[:limit]


def _candidate_json(row: ListedCandidate) -> dict[str, Any]:
    from dataclasses import asdict

    fields = asdict(row)
    fields["judges"] = fields.pop("verdicts")
    if not fields.pop("checked"):
        fields["lint"] = None  # not checked yet; an empty list means checked without findings
    return fields
