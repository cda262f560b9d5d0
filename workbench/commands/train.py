"""`negwb train`: fine-tune CLIP's text encoder on a frozen set, watched from here, done by a process of its own."""

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
  negwb train set-001                                 the published recipe, on the base model
  negwb train set-001 --model ViT-B-32:openai --name mine
  negwb train set-001 --steps 300 --batch 128 --lr 5e-5 --set replay_share=0.5
  negwb train --resume mine                           go on after Ctrl-C, a kill or a power cut

\b
The run is a folder in runs/; its model can be named by the run's name, as in
negwb bench run negrefcocog --model mine
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(train)


def train(
    context: typer.Context,
    export: Annotated[
        str | None, typer.Argument(metavar="EXPORT", help="A frozen set: its name in exports/, or a folder.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="base, a finished run, a folder, a .pth file, or NAME:PRETRAINED of open_clip.",
            show_default="base: what the newest run began with, or ViT-B-32:openai",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="RUN", help="Name of the run.", show_default="the next free one like run-001")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often each pair is seen.", show_default="15")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps, instead of epochs.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Pairs per step.", show_default="512")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.", show_default="1e-6")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the split and the order.", show_default="42")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of torch.", show_default="torch's choice")] = None,
    device: Annotated[str | None, typer.Option(help="Of torch: cpu, cuda.", show_default="cpu")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any setting of the recipe, as config.json spells it."),
    ] = None,
    save_pth: Annotated[
        bool,
        typer.Option("--save-pth", help="Also keep model.pth in the run: a state dict as NegationCLIP is published."),
    ] = False,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the model's path.")] = False,
) -> None:
    """Train on an export; the pictures' features are computed once and kept.

    Ctrl-C saves the state; a run that was stopped or killed goes on with --resume and ends with the same weights.
    """
    from trainers.errors import ModelRefused
    from workbench.jobs.runs import discard_run, prepare_run
    from workbench.jobs.runs import resume as resumable
    from workbench.workspace.layout import find_workspace
    from workbench.workspace.models import require_torch

    asked = {"epochs": epochs, "steps": steps, "batch": batch, "lr": lr, "seed": seed, "threads": threads}
    told = {key: value for key, value in asked.items() if value is not None} | pairs(settings or [])
    workspace = find_workspace(context.obj)
    require_torch()  # before a folder is made
    if resume is not None:
        if told or save_pth or any(word is not None for word in (export, model, name, device)):
            raise UsageError("--resume goes on as the run began, and takes nothing else")
        folder = resumable(workspace, resume)
    elif export is None:
        raise UsageError("an export or --resume RUN is missing", hint="see: negwb train --help")
    else:
        folder = prepare_run(
            workspace, export, model=model, name=name, settings=told, device=device or "cpu", save_pth=save_pth
        )
    try:
        state = train_run(folder)
    except ModelRefused:
        if resume is None:
            discard_run(folder)
        raise
    print_run(folder, state, as_json=as_json)


def train_run(folder: Path) -> RunState:
    """Train the run in `folder` to its end, with progress on stderr.

    Raises:
        TrainerError: it failed or was killed.
        KeyboardInterrupt: it was stopped; how to go on has been said.
    """
    from trainers.settings import read_config
    from workbench.jobs.training import run_to_end

    config = read_config(folder)
    _print(f"negwb: training {folder.name}: {config.model} on {Path(config.export).name}")
    try:
        with _progress(folder) as tell:
            return run_to_end(folder, tell, _print_process)
    except KeyboardInterrupt:
        _print(f"negwb: {_stop_message(folder)}; go on with: negwb train --resume {folder.name}")
        raise


def _print_process(folder: Path, pid: int) -> None:
    """Say what happens to the training if this command is killed; afterwards it can say nothing."""
    from workbench.jobs.process import stop_command

    _print(
        f"negwb: process {pid} trains {folder.name}; Ctrl-C, SIGTERM or a closed terminal saves its state and stops it"
    )
    _print(
        f"if this command is killed (kill -9), the training goes on; stop it then with: {stop_command(pid)}", indent=7
    )


def _stop_message(folder: Path) -> str:
    """By the saved state, from which the run goes on; what was logged may be behind or ahead of it."""
    from trainers.run_files import saved_place

    saved = saved_place(folder)
    return f"stopped after step {saved[0]:,} of {saved[1]:,}" if saved else "stopped before a step was saved"


def print_run(folder: Path, state: RunState, *, as_json: bool) -> None:
    """What came out: the model's path, or everything as one object."""
    from workbench.workspace.models import MODEL

    done = state.result
    typer.echo(json.dumps(run_json(folder, state)) if as_json else str(folder / MODEL))
    kept = f", kept step {done['kept_step']}" if done.get("kept_step") != done.get("steps") else ""
    _print(f"negwb: {folder.name} is done: {done.get('steps', 0):,} steps in {done.get('seconds', 0):,.1f} s{kept}")
    _print(f"next: negwb bench run TASK --model base --model {folder.name}", indent=7)


def run_json(folder: Path, state: RunState) -> dict[str, Any]:
    """The run as `--json` prints it."""
    from workbench.workspace.models import MODEL

    done, names = state.result, ("export_sha256", "steps", "kept_step", "seconds", "best_val_loss", "threads")
    return {
        "run": folder.name,
        "path": str(folder),
        "status": str(state.status),
        "model": str(folder / MODEL),
        "model_hash": done.get("model", {}).get("model_hash"),
        "base": done.get("base", {}).get("name"),
        "base_hash": done.get("base", {}).get("model_hash"),
        **{name: done.get(name) for name in names},
        "data": done.get("data"),
        "pth": str(folder / "model.pth") if (folder / "model.pth").is_file() else None,
    }


@contextmanager
def _progress(folder: Path) -> Iterator[Callable[[RunState], None]]:
    """A live bar in a terminal, else a line for each logged step; the run's own words go between them."""
    tail = _LogTail(folder)
    if not sys.stderr.isatty():
        shown = _StepFilter()

        def tell(state: RunState) -> None:
            if shown.is_new(state):
                _print(progress_line(state), indent=7)
            for line in tail.new_lines():
                _print_log_line(line)

        yield tell
        return
    with _bar(tail) as live:
        yield live


@contextmanager
def _bar(tail: _LogTail) -> Iterator[Callable[[RunState], None]]:
    # deferred: rich costs 50 ms that a pipe never needs
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
    from rich.text import Text

    from trainers.run_files import WARNING, read_work

    words = TextColumn("{task.description}", markup=False)
    with Progress(SpinnerColumn(), BarColumn(30), MofNCompleteColumn(), words, console=Console(stderr=True)) as bars:
        task, shown = bars.add_task("starting", total=None), _StepFilter()

        def tell(state: RunState) -> None:
            for line in tail.new_lines():
                if work := read_work(line):
                    bars.update(task, completed=work[1], total=work[2], description=work[0])
                elif line.startswith(WARNING):
                    bars.console.print(Text(f"negwb: {_clean(line)}"), style="yellow")
                else:
                    bars.console.print(Text(_clean(line)), style="dim")
            if shown.is_new(state):
                bars.update(task, completed=state.step, total=state.steps, description=_figures(state))

        yield tell


class _StepFilter:
    """Which steps were shown; a resumed run may go back to its checkpoint."""

    def __init__(self) -> None:
        self._step: int | None = None

    def is_new(self, state: RunState) -> bool:
        before, self._step = self._step, state.step
        return bool(state.steps) and state.step != before


class _LogTail:
    """The lines that log.txt gained since this was made, but for why it failed: that is told at the end."""

    def __init__(self, folder: Path) -> None:
        from trainers.run_files import FAILURE, LOG

        self._path, self._failure = folder / LOG, FAILURE
        self._at = self._path.stat().st_size if self._path.is_file() else 0

    def new_lines(self) -> list[str]:
        """Whole ones."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        lines = whole.decode("utf-8", "replace").splitlines()
        return [line for line in lines if not line.startswith(self._failure)]


def progress_line(state: RunState) -> str:
    """A step as plain words."""
    return f"step {state.step:,} of {state.steps or 0:,}  {_figures(state)}"


def _figures(state: RunState) -> str:
    """What of the newest line is a number."""
    from workbench.console.number_format import clock

    last = {name: value for name, value in state.last.items() if _is_number(value)}
    figures = [f"loss {last['loss']:.4f}"] if "loss" in last else []
    if "val_loss" in last:
        figures.append(f"val {last['val_loss']:.4f}")
    if "pairs_per_s" in last:
        figures.append(f"{last['pairs_per_s']:,.0f} pairs/s")
    if last.get("seconds") and state.step and state.steps:
        figures.append(f"{clock(last['seconds'] / state.step * (state.steps - state.step))} left")
    return "  ".join(figures)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15  # nor nan


def _print_log_line(line: str) -> None:
    """A line of the run's log; a warning stands out."""
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
