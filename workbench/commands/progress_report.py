"""`negwb progress`: the numbers of the Progress screen, as tables or as one JSON object."""

from __future__ import annotations

import json
from typing import Annotated

import typer

_EPILOG = """\b
Examples:
  negwb progress
  negwb progress --json | jq '.agreement.standing.ac1'
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(progress)


def progress(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show speed, time left, decisions, balance, agreement among people, and judges held against people.

    Targets of the balance are in [progress.targets] of negwb.toml. Intervals are 95 %; those of agreement resample
    pictures.
    """
    from workbench.console.tables import show
    from workbench.reports import progress_report
    from workbench.workspace.layout import find_workspace

    counted = progress_report.gather(find_workspace(context.obj))
    if as_json:
        typer.echo(json.dumps(progress_report.as_json(counted)))
        return
    show(progress_report.listings(counted))
    if note := progress_report.kappa_note(counted):
        typer.echo(note)
