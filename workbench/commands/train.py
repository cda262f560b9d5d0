"""`negwb train`: fine-tune CLIP's text encoder on an export, in a child process whose progress is shown here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
            show_default="the published one, split by image",
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
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Continue an interrupted run.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the model's path, or the list of recipes.")
    ] = False,
) -> None:
    """Train on an export; image features are computed once and cached.

    Ctrl-C saves the state; --resume continues a stopped or killed run, which ends with the same weights.
    """
    from trainers.errors import RunRefused
    from workbench.jobs.runs import discard_run, prepare_run
    from workbench.jobs.runs import resume as find_resumable
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
        if changes or save_pth or save_hf or any(value is not None for value in (export, model, name, recipe, device)):
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
        )
    try:
        state = train_run(folder)
    except RunRefused:
        if resume is None:
            discard_run(folder)
        raise
    print_run(folder, state, as_json=as_json)


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
    from trainers.settings import read_config
    from workbench.jobs.training import run_to_end

    config = read_config(folder)
    _print(f"negwb: training {folder.name}: {config.model} on {Path(config.export).name}")
    try:
        with _progress(folder) as show_state:
            return run_to_end(folder, show_state, _print_process)
    except KeyboardInterrupt:
        _print(f"negwb: {_stop_message(folder)}; continue with: negwb train --resume {folder.name}")
        raise


def _print_process(folder: Path, pid: int) -> None:
    """Print how to stop the training if this command is killed: a killed command cannot print it."""
    from workbench.jobs.process import stop_command

    _print(
        f"negwb: process {pid} trains {folder.name}; Ctrl-C, SIGTERM or a closed terminal saves its state and stops it"
    )
    _print(
        f"if this command is killed with kill -9, the training continues; stop it with: {stop_command(pid)}", indent=7
    )


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
    _print(f"negwb: {folder.name} is done: {result.get('steps', 0):,} steps in {seconds:,.1f} s{best}")
    _print(f"next: negwb bench run TASK --model base --model {folder.name}", indent=7)


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
        **{name: result.get(name) for name in names},
        "data": result.get("data"),
        "pth": str(folder / "model.pth") if (folder / "model.pth").is_file() else None,
        "hf": str(folder / "hf") if (folder / "hf").is_dir() else None,
    }


@contextmanager
def _progress(folder: Path) -> Iterator[Callable[[RunState], None]]:
    """Show a bar in a terminal, else one line per logged step; lines of the run's log are printed between them."""
    tail = _LogTail(folder)
    if not sys.stderr.isatty():
        steps = _StepFilter()

        def show_state(state: RunState) -> None:
            if steps.is_new(state):
                _print(progress_line(state), indent=7)
            for line in tail.new_lines():
                _print_log_line(line)

        yield show_state
        return
    with _bar(tail) as update_bar:
        yield update_bar


@contextmanager
def _bar(tail: _LogTail) -> Iterator[Callable[[RunState], None]]:
    # deferred import: rich costs 50 ms, and a pipe does not need it
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
    from rich.text import Text

    from trainers.run_files import WARNING, read_work

    text = TextColumn("{task.description}", markup=False)
    with Progress(SpinnerColumn(), BarColumn(30), MofNCompleteColumn(), text, console=Console(stderr=True)) as bars:
        task, steps = bars.add_task("starting", total=None), _StepFilter()

        def show_state(state: RunState) -> None:
            for line in tail.new_lines():
                if work := read_work(line):
                    bars.update(task, completed=work[1], total=work[2], description=work[0])
                elif line.startswith(WARNING):
                    bars.console.print(Text(f"negwb: {_clean(line)}"), style="yellow")
                else:
                    bars.console.print(Text(_clean(line)), style="dim")
            if steps.is_new(state):
                bars.update(task, completed=state.step, total=state.steps, description=_figures(state))

        yield show_state


class _StepFilter:
    """Detects a new step; the step of a resumed run may go back to its checkpoint."""

    def __init__(self) -> None:
        self._step: int | None = None

    def is_new(self, state: RunState) -> bool:
        before, self._step = self._step, state.step
        return bool(state.steps) and state.step != before


class _LogTail:
    """Reads the lines added to log.txt, without the cause of a failure: that is reported at the end."""

    def __init__(self, folder: Path) -> None:
        from trainers.run_files import FAILURE, LOG

        self._path, self._failure = folder / LOG, FAILURE
        self._at = self._path.stat().st_size if self._path.is_file() else 0

    def new_lines(self) -> list[str]:
        """Return the complete lines added since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._at += len(complete)
        lines = complete.decode("utf-8", "replace").splitlines()
        return [line for line in lines if not line.startswith(self._failure)]


def progress_line(state: RunState) -> str:
    """Return one line about the newest step."""
    return f"step {state.step:,} of {state.steps or 0:,}  {_figures(state)}"


def _figures(state: RunState) -> str:
    """Return loss, validation, speed and time left from the newest logged line."""
    from trainers.run_files import GUARD_IMAGE_TO_TEXT, GUARD_TEXT_TO_IMAGE
    from workbench.console.number_format import clock

    last = {name: value for name, value in state.last.items() if _is_number(value)}
    figures = [f"loss {last['loss']:.4f}"] if "loss" in last else []
    if "val_loss" in last:
        figures.append(f"val {last['val_loss']:.4f}")
    if "val_recall_at_1" in last:
        figures.append(f"R@1 {last['val_recall_at_1']:.1%}")
    if GUARD_TEXT_TO_IMAGE in last and GUARD_IMAGE_TO_TEXT in last:
        figures.append(f"affirmative R@1 {last[GUARD_TEXT_TO_IMAGE]:.1%}/{last[GUARD_IMAGE_TO_TEXT]:.1%}")
    if "pairs_per_s" in last:
        figures.append(f"{last['pairs_per_s']:,.0f} pairs/s")
    if last.get("seconds") and state.step and state.steps:
        figures.append(f"{clock(last['seconds'] / state.step * (state.steps - state.step))} left")
    return "  ".join(figures)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15  # false for NaN


def _print_log_line(line: str) -> None:
    """Print a line of the run's log; warnings get the prefix "negwb:"."""
    from trainers.run_files import WARNING

    if line.startswith(WARNING):
        _print(f"negwb: {line}")
    else:
        _print(line, indent=7)


def _print(line: str, *, indent: int = 0) -> None:
    typer.echo(" " * indent + _clean(line), err=True)


def _clean(line: str) -> str:
    from curation_db.language.sanitize import display_text

    return display_text(line, limit=500)
