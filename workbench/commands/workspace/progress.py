"""`negwb progress`: print the figures of the Progress screen as tables or as one JSON object."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from curation_db.enums import ConsensusMethod

_EPILOG = """\b
Examples:
  negwb progress
  negwb progress --json | jq '.agreement.standing.ac1'
  negwb progress --consensus dawid-skene    weigh each vote by its annotator

\b
Consensus: of the votes in force on candidates with two votes or more. Dawid-Skene estimates how often each annotator
errs; where annotators share few candidates, the majority is the safer choice.
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(progress)


def progress(
    context: typer.Context,
    consensus: Annotated[
        ConsensusMethod, typer.Option(help="How votes are combined in the table of each annotator's accuracy.")
    ] = ConsensusMethod.MAJORITY,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show annotation speed, time left, decisions, balance, agreement, flip rates, consensus and judge accuracy.

    Balance targets are in [progress.targets] of negwb.toml. Intervals are 95 %; those of agreement resample images.
    """
    from workbench.console.tables import show
    from workbench.reports import progress_report
    from workbench.reports.trust import consensus as consensus_report
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    figures, votes = progress_report.gather(workspace), consensus_report.gather(workspace, consensus)
    if as_json:
        typer.echo(json.dumps({**progress_report.as_json(figures), "consensus": consensus_report.as_json(votes)}))
        return
    show([*progress_report.listings(figures), *consensus_report.listings(votes)])
    if note := consensus_report.rest_note(votes):
        typer.echo(note)
    if note := progress_report.kappa_note(figures):
        typer.echo(note)
