"""`negwb model`: make a model from finished ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.jobs.training.routing import Routed

_EPILOG = """\b
Examples:
  negwb model route mine                 runs/mine-routed, which other commands accept as a model
"""
_ROUTE_EPILOG = """\b
Examples:
  negwb model route mine                 runs/mine-routed: the base of mine, and the text tower of mine
  negwb model route mine --base ViT-B-32:openai --name careful
  negwb model route negationclip.pth --base ViT-B-32:openai --out careful-clip
  negwb bench run negrefcocog --model base --model mine --model mine-routed

\b
tuned:RUN names the tuned part of a routed run alone.
The folder of the model has a Python package, routed_clip, for use without negwb; see trainers/README.md.
"""

model = typer.Typer(
    name="model",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_EPILOG,
    help="Make a model from finished ones.",
)


def register(app: typer.Typer) -> None:
    app.add_typer(model)


@model.callback()
def root() -> None:
    """Make a model from finished ones."""


@model.command(epilog=_ROUTE_EPILOG)
def route(
    context: typer.Context,
    tuned: Annotated[str, typer.Argument(metavar="RUN", help="Finished run; with --base and --out, any model.")],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Encodes the texts that negate nothing.",
            show_default="the model that the run started from",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the new run.", show_default="RUN-routed")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the model to this new folder, instead of a run.")
    ] = None,
    device: Annotated[str, typer.Option(help="Torch device: cpu, cuda.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the model's path.")] = False,
) -> None:
    """Combine a base and a tuned text tower into one model, which chooses by the text.

    A text that negates something has the embedding of the run's model, any other text exactly that of the base: a task
    without negation has the base's score. The new model is as large as the run's model and its text tower.
    """
    from workbench.jobs.training.routing import route as route_model
    from workbench.workspace.layout import find_workspace

    if name is not None and out is not None:
        raise UsageError("--name names a run, and --out a folder", hint="use only one of them")
    routed = route_model(
        find_workspace(context.obj), tuned, base=base, name=name, out=out, device=device, started=_print_line
    )
    facts = routed_json(routed)
    typer.echo(json.dumps(facts) if as_json else str(routed.folder))
    for line in routed.model.warnings:
        _print_line(f"warning: {line}")
    _print_line(f"{facts['base']['name']} encodes texts that negate nothing, {facts['tuned']['name']} the others")
    shown = routed.run or routed.folder
    typer.echo(f"       next: negwb bench run TASK --model base --model {shown}", err=True)


def _print_line(line: str) -> None:
    typer.echo(f"negwb: {line}", err=True)


def routed_json(routed: Routed) -> dict[str, Any]:
    model = routed.model
    parts = model.describe()
    return {
        "run": routed.run,
        "model": str(routed.folder),
        "model_hash": parts["model_hash"],
        "cues_version": parts["routed"]["cues_version"],
        "parameters": parts["parameters"],
        **{
            name: {"name": part.name, "model_hash": parts["routed"][name]}
            for name, part in (("base", model.base), ("tuned", model.tuned))
        },
    }
