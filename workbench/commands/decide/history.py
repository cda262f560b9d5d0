"""`negwb history`: print all events of a candidate."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from curation_db.search.candidate_history import Timeline

_EPILOG = """\b
Examples:
  negwb history 1204                        by id
  negwb history scripted-proposer/17-3      by key
  negwb history 1204 --json | jq '.moments[] | select(.what == "action")'
"""
_WIDTH = 100


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(history)


def history(
    context: typer.Context,
    candidate: Annotated[str, typer.Argument(help="Id or key of the candidate.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print all events, verdicts and exports of a candidate, of its parents and of its edits.

    Nothing is hidden, not even the verdicts on an audit card: decide an audit card before you read its history.
    """
    from curation_db.search.candidate_history import find_candidate, timeline
    from curation_db.storage.store import open_read_only
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    with open_read_only(workspace.database) as store, store.read() as connection:
        events = timeline(connection, find_candidate(connection, candidate), workspace.exports)
    if as_json:
        typer.echo(json.dumps(_as_json(events)))
    else:
        from workbench.tui.rendering.history import plain_lines

        typer.echo("\n".join(line.rstrip() for line in plain_lines(events, _WIDTH)))


def _as_json(events: Timeline) -> dict[str, Any]:
    return {
        "candidate": events.candidate_id,
        "members": [asdict(member) for member in events.members],
        "moments": [
            {"at": m.at, "candidate": m.candidate_id, "what": m.content.label, **asdict(m.content)}
            for m in events.entries
        ],
    }
