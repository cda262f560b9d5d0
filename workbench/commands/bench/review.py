"""`negwb bench review`: people review a random sample of the answers of a judge."""

from __future__ import annotations

import json
from typing import Annotated

import typer

EPILOG = """\b
Examples:
  negwb bench run simpleneg --pictures ../val2014 --judge llava
  negwb bench review simpleneg --sample 200
  negwb curate --stream audit
  negwb report                                           the corrected score, with the judge's error in its interval

A larger sample contains a smaller one: run it again with a larger N.
"""


def review(
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help="A benchmark with answers of a judge, as simpleneg.")],
    sample: Annotated[int, typer.Option(min=1, metavar="N", help="Size of the random sample.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Add a random sample of what a judge answered to the record, to be reviewed in Curate without seeing the answers.

    Accept a text that is true of the image; reject it with "present" if the denied thing is there, with "rest false" if
    the scene is wrong. `negwb report` then corrects the score for the judge's errors, with an interval that includes
    them. These pairs never enter an export, unless it asks for them.
    """
    from curation_db.language.sanitize import counted
    from workbench.jobs.benchmarks.judge_review import add_review
    from workbench.workspace.layout import find_workspace

    added = add_review(find_workspace(context.obj), task, sample)
    if as_json:
        typer.echo(json.dumps({"task": task, "judged": added.pairs, "sample": added.sample, "new": added.new}))
    else:
        pairs = counted(added.sample, "pair")
        typer.echo(f"{pairs} of {added.pairs:,} judged ones are in the record, {added.new:,} of them new")
    typer.echo("negwb: next: negwb curate --stream audit", err=True)
