"""`negwb mistaken`: cross-validated margins of a run, for second looks at the pairs that the model doubts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

_EPILOG = """\b
Examples:
  negwb mistaken run-001                  5 trainings, each without one fifth of the images
  negwb mistaken run-001 --steps 300      shorter trainings than that of the run
  negwb curate --order mistaken           then look again at accepted pairs, the most doubtful first
  negwb browse 'state:accepted margin:<0 sort:mistaken'

\b
The margin of a pair is cos(image, caption) - cos(image, caption with the denied concept), from a model that was
trained without the image. It is low where the denied concept is in the image.
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(mistaken)


def mistaken(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run.")],
    folds: Annotated[
        int, typer.Option(min=2, max=50, help="Parts of the images; one training for each, without it.")
    ] = 5,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimizer steps of each training.", show_default="as the run's model")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find the pairs that the trained model doubts, among those that it was trained on.

    Trains the model of the run again for each fold, on the cached features, and stores the margins of the pairs in the
    record, in place of earlier ones. Ctrl-C saves the state; the same command continues.
    """
    from curation_db.queue.second_looks import count_second_looks
    from curation_db.storage.store import open_store
    from workbench.console.progress_bars import step_bars
    from workbench.jobs.training.margins import prepare_folds, read_margins, store_run_margins, train_folds
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.models import require_torch

    workspace = find_workspace(context.obj)
    require_torch()
    validation = prepare_folds(workspace, run, folds=folds, steps=steps)
    typer.echo(
        f"negwb: {folds} trainings of {validation.steps:,} steps, each without 1/{folds} of the images", err=True
    )
    try:
        with step_bars(lines=True) as progress:
            train_folds(validation, progress, _print_process)
    except KeyboardInterrupt:
        typer.echo("negwb: stopped; the same command continues", err=True)
        raise
    margins = read_margins(validation)
    with open_store(workspace.database) as store:
        stored = store_run_margins(store, validation, margins)
        with store.read() as connection:
            waiting = count_second_looks(connection)
    below = sum(each.margin < 0 for each in margins)
    if as_json:
        result = {
            "run": run,
            "folds": folds,
            "steps": validation.steps,
            "margins": len(margins),
            "below_zero": below,
            "stored": stored.stored,
            "unknown": stored.unknown,
            "second_looks": waiting,
        }
        typer.echo(json.dumps(result))
    else:
        unknown = f"; {stored.unknown:,} pairs are not in this record" if stored.unknown else ""
        typer.echo(f"{stored.stored:,} margins of {run}, {below:,} below 0{unknown}")
    typer.echo(f"negwb: {waiting:,} accepted pairs wait for a second look: negwb curate --order mistaken", err=True)


def _print_process(folder: Path, pid: int) -> None:
    from workbench.jobs.process import stop_command

    stop = f"if this command is killed with kill -9, stop the training with: {stop_command(pid)}"
    typer.echo(f"negwb: process {pid} trains {folder.name}; {stop}", err=True)
