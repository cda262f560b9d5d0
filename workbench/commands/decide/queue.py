"""`negwb queue overlap`: set how many annotators decide the candidates that are already in the record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.commands.decide.browse import parse_query, refresh_indexes
from workbench.console.progress_bars import step_bars
from workbench.console.terminal_check import at_a_terminal
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from curation_db.events.state import Overlap
    from curation_db.review.overlaps import OverlapPreview
    from curation_db.search.query_language import View
    from curation_db.storage.store import Store
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb queue overlap 2                       two annotators per candidate
  negwb queue overlap 2+1 'state:open'        open candidates: two annotators, a third if they disagree
  negwb queue overlap 2 --share 0.1           a random tenth of the candidates: always the same tenth
  negwb queue overlap 1 'source:coco' --yes   do not ask for confirmation
QUERY has the syntax of negwb browse.
"""

queue = typer.Typer(no_args_is_help=True, help="Set how many annotators decide a candidate.", epilog=_EPILOG)


def register(app: typer.Typer) -> None:
    queue.command("overlap", epilog=_EPILOG)(overlap)
    app.add_typer(queue, name="queue")


def overlap(
    context: typer.Context,
    annotators: Annotated[
        str,
        typer.Argument(metavar="OVERLAP", help='Annotators per candidate: 1, 3, or "2+1" (a third if two disagree).'),
    ],
    query: Annotated[
        list[str] | None, typer.Argument(metavar="[QUERY]", help="Candidates to change.", show_default="all")
    ] = None,
    share: Annotated[
        float, typer.Option(metavar="SHARE", help="Change only this random share of them: above 0, at most 1.")
    ] = 1,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; without --yes change nothing.")
    ] = False,
    annotator: Annotated[
        str | None, typer.Option("--annotator", "-a", help="Name stored with the change [default: your login name].")
    ] = None,
) -> None:
    """Set how many annotators decide the candidates that are already in the record.

    overlap in negwb.toml applies to candidates added later. Exports at earlier events stay the same.
    """
    from curation_db.events.annotators import known_spelling
    from curation_db.review.overlaps import set_overlap
    from curation_db.storage.store import open_store
    from workbench.commands.decide.curate import annotator_name
    from workbench.workspace.layout import find_workspace

    target, view = _parse_overlap(annotators), parse_query(" ".join(query or ()))
    if not 0 < share <= 1:
        raise UsageError(f"--share {share:g} is not above 0 and at most 1", hint="for a tenth: --share 0.1")
    actor = annotator_name(annotator)
    workspace = find_workspace(context.obj)
    with open_store(workspace.database) as store:
        with store.read() as connection:
            actor = known_spelling(connection, actor)
        plan = _preview(store, workspace, view, target, share)
        if not as_json:
            for line in _summary_lines(plan, target, share):
                typer.echo(f"negwb: {line}", err=True)
        if plan.changing and not _confirmed(yes=yes, as_json=as_json, count=len(plan.changing)):
            changed = 0
        else:
            with step_bars(lines=True) as report_step:
                changed = set_overlap(
                    store,
                    plan.changing,
                    target,
                    actor=actor,
                    progress=lambda done, total: report_step("setting the overlap", done, total),
                )
    if as_json:
        typer.echo(json.dumps(_report_json(plan, target, share, changed)))
    elif changed:
        typer.echo(f"negwb: set overlap {target} for {changed:,} candidates", err=True)
    if not plan.changing:
        raise NothingToDo(f"all of these candidates already have overlap {target}")


def _parse_overlap(text: str) -> Overlap:
    from curation_db.events.state import Overlap

    try:
        return Overlap.parse(text)
    except ValueError as error:
        raise UsageError(str(error), hint="see: negwb queue overlap --help") from error


def _preview(store: Store, workspace: Workspace, view: View, target: Overlap, share: float) -> OverlapPreview:
    from curation_db.review.overlaps import preview
    from curation_db.search.facets import unknown_name
    from curation_db.search.search import ids_of

    refresh_indexes(store, workspace, view)
    with store.read() as connection:
        ids = [number for block in ids_of(connection, view) for number in block]
        if not ids:
            empty = f"no candidate matches {view}" if view.terms else "there are no candidates yet"
            raise NothingToDo(unknown_name(connection, view) or empty)
        plan = preview(connection, ids, target, share)
    if not plan.drawn:
        raise NothingToDo(f"a share of {share:g} of {plan.candidates:,} candidates is empty")
    return plan


def _confirmed(*, yes: bool, as_json: bool, count: int) -> bool:
    if yes:
        return True
    if as_json:
        return False
    if not at_a_terminal():
        raise UsageError("nothing was changed: confirmation needs a terminal", hint="to skip the confirmation: --yes")
    if typer.confirm(f"Change {count:,} candidates?", err=True):
        return True
    typer.echo("negwb: nothing was changed", err=True)
    return False


def _summary_lines(plan: OverlapPreview, target: Overlap, share: float) -> list[str]:
    from workbench.annotation.wording import readable

    of = "" if share == 1 else f"; {plan.drawn:,} are in the share of {share:g}"
    lines = [f"{plan.candidates:,} candidates{of}; the overlap of {len(plan.changing):,} becomes {target}"]
    if plan.changing:
        lines.append(f"required decisions: {plan.wanted_before:,} before, {plan.wanted_after:,} after")
    for (before, after), count in sorted(plan.moves.items()):
        lines.append(f"{count:,} {readable(before)} become {readable(after)}")
    return lines


def _report_json(plan: OverlapPreview, target: Overlap, share: float, changed: int) -> dict[str, Any]:
    return {
        "overlap": str(target),
        "share": share,
        "candidates": plan.candidates,
        "drawn": plan.drawn,
        "changing": len(plan.changing),
        "changed": changed,
        "wanted": {"before": plan.wanted_before, "after": plan.wanted_after},
        "moves": [
            {"before": before, "after": after, "candidates": count}
            for (before, after), count in sorted(plan.moves.items())
        ],
    }
