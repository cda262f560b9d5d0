"""`negwb status`: print the contents of the workspace, the decisions of each annotator and the state of the exports."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from workbench.console.tables import show

_EPILOG = """\b
Examples:
  negwb status
  negwb status --json | jq .candidates
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(status)


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show sources, candidates, annotators, sessions and exports, and in one table what speaks for and against the set.

    An export is stale if an export of the same selection would have other pairs now, or if a restore replaced its
    history. Its files never change.
    """
    from workbench.reports.status_report import gather, listings
    from workbench.workspace.layout import find_workspace

    report = gather(find_workspace(context.obj))
    if as_json:
        typer.echo(json.dumps(report))
    else:
        show(listings(report))
        if report["overlap_setting"]["warning"]:
            typer.echo(f"negwb: {report['overlap_setting']['warning']}", err=True)
        if not report["sources"]:
            typer.echo(
                "negwb: no source is imported yet; import one: negwb import CAPTIONS.json --pictures FOLDER", err=True
            )
