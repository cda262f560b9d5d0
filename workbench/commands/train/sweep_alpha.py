"""`negwb sweep-alpha`: scores of a run between its base (alpha = 0) and its tuned model (alpha = 1)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.errors import UsageError

if TYPE_CHECKING:
    from benchmarks.task import Task
    from workbench.jobs.training.alpha_sweep import AlphaSweep, Sweep
    from workbench.workspace.layout import Workspace

_EPILOG = """\b
Examples:
  negwb sweep-alpha run-001                            on the validation pairs and the guard of the run
  negwb sweep-alpha run-001 --task my-negref --task my-affirm
  negwb sweep-alpha run-001 --save 0.6                 also as the run run-001-alpha-0.6, for every command
  negwb sweep-alpha run-001 --json | jq '.points[] | [.alpha, .validation.val_recall_at_1]'

\b
The weights are base + alpha * (tuned - base), as in WiSE-FT (arXiv 2109.01903). Often a smaller alpha keeps most of
the gain on negated texts and loses less on affirmative ones. Only texts are encoded again: the image tower is frozen.
Choose alpha on the validation pairs and the guard, or on tasks that you do not report: a score on the task that alpha
was chosen on is too high.
"""


def register(app: typer.Typer) -> None:
    app.command(name="sweep-alpha", epilog=_EPILOG)(sweep_alpha)


def sweep_alpha(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run.")],
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="TASK", help="Also score this benchmark, as for negwb bench run; repeatable."),
    ] = None,
    step: Annotated[float, typer.Option(metavar="STEP", help="Distance of two values of alpha.")] = 0.1,
    save: Annotated[
        float | None,
        typer.Option(metavar="ALPHA", help="Also save the model of this alpha as a run.", show_default="no"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the saved run.", show_default="RUN-alpha-ALPHA")
    ] = None,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Draw the score on negated texts against that on affirmative ones, between base and tuned model."""
    from workbench.console.progress_bars import step_bars
    from workbench.jobs.training.alpha_sweep import AlphaSweep, sweep_json
    from workbench.workspace.layout import find_workspace

    if not 0 < step <= 1:
        raise UsageError(f"--step must be above 0 and at most 1, not {step:g}")
    if save is not None and not 0 < save <= 1:
        raise UsageError(f"--save must be above 0 and at most 1, not {save:g}", hint="alpha = 0 is the base model")
    if name is not None and save is None:
        raise UsageError("--name needs --save ALPHA")
    workspace = find_workspace(context.obj)
    selected = [_task(workspace, each) for each in dict.fromkeys(tasks or [])]
    with step_bars(lines=True) as progress:
        sweep = AlphaSweep(
            workspace, run, selected, device=device, progress=progress, started=_print, warn=_print_warning
        )
        if save is not None:
            sweep.new_folder(save, name)  # before the measurement: the name may be taken
        measured = sweep.measure(_alphas(step, save))
    saved = None if save is None else _save(sweep, measured, save, name)
    if as_json:
        typer.echo(json.dumps(sweep_json(measured) | {"saved": saved}))
    else:
        _print_sweep(measured)
    if measured.interpolation < 1:
        _print(f"alpha = 1 is the model of {run}, which is interpolated by {measured.interpolation:g} already")
    if saved is not None:
        _print(f"saved as the run {saved}; next: negwb bench run TASK --model base --model {run} --model {saved}")


def _task(workspace: Workspace, name: str) -> Task:
    from workbench.workspace.operations import find_task

    task = find_task(workspace, name)
    task.check_pictures()
    return task


def _alphas(step: float, save: float | None) -> list[float]:
    from trainers.loop.interpolation import alpha_grid

    return sorted({*alpha_grid(1.0, step=step), *([] if save is None else [save])})


def _save(sweep: AlphaSweep, measured: Sweep, alpha: float, name: str | None) -> str:
    point = next(point for point in measured.points if point.alpha == alpha)
    return sweep.save(point, name).name


def _print_sweep(sweep: Sweep) -> None:
    from trainers.run_files import GUARD_IMAGE_TO_TEXT, GUARD_TEXT_TO_IMAGE
    from workbench.console.number_format import percent
    from workbench.console.scatter import mark, scatter
    from workbench.console.tables import Listing, show

    first = sweep.points[0]
    columns = {"val_loss": "val loss", "val_recall_at_1": "val R@1 %"}
    columns |= {GUARD_TEXT_TO_IMAGE: "affirm t2i %", GUARD_IMAGE_TO_TEXT: "affirm i2t %"}
    columns = {key: title for key, title in columns.items() if key in first.validation}
    rows = [
        (
            mark(index),
            f"{point.alpha:g}",
            *(f"{point.validation[key]:.4f}" if "loss" in key else percent(point.validation[key]) for key in columns),
            *(percent(score["value"]) for score in point.tasks.values()),
        )
        for index, point in enumerate(sweep.points)
    ]
    headers = ("", "alpha", *columns.values(), *(f"{task} %" for task in first.tasks))
    about = f"{sweep.run.name}, base {sweep.base}"
    show([Listing("Weights base + alpha * (tuned - base)", headers, rows, about=about)])
    if sweep.negated is not None and sweep.affirmative is not None:
        points = [(sweep.affirmative.value(point), sweep.negated.value(point)) for point in sweep.points]
        for line in scatter(points, x_name=sweep.affirmative.name, y_name=sweep.negated.name):
            typer.echo(line)


def _print(line: str) -> None:
    from curation_db.language.sanitize import display_text

    typer.echo(f"negwb: {display_text(line, limit=500)}", err=True)


def _print_warning(line: str) -> None:
    _print(f"warning: {line}")
