"""`negwb queue overlap`: how many people decide about candidates that are in the record already."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.commands.browse import parse_query, refresh_indexes
from workbench.console.progress_bars import step_bars
from workbench.console.terminal_check import at_a_terminal
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from curation_db.events.state import Overlap
    from curation_db.review.overlaps import OverlapPreview
    from curation_db.search.query_language import View
    from curation_db.storage.store import Store

_EPILOG = """\b
Examples:
  negwb queue overlap 2                       two people decide about every candidate
  negwb queue overlap 2+1 'state:open'        of the open ones two, and a third only when they differ
  negwb queue overlap 2 --share 0.1           a tenth, drawn at random: always the same tenth
  negwb queue overlap 1 'source:coco' --yes   without a question
QUERY is as in negwb browse.
"""

queue = typer.Typer(no_args_is_help=True, help="Set how many people decide about candidates.", epilog=_EPILOG)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    queue.command("overlap", epilog=_EPILOG)(overlap)
    app.add_typer(queue, name="queue")


def overlap(
    context: typer.Context,
    people: Annotated[
        str, typer.Argument(metavar="OVERLAP", help='People per candidate: 1, 3, or "2+1" (a third when two differ).')
    ],
    query: Annotated[
        list[str] | None, typer.Argument(metavar="[QUERY]", help="Which candidates.", show_default="all")
    ] = None,
    share: Annotated[float, typer.Option(metavar="SHARE", help="Of these a random share, above 0 and at most 1.")] = 1,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Change them without a question.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; without --yes only what would change.")
    ] = False,
    annotator: Annotated[
        str | None, typer.Option("--annotator", "-a", help="Who changes it [default: your login name].")
    ] = None,
) -> None:
    """Set how many people decide about candidates that are there.

    overlap in negwb.toml applies to candidates that come in later. Exports at earlier events stay as they are.
    """
    from curation_db.events.annotators import known_spelling
    from curation_db.review.overlaps import set_overlap
    from curation_db.storage.store import open_store
    from workbench.commands.curate import annotator_name
    from workbench.workspace.layout import find_workspace

    wanted, view = _parse_overlap(people), parse_query(" ".join(query or ()))
    if not 0 < share <= 1:
        raise UsageError(f"--share {share:g}: a share is above 0 and at most 1", hint="a tenth: --share 0.1")
    actor = annotator_name(annotator)
    with open_store(find_workspace(context.obj).database) as store:
        with store.read() as connection:
            actor = known_spelling(connection, actor)
        told = _preview(store, view, wanted, share)
        if not as_json:
            for line in _summary_lines(told, wanted, share):
                typer.echo(f"negwb: {line}", err=True)
        if told.changing and not _confirmed(yes=yes, as_json=as_json, count=len(told.changing)):
            changed = 0
        else:
            with step_bars(lines=True) as tell:
                changed = set_overlap(
                    store,
                    told.changing,
                    wanted,
                    actor=actor,
                    progress=lambda done, total: tell("setting the overlap", done, total),
                )
    if as_json:
        typer.echo(json.dumps(_report_json(told, wanted, share, changed)))
    elif changed:
        typer.echo(f"negwb: {changed:,} candidates have overlap {wanted} now", err=True)
    if not told.changing:
        raise NothingToDo(f"all of these have overlap {wanted} already")


def _parse_overlap(people: str) -> Overlap:
    from curation_db.events.state import Overlap

    try:
        return Overlap.parse(people)
    except ValueError as error:
        raise UsageError(str(error), hint="see: negwb queue overlap --help") from error


def _preview(store: Store, view: View, wanted: Overlap, share: float) -> OverlapPreview:
    from curation_db.review.overlaps import preview
    from curation_db.search.facets import unknown_name
    from curation_db.search.search import ids_of

    refresh_indexes(store, view)
    with store.read() as connection:
        ids = [number for block in ids_of(connection, view) for number in block]
        if not ids:
            empty = f"nothing is {view}" if view.terms else "there is no candidate yet"
            raise NothingToDo(unknown_name(connection, view) or empty)
        told = preview(connection, ids, wanted, share)
    if not told.drawn:
        raise NothingToDo(f"the share is empty: {share:g} of {told.candidates:,} candidates")
    return told


def _confirmed(*, yes: bool, as_json: bool, count: int) -> bool:
    if yes:
        return True
    if as_json:
        return False
    if not at_a_terminal():
        raise UsageError("no terminal to ask at; nothing was changed", hint="change them without a question: --yes")
    if typer.confirm(f"Change {count:,} candidates?", err=True):
        return True
    typer.echo("negwb: nothing was changed", err=True)
    return False


def _summary_lines(told: OverlapPreview, wanted: Overlap, share: float) -> list[str]:
    from workbench.annotation.wording import readable

    of = "" if share == 1 else f"; {told.drawn:,} are in the share of {share:g}"
    lines = [f"{told.candidates:,} candidates{of}; the overlap of {len(told.changing):,} becomes {wanted}"]
    if told.changing:
        lines.append(f"decisions asked for on these: {told.wanted_before:,} now, {told.wanted_after:,} then")
    for (before, after), count in sorted(told.moves.items()):
        lines.append(f"{count:,} {readable(before)} become {readable(after)}")
    return lines


def _report_json(told: OverlapPreview, wanted: Overlap, share: float, changed: int) -> dict[str, Any]:
    return {
        "overlap": str(wanted),
        "share": share,
        "candidates": told.candidates,
        "drawn": told.drawn,
        "changing": len(told.changing),
        "changed": changed,
        "wanted": {"before": told.wanted_before, "after": told.wanted_after},
        "moves": [
            {"before": before, "after": after, "candidates": count}
            for (before, after), count in sorted(told.moves.items())
        ],
    }
