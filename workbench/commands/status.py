"""`negwb status`: what the workspace holds, who decided how much, and which exports are no longer up to date."""

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
    """Add the command."""
    app.command(epilog=_EPILOG)(status)


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what is in the workspace, who decided what, and the exports.

    An export is stale when other pairs would be in it now, or when a restore replaced the history that it was made
    of. Frozen sets themselves never change.
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
            typer.echo("negwb: nothing is imported yet: negwb import CAPTIONS.json --pictures FOLDER", err=True)
