"""`negwb train`: fine-tune CLIP's text encoder on an export, in a child process whose progress is shown here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.commands.train.progress import print_line
from workbench.console.key_values import pairs
from workbench.errors import UsageError

if TYPE_CHECKING:
    from trainers.run_files import RunState

_EPILOG = """\b
Examples:
  negwb train set-001                                 the published recipe, from the base model
  negwb train set-001 --model ViT-B-32:openai --name mine
  negwb train set-001 --recipe negwb                  also affirmative captions; negwb train --recipes lists them
  negwb train set-001 --steps 300 --batch 128 --lr 5e-5 --set replay_share=0.5
  negwb train set-001 --detach                        in the background; watch it with: negwb report --runs
  negwb train set-001 --report-to tensorboard,wandb   also show the metrics there; keys come from the environment
  negwb train --resume mine                           continue after Ctrl-C, a kill or a power cut

\b
The run is a folder in runs/; other commands accept its name as a model:
  negwb bench run negrefcocog --model mine
"""


_RESULT_FIELDS = (
    "export_sha256",
    "steps",
    "kept_step",
    "seconds",
    "criterion",
    "best_value",
    "best_step",
    "validation_base",
    "validation",
    "threads",
)
"""Fields of done.json that `--json` prints."""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(train)


def train(
    context: typer.Context,
    export: Annotated[
        str | None, typer.Argument(metavar="EXPORT", help="Export to train on: its name in exports/, or a folder.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="base, a finished run, a folder, a .pth file, or NAME:PRETRAINED of open_clip.",
            show_default="base: the base of the newest run, or ViT-B-32:openai",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="RUN", help="Name of the run.", show_default="the next free one like run-001")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Recipe by name (see --recipes), or a .toml file; [train] in negwb.toml and options override it.",
            show_default="recipe of [train], or the published one, split by image",
        ),
    ] = None,
    recipes: Annotated[bool, typer.Option("--recipes", help="List the recipes, and train nothing.")] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the pairs.", show_default="15")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps, instead of epochs.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Pairs per step.", show_default="512")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.", show_default="1e-6")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of split and order.", show_default="42")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Torch threads.", show_default="torch's choice")] = None,
    device: Annotated[str | None, typer.Option(help="Torch device: cpu, cuda.", show_default="cpu")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any recipe setting, by its name in config.json; repeatable."),
    ] = None,
    save_pth: Annotated[
        bool,
        typer.Option(
            "--save-pth", help="Also write model.pth: a state dict in the format of the published NegationCLIP."
        ),
    ] = False,
    save_hf: Annotated[
        bool,
        typer.Option("--save-hf", help="Also write hf/: a folder for CLIPModel and CLIPTextModel of transformers."),
    ] = False,
    report_to: Annotated[
        str | None,
        typer.Option(
            "--report-to",
            metavar="NAMES",
            help="Also show the metrics in these trackers: tensorboard, wandb, trackio, with commas between.",
            show_default="none",
        ),
    ] = None,
    routed: Annotated[
        bool,
        typer.Option(
            "--routed", help="The run's model is routed: the base encodes the texts that negate nothing (negwb model)."
        ),
    ] = False,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Continue an interrupted run.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return at once; the training continues without this terminal.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the model's path, or the list of recipes.")
    ] = False,
) -> None:
    """Train on an export; image features are computed once and cached.

    Ctrl-C saves the state; --resume continues a stopped or killed run, which ends with the same weights.
    """
    from workbench.jobs.training.runs import prepare_run
    from workbench.jobs.training.runs import resume as find_resumable
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.models import require_torch

    options = {"epochs": epochs, "steps": steps, "batch": batch, "lr": lr, "seed": seed, "threads": threads}
    if recipes:
        _print_recipes(as_json=as_json)
        return
    changes = {key: value for key, value in options.items() if value is not None} | pairs(settings or [])
    workspace = find_workspace(context.obj)
    require_torch()  # before a folder is created
    if resume is not None:
        if (
            changes
            or save_pth
            or save_hf
            or any(value is not None for value in (export, model, name, recipe, device, report_to))
            or routed
        ):
            raise UsageError("--resume takes no other options: the run keeps its settings")
        folder = find_resumable(workspace, resume)
    elif export is None:
        raise UsageError("missing argument: EXPORT or --resume RUN", hint="see: negwb train --help")
    else:
        folder = prepare_run(
            workspace,
            export,
            model=model,
            name=name,
            recipe=recipe,
            settings=changes,
            device=device or "cpu",
            save_pth=save_pth,
            save_hf=save_hf,
            report_to=report_to,
            routed=routed,
        )
    _train(folder, is_new=resume is None, detach=detach, as_json=as_json)


def _train(folder: Path, *, is_new: bool, detach: bool, as_json: bool) -> None:
    """Train a run, or start its training in the background; a new run that is refused leaves no folder."""
    from trainers.errors import RunRefused
    from workbench.jobs.training.runs import discard_run

    try:
        if detach:
            _train_detached(folder, as_json=as_json)
        else:
            print_run(folder, train_run(folder), as_json=as_json)
    except RunRefused:
        if is_new:
            discard_run(folder)
        raise


def _print_recipes(*, as_json: bool) -> None:
    """Print name and summary of each recipe in a line, or all as a JSON list."""
    from dataclasses import asdict

    from trainers.recipes.recipe import list_recipes

    listed = list_recipes()
    if as_json:
        typer.echo(json.dumps([asdict(recipe) for recipe in listed]))
        return
    width = max(len(recipe.name) for recipe in listed)
    for recipe in listed:
        typer.echo(f"{recipe.name:{width}}  {recipe.summary}")


def train_run(folder: Path) -> RunState:
    """Train the run in `folder` to its end, with progress on stderr.

    Raises:
        TrainerError: the training failed or was killed.
        KeyboardInterrupt: the training was stopped; how to continue has been printed.
    """
    from workbench.commands.train.progress import training_progress
    from workbench.jobs.training.training import run_to_end

    _print_title(folder)
    try:
        with training_progress(folder) as progress:
            return run_to_end(folder, progress.on_state, progress.on_started)
    except KeyboardInterrupt:
        print_line(f"negwb: {_stop_message(folder)}; continue with: negwb train --resume {folder.name}")
        raise


def _print_title(folder: Path) -> None:
    from trainers.settings import read_config

    config = read_config(folder)
    print_line(f"negwb: training {folder.name}: {config.model} on {Path(config.export).name}")


def _train_detached(folder: Path, *, as_json: bool) -> None:
    """Start the training, and print how to watch and to stop it; it continues without this terminal.

    Raises:
        TrainerError: the process ended before it trained.
    """
    from trainers.run_files import LOG
    from workbench.jobs.process import stop_command
    from workbench.jobs.training.training import start_and_leave

    _print_title(folder)
    pid = start_and_leave(folder)
    if as_json:
        typer.echo(json.dumps({"run": folder.name, "path": str(folder), "status": "running", "pid": pid}))
    else:
        typer.echo(str(folder))
    print_line(f"negwb: process {pid} trains {folder.name}; it continues when this terminal is closed")
    print_line(f"watch it with: negwb report --runs, or tail -f {folder / LOG}", indent=7)
    print_line(f"stop it with: {stop_command(pid)}; its state is saved", indent=7)


def _stop_message(folder: Path) -> str:
    """Return where the run stopped, by the saved state, from which it resumes; the log may be behind or ahead."""
    from trainers.run_files import read_saved_steps

    saved = read_saved_steps(folder)
    return f"stopped after step {saved[0]:,} of {saved[1]:,}" if saved else "stopped before a step was saved"


def print_run(folder: Path, state: RunState, *, as_json: bool) -> None:
    """Print the path of the model, or the run as one JSON object."""
    from workbench.workspace.models import MODEL

    result = state.result
    typer.echo(json.dumps(run_json(folder, state)) if as_json else str(folder / MODEL))
    best = ""
    if result.get("kept_step") != result.get("steps"):
        best = f", kept step {result['kept_step']} (best by {result.get('criterion', 'loss')})"
    seconds = result.get("seconds", 0)
    print_line(f"negwb: {folder.name} is done: {result.get('steps', 0):,} steps in {seconds:,.1f} s{best}")
    print_line(f"next: negwb bench run TASK --model base --model {folder.name}", indent=7)


def run_json(folder: Path, state: RunState) -> dict[str, Any]:
    from trainers.settings import read_config
    from workbench.workspace.models import MODEL

    recipe = read_config(folder).recipe
    result, names = state.result, _RESULT_FIELDS
    return {
        "run": folder.name,
        "path": str(folder),
        "status": str(state.status),
        "model": str(folder / MODEL),
        "model_hash": result.get("model", {}).get("model_hash"),
        "base": result.get("base", {}).get("name"),
        "base_hash": result.get("base", {}).get("model_hash"),
        "recipe": recipe.name if recipe else None,
        "routed": result.get("model", {}).get("routed"),
        **{name: result.get(name) for name in names},
        "data": result.get("data"),
        "pth": str(folder / "model.pth") if (folder / "model.pth").is_file() else None,
        "hf": str(folder / "hf") if (folder / "hf").is_dir() else None,
    }
