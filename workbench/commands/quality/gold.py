"""`negwb gold`: candidates with a known answer, mixed into the queue to measure each annotator's accuracy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.console.tables import Listing, show
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from curation_db.review.gold_marking import MarkingResult
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb import checked.csv --map gold=answer   import answers: accept, reject, or the reason of a rejection
  negwb gold --from-adjudicated                add the decisions of adjudicators
  negwb gold                                   print the number of gold candidates and each annotator's score
  negwb gold --clear                           turn all gold candidates into ordinary candidates
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(gold)


def gold(
    context: typer.Context,
    adjudicated: Annotated[
        bool, typer.Option("--from-adjudicated", help="Mark the candidates that an adjudicator settled as gold.")
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Turn all gold candidates into ordinary ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the number of gold candidates and how often each annotator decided them correctly.

    Gold cards look like any other card. [curate] gold_share in negwb.toml sets their share; half of them are to be
    accepted. The known answer shows after the decision, and the first decision counts. It is not a vote and does not
    settle the candidate.
    """
    from workbench.workspace.layout import find_workspace

    if adjudicated and clear:
        raise UsageError("--clear removes what --from-adjudicated would add", hint="use only one of them")
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
            back_up(workspace.database, before="gold-clear")  # the source of the answers is stored nowhere else
            typer.echo(f"negwb: {unmark_all(store):,} are ordinary candidates again", err=True)
            return
        _print_marked(mark_adjudicated(store))


def _print_marked(marked: MarkingResult) -> None:
    from curation_db.language.sanitize import counted

    if not marked.new and not marked.audit:
        raise NothingToDo(
            "there are no further candidates that an adjudicator settled",
            hint="settle some: negwb curate --role adjudicator; / finds a card, a or x settles it",
        )
    audit = f"; {marked.audit:,} belong to the audit and are not marked" if marked.audit else ""
    typer.echo(f"negwb: marked {counted(marked.new, 'candidate')} as gold{audit}", err=True)


def _print_report(workspace: Workspace, *, as_json: bool) -> None:
    from curation_db.storage.store import open_read_only
    from workbench.reports.status_report import gold_report, scores_listing

    with open_read_only(workspace.database) as store, store.read() as connection:
        report = gold_report(connection)
    if as_json:
        typer.echo(json.dumps(report))
        return
    if not any(report["candidates"].values()):
        typer.echo("negwb: no gold candidates yet; import some: negwb import FILE --map gold=COLUMN", err=True)
        return
    show([each for each in (_counts_listing(report), scores_listing(report)) if each.rows])


def _counts_listing(report: dict[str, Any]) -> Listing:
    labels = {"accept": "to accept", "reject": "to reject", "edited": "replaced by an edit"}
    rows = [(labels[name], f"{count:,}") for name, count in report["candidates"].items() if count or name != "edited"]
    return Listing("Gold candidates", ("answer", "candidates"), rows)
