"""`negwb gold`: candidates whose answer is known, mixed in to show everybody how right they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.console.tables import Listing, show
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from curation_db.review.gold_marking import Marked
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb import checked.csv --map gold=answer   answers of a file: accept, reject, or the reason of a rejection
  negwb gold --from-adjudicated                and those that an adjudicator has given
  negwb gold                                   how many there are, and everybody's score
  negwb gold --clear                           none any more: they are ordinary candidates again
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(gold)


def gold(
    context: typer.Context,
    adjudicated: Annotated[
        bool, typer.Option("--from-adjudicated", help="Also take the candidates that an adjudicator has settled.")
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Make ordinary candidates of all of them again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the cards with a known answer, and how often each person was right.

    They look like any other card, and come as [curate] gold_share of negwb.toml says, as many to accept as to reject.
    The answer is told after the decision; the first one counts. No answer is a vote: it settles nothing.
    """
    from workbench.workspace.layout import find_workspace

    if adjudicated and clear:
        raise UsageError("--clear takes away what --from-adjudicated would add", hint="take one of the two")
    workspace = find_workspace(context.obj)
    if adjudicated or clear:
        _change(workspace, clear=clear)
    _print_report(workspace, as_json=as_json)


def _change(workspace: Workspace, *, clear: bool) -> None:
    from curation_db.review.gold_marking import mark_adjudicated, unmark_all
    from curation_db.storage.backup import back_up
    from curation_db.storage.store import open_store

    with open_store(workspace.database) as store:
        if clear:
            back_up(workspace.database, before="gold-clear")  # where the answers came from is nowhere else
            typer.echo(f"negwb: {unmark_all(store):,} are ordinary candidates again", err=True)
            return
        _print_marked(mark_adjudicated(store))


def _print_marked(done: Marked) -> None:
    if not done.new and not done.audit:
        raise NothingToDo(
            "no candidate that an adjudicator has settled is left",
            hint="negwb curate --role adjudicator; / finds a card, and a or x on a settled one is the final word",
        )
    aside = f"; {done.audit:,} are kept for the audit, and stay there" if done.audit else ""
    typer.echo(f"negwb: the answer to {done.new:,} more is known{aside}", err=True)


def _print_report(workspace: Workspace, *, as_json: bool) -> None:
    from curation_db.storage.store import open_read_only
    from workbench.reports.status_report import gold_report, scores_listing

    with open_read_only(workspace.database) as store, store.read() as connection:
        report = gold_report(connection)
    if as_json:
        typer.echo(json.dumps(report))
        return
    if not any(report["candidates"].values()):
        typer.echo("negwb: no answers are known: negwb import FILE --map gold=COLUMN", err=True)
        return
    show([each for each in (_counts_listing(report), scores_listing(report)) if each.rows])


def _counts_listing(report: dict[str, Any]) -> Listing:
    words = {"accept": "to accept", "reject": "to reject", "edited": "replaced by an edit"}
    rows = [(words[name], f"{count:,}") for name, count in report["candidates"].items() if count or name != "edited"]
    return Listing("Known answers", ("answer", "candidates"), rows)
