"""`negwb progress`: print the figures of the Progress screen as tables or as one JSON object."""

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
    app.command(epilog=_EPILOG)(progress)


def progress(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show annotation speed, time left, decisions, balance, annotator agreement and judge accuracy.

    Balance targets are in [progress.targets] of negwb.toml. Intervals are 95 %; those of agreement resample images.
    """
    from workbench.console.tables import show
    from workbench.reports import progress_report
    from workbench.workspace.layout import find_workspace

    figures = progress_report.gather(find_workspace(context.obj))
    if as_json:
        typer.echo(json.dumps(progress_report.as_json(figures)))
        return
    show(progress_report.listings(figures))
    if note := progress_report.kappa_note(figures):
        typer.echo(note)
