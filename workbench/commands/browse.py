"""`negwb browse`: candidates by what is known of them, as a room to look around in or as lines for other programs."""

from __future__ import annotations

import contextlib
from array import array
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.commands.curate import run_curate
from workbench.console.progress_bars import step_bars
from workbench.console.terminal_check import at_a_terminal
from workbench.errors import NothingToDo, UsageError
from workbench.workspace.choices import ImageMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from curation_db.search.query_language import View
    from curation_db.search.rows import ListedCandidate
    from curation_db.storage.store import Store

_PAGE = 200
_EPILOG = """\b
Examples:
  negwb browse                                       look around; b does the same on a card
  negwb browse 'state:accepted cue:no "red hat"'     accepted, cue "no", with these words
  negwb browse 'is:conflict -judge:llava=present sort:conflict'
  negwb browse 'by:ana reason:present' --json        what ana rejected because it is there, a JSON object a line
  negwb browse 'lint:in-sibling,in-objects' --json --limit 20

\b
Terms: state by reason judge is lint cue position type concept pipeline source stream caption, or words alone.
A comma is "or", a minus in front is "not"; sort: newest oldest decided conflict concept text.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(browse)


def browse(
    context: typer.Context,
    query: Annotated[
        list[str] | None, typer.Argument(metavar="[QUERY]", help="Which candidates, and in which order.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line; so does no terminal.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Print so many at most.", show_default="all")] = None,
    annotator: Annotated[
        str | None, typer.Option("--annotator", "-a", help="Who looks [default: your login name].")
    ] = None,
    images: Annotated[ImageMode | None, typer.Option(help="How pictures are drawn; auto asks the terminal.")] = None,
) -> None:
    """List candidates by what is known of them; open them as cards, or decide about many at once.

    While you only look around no card is taken from others.
    """
    from workbench.workspace.layout import find_workspace

    view = parse_query(" ".join(query or ()))
    workspace = find_workspace(context.obj)
    if as_json or limit is not None or not at_a_terminal():
        from curation_db.storage.store import open_read_only

        with open_read_only(workspace.database) as store:
            _print_candidates(store, view, limit)
        return
    from workbench.tui.screens.base.navigation import MainView

    raise typer.Exit(run_curate(workspace, annotator, images=images, start=MainView.BROWSE, view=str(view)))


def parse_query(line: str) -> View:
    """The view that a query names.

    Raises:
        UsageError: it is none.
    """
    from curation_db.search.query_language import ViewError, parse_view

    try:
        return parse_view(line)
    except ViewError as error:
        raise UsageError(str(error), hint="see: negwb browse --help") from error


def _print_candidates(store: Store, view: View, limit: int | None) -> None:
    import json

    from curation_db.search.facets import unknown_name

    refresh_indexes(store, view)
    told = 0
    for row in _rows(store, view, limit):
        typer.echo(json.dumps(_candidate_json(row), ensure_ascii=False))
        told += 1
    if not told:
        with store.read() as connection:
            why = unknown_name(connection, view)
        raise NothingToDo(why or f"nothing is {view}" if view.terms else "there is no candidate yet")


def refresh_indexes(store: Store, view: View) -> None:
    """What is worked out behind an import's back, as far as the view needs it."""
    from curation_db.errors import RecordUnwritable
    from curation_db.lint.index import LintIndexer
    from curation_db.search import fulltext
    from curation_db.search.query_language import WORDS, QueryField

    with contextlib.suppress(RecordUnwritable):  # where nothing can be written, what is there is all there is
        if any(view.asks(field) for field in WORDS):
            fulltext.refresh(store)
        if view.asks(QueryField.LINT):
            marker = LintIndexer(store)
            with step_bars(lines=True) as tell:
                while marker.step(_PAGE):
                    progress = marker.progress
                    tell("reading the checks", progress.upto, progress.newest)


def _rows(store: Store, view: View, limit: int | None) -> Iterator[ListedCandidate]:
    from curation_db.search.rows import page_of

    for start in range(0, len(numbers := _candidate_ids(store, view, limit)), _PAGE):
        with store.read() as connection:
            page = page_of(connection, numbers[start : start + _PAGE])
        yield from page  # outside the transaction: the reader of the output may take hours


def _candidate_ids(store: Store, view: View, limit: int | None) -> array[int]:
    from curation_db.search.search import ids_of

    numbers: array[int] = array("q")
    with store.read() as connection:
        for block in ids_of(connection, view):
            numbers.extend(block)
            if limit is not None and len(numbers) >= limit:
                break
    return numbers[:limit]


def _candidate_json(row: ListedCandidate) -> dict[str, Any]:
    from dataclasses import asdict

    told = asdict(row)
    told["judges"] = told.pop("verdicts")
    if not told.pop("checked"):
        told["lint"] = None  # not looked at yet, which is not the same as nothing found
    return told
