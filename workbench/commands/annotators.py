"""`negwb annotators`: the people of the workspace, and names that are out of use."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.console.tables import Listing, show
from workbench.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from curation_db.events.annotator_status import AnnotatorStatus
    from curation_db.storage.store import Store

_EPILOG = """\b
Examples:
  negwb annotators               who is known, who decided, who is at work
  negwb annotators retire tset   a name that was mistyped: edits wait for it no more
  negwb annotators restore ana   ana decides again
"""

annotators = typer.Typer(
    help="Show who decides here; put a name out of use, or into use again.", epilog=_EPILOG, invoke_without_command=True
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="As negwb annotators lists it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    annotators.callback()(list_annotators)
    annotators.command("retire", epilog=_EPILOG)(retire)
    annotators.command("restore", epilog=_EPILOG)(restore)
    app.add_typer(annotators, name="annotators")


def list_annotators(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Show who decides here; put a name out of use, or into use again.

    An edit waits for another person while there is one: somebody who has decided, or who is at work now. Names that
    are retired do not count; their decisions stay.
    """
    from curation_db.events.annotator_status import list_annotators as read_annotators
    from curation_db.storage.store import open_read_only
    from workbench.workspace.layout import find_workspace

    if context.invoked_subcommand is not None:
        return
    with open_read_only(find_workspace(context.obj).database) as store, store.read() as connection:
        found = read_annotators(connection)
    if as_json:
        typer.echo(json.dumps([{**asdict(each), "counts": each.counts} for each in found]))
    elif found:
        rows = [(each.name, str(each.role), _status_text(each), f"{each.decisions:,}") for each in found]
        show([Listing("Annotators", ("name", "role", "", "decisions"), rows, left=3)])
    else:
        typer.echo("negwb: there is no annotator yet; start with: negwb curate", err=True)


def retire(context: typer.Context, name: _Name) -> None:
    """Put a name out of use: no edit waits for it, and curate refuses it. Its decisions stay."""
    _set_retired(context, name, retired=True)


def restore(context: typer.Context, name: _Name) -> None:
    """Put a retired name into use again."""
    _set_retired(context, name, retired=False)


def _set_retired(context: typer.Context, name: str, *, retired: bool) -> None:
    from curation_db.events.annotator_status import reinstate
    from curation_db.events.annotator_status import retire as put_out_of_use
    from curation_db.language.sanitize import display_text
    from curation_db.storage.store import open_store
    from workbench.workspace.layout import find_workspace

    with open_store(find_workspace(context.obj).database) as store:
        each = _find_annotator(store, name)
        name = each.name
        if (each.retired_at is not None) is retired:
            raise NothingToDo(f"{name} is {'retired' if retired else 'in use'} already")
        (put_out_of_use if retired else reinstate)(store, name)
    done = "retired" if retired else "in use again"
    stay = "1 decision stays" if each.decisions == 1 else f"{each.decisions:,} decisions stay"
    typer.echo(f"negwb: {display_text(name, limit=60)} is {done}; {stay} in force", err=True)


def _find_annotator(store: Store, name: str) -> AnnotatorStatus:
    from curation_db.events.annotator_names import spellings
    from curation_db.events.annotator_status import list_annotators as read_annotators

    with store.read() as connection:
        found = read_annotators(connection)
    by_name = {each.name: each for each in found}
    if same := spellings(name, by_name):
        return by_name[same[0]]
    known = ", ".join(each.name for each in found[:12])
    raise UsageError(f"no annotator is called {name!r}", hint=f"known: {known}" if known else "there is none yet")


def _status_text(each: AnnotatorStatus) -> str:
    if each.retired_at is not None:
        return f"retired {each.retired_at[:10]}"
    if each.at_work:
        return "at work"
    return "decides" if each.decided else "has only looked"
