"""`negwb history`: everything that ever happened to a candidate, and who did it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from curation_db.search.candidate_history import Timeline

_EPILOG = """\b
Examples:
  negwb history 1204                        by its number
  negwb history scripted-proposer/17-3      by its key
  negwb history 1204 --json | jq '.moments[] | select(.what == "deed")'
"""
_WIDTH = 100


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(history)


def history(
    context: typer.Context,
    candidate: Annotated[str, typer.Argument(help="Its number, or its key.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell everything that ever happened to a candidate, to what it came from and to what came from it.

    Nothing is hidden here, not what the judges say about an audit card either: do not look before you have decided.
    """
    from curation_db.search.candidate_history import find_candidate, timeline
    from curation_db.storage.store import open_read_only
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    with open_read_only(workspace.database) as store, store.read() as connection:
        told = timeline(connection, find_candidate(connection, candidate), workspace.exports)
    if as_json:
        typer.echo(json.dumps(_as_json(told)))
    else:
        from workbench.tui.rendering.history import plain_lines

        typer.echo("\n".join(line.rstrip() for line in plain_lines(told, _WIDTH)))


def _as_json(told: Timeline) -> dict[str, Any]:
    """Each entry names its type: origin, judgesaid, deed or frozen."""
    return {
        "candidate": told.candidate_id,
        "members": [asdict(member) for member in told.members],
        "moments": [
            {"at": m.at, "candidate": m.candidate_id, "what": m.content.label, **asdict(m.content)}
            for m in told.entries
        ],
    }
