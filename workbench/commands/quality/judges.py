"""`negwb judges`: how far the probabilities of the judges agree with blind labels of people."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from curation_db.enums import ConsensusMethod

_EPILOG = """\b
Examples:
  negwb judges
  negwb judges --consensus dawid-skene      where several people labelled a candidate
  negwb judges --json | jq '.[] | {judge, prompt_version, ece: .raw.ece}'

\b
right: share that people find right.  Brier: mean squared error of P.  ECE: mean difference of P and the share, by bin.
discrimination: probability that a right candidate has the higher P.  ECE calibrated: after a scale that is fitted on
other images. A judge with another model or prompt version is another judge.
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(judges)


def judges(
    context: typer.Context,
    consensus: Annotated[
        ConsensusMethod, typer.Option(help="How several people's labels of one candidate are combined.")
    ] = ConsensusMethod.MAJORITY,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Compare each judge with the audit labels: calibration, discrimination, and the figures after calibration.

    Audit labels are blind answers of people on a random sample: negwb curate --stream audit. Figures are weighted for
    the sampling rates, so they hold for all candidates.
    """
    from curation_db.storage.store import open_read_only
    from curation_db.trust.judge_calibration import judge_reports
    from workbench.console.tables import show
    from workbench.errors import NothingToDo
    from workbench.reports.trust.judges import judge_json, listings
    from workbench.workspace.layout import find_workspace

    with open_read_only(find_workspace(context.obj).database) as store, store.read() as connection:
        reports = judge_reports(connection, consensus=consensus)
    if as_json:
        typer.echo(json.dumps([judge_json(report) for report in reports]))
    elif reports:
        show(listings(reports))
    else:
        raise NothingToDo(
            "no candidate has both an audit label and a verdict", hint="label the audit: negwb curate --stream audit"
        )
