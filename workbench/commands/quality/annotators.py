"""`negwb annotators`: list the annotators; retire and restore names."""

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
  negwb annotators               list the annotators, their decisions and live sessions
  negwb annotators retire tset   retire a mistyped name: edits no longer wait for it
  negwb annotators restore ana   restore a retired name
"""

annotators = typer.Typer(
    help="List the annotators; retire a name or restore it.", epilog=_EPILOG, invoke_without_command=True
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Annotator name, as negwb annotators lists it.")]


def register(app: typer.Typer) -> None:
    annotators.callback()(list_annotators)
    annotators.command("retire", epilog=_EPILOG)(retire)
    annotators.command("restore", epilog=_EPILOG)(restore)
    app.add_typer(annotators, name="annotators")


def list_annotators(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List the annotators; retire a name or restore it.

    An edit waits for a decision by another annotator if there is one who has decided or has a live session. Retired
    annotators do not count; their decisions stay in force.
    """
    from curation_db.events.annotator_status import list_annotators as read_annotators
    from curation_db.storage.store import open_read_only
    from workbench.workspace.layout import find_workspace

    if context.invoked_subcommand is not None:
        return
    with open_read_only(find_workspace(context.obj).database) as store, store.read() as connection:
        rows = read_annotators(connection)
    if as_json:
        typer.echo(json.dumps([{**asdict(each), "counts": each.is_active} for each in rows]))
    elif rows:
        cells = [(each.name, str(each.role), _status_text(each), f"{each.decisions:,}") for each in rows]
        show([Listing("Annotators", ("name", "role", "status", "decisions"), cells, left=3)])
    else:
        typer.echo("negwb: no annotators yet; start with: negwb curate", err=True)


def retire(context: typer.Context, name: _Name) -> None:
    """Retire a name: edits no longer wait for it, and curate refuses it. Its decisions stay in force."""
    _set_retired(context, name, retired=True)


def restore(context: typer.Context, name: _Name) -> None:
    """Restore a retired name."""
    _set_retired(context, name, retired=False)


def _set_retired(context: typer.Context, name: str, *, retired: bool) -> None:
    from curation_db.events.annotator_status import reinstate
    from curation_db.events.annotator_status import retire as retire_annotator
    from curation_db.language.sanitize import display_text
    from curation_db.storage.store import open_store
    from workbench.workspace.layout import find_workspace

    with open_store(find_workspace(context.obj).database) as store:
        each = _find_annotator(store, name)
        name = each.name
        if (each.retired_at is not None) is retired:
            raise NothingToDo(f"{name} is already {'retired' if retired else 'in use'}")
        (retire_annotator if retired else reinstate)(store, name)
    status = "retired" if retired else "in use again"
    stay = "1 decision stays" if each.decisions == 1 else f"{each.decisions:,} decisions stay"
    typer.echo(f"negwb: {display_text(name, limit=60)} is {status}; {stay} in force", err=True)


def _find_annotator(store: Store, name: str) -> AnnotatorStatus:
    from curation_db.events.annotator_names import spellings
    from curation_db.events.annotator_status import list_annotators as read_annotators

    with store.read() as connection:
        rows = read_annotators(connection)
    by_name = {each.name: each for each in rows}
    if same := spellings(name, by_name):
        return by_name[same[0]]
    known = ", ".join(each.name for each in rows[:12])
    hint = f"known annotators: {known}" if known else "there are no annotators yet"
    raise UsageError(f"no annotator is called {name!r}", hint=hint)


def _status_text(each: AnnotatorStatus) -> str:
    if each.retired_at is not None:
        return f"retired {each.retired_at[:10]}"
    if each.at_work:
        return "in a session"
    return "has decided" if each.decided else "no decisions"
