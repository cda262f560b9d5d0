"""`negwb demo`: a whole small world on this machine, to try the keys on or to watch the loop run by itself."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.console.terminal_check import at_a_terminal

if TYPE_CHECKING:
    from curation_db.storage.store import Store
    from workbench.workspace.layout import Workspace

BANNER = "demo: drawn pictures, scripted captions, simulated judges"
_EPILOG = """\b
Examples:
  negwb demo                            decide with the keyboard
  negwb demo --auto | tail -1           the whole loop, and its figures as JSON
  negwb demo --auto --seeds 5           both trainings five times: an interval over seeds
  negwb demo --auto --arm negated-only  also what becomes of the text without affirmative captions
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EPILOG)(demo)


class ExtraExperiment(StrEnum):
    """A training beside the two."""

    NEGATED_ONLY = "negated-only"


def demo(
    path: Annotated[Path, typer.Argument(help="Where to build the demo's workspace.")] = Path("negwb-demo"),
    auto: Annotated[
        bool,
        typer.Option("--auto", help="Let a script that knows the truth decide what is open; then train and report."),
    ] = False,
    pictures: Annotated[int, typer.Option(min=1, max=100_000, help="How many pictures to draw.")] = 700,
    seeds: Annotated[
        int, typer.Option(min=1, max=100, help="Repeat the trainings under so many seeds (with --auto).")
    ] = 1,
    arm: Annotated[
        ExtraExperiment | None,
        typer.Option(help="Train a further way: on negated captions alone (with --auto).", show_default=False),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the JSON object alone, without the report; implies --auto.")
    ] = False,
) -> None:
    """Build a small drawn world and curate it.

    Its pictures are drawn, its captions and judges are scripts, its CLIP is tiny: nothing is downloaded. In a terminal
    you decide, with the keyboard. Without one, or with --auto, a script that knows the truth decides what is open;
    then a CLIP is trained on the accepted pairs, and one on everything that the judges passed, both are examined
    beside the base, the report is printed, and the last line of stdout is one JSON object.
    """
    from workbench.workspace.models import require_torch

    started = time.monotonic()
    by_itself = auto or as_json or not at_a_terminal()
    if by_itself:
        require_torch()  # before minutes are spent
    workspace = _build(path, pictures)
    if by_itself:
        told = _run_unattended(workspace, seeds, arm, report=not as_json)
        typer.echo(json.dumps({**told, "seconds": round(time.monotonic() - started, 1)}))
        return
    from workbench.commands.curate import run_curate  # the screens cost half a second

    code = run_curate(workspace, banner=BANNER)
    _print_next_steps(path)
    raise typer.Exit(code)


def _build(path: Path, pictures: int) -> Workspace:
    from workbench.console.progress_bars import step_bars
    from workbench.demo.build import DemoSize, build_demo

    typer.echo(f"negwb: {BANNER} → {path}", err=True)
    with step_bars() as progress:
        return build_demo(path, size=DemoSize(pictures=pictures), progress=progress)


def _run_unattended(
    workspace: Workspace, seeds: int, further: ExtraExperiment | None, *, report: bool
) -> dict[str, Any]:
    """Decide what is open by the truth, close the loop, print the report if asked; returns what the JSON says."""
    counts, event = _decide(workspace)
    return {**counts, **_train_and_evaluate(workspace, event, seeds, further, report=report)}


def _decide(workspace: Workspace) -> tuple[dict[str, Any], int]:
    """The counts after every decision, and the record's last event."""
    from curation_db.search.overview import last_seq
    from curation_db.storage.store import open_store
    from workbench import version
    from workbench.console.progress_bars import step_bars
    from workbench.demo.build import DemoFiles
    from workbench.demo.simulation.annotator import decide_all, read_truth

    with open_store(workspace.database) as store, step_bars() as progress:
        total = _counts(store)["candidates"]
        truth = read_truth(DemoFiles(workspace.root).truth)
        decide_all(store, truth, version=version(), progress=lambda n: progress("deciding by the truth", n, total))
        with store.read() as connection:
            event = last_seq(connection)
        return _counts(store), event


def _train_and_evaluate(
    workspace: Workspace, event: int, seeds: int, further: ExtraExperiment | None, *, report: bool
) -> dict[str, Any]:
    """Freeze, train, examine, report."""
    from workbench.commands.bench import print_model
    from workbench.commands.report import gather, print_report
    from workbench.console.progress_bars import step_bars
    from workbench.demo.experiment.exam_files import NEGREF
    from workbench.demo.experiment.experiments import ALL, NEGATED_ONLY, TUNED
    from workbench.demo.experiment.loop import figures, make_plan, run_exam, train
    from workbench.workspace.models import BASE

    arms = [TUNED, ALL, *([NEGATED_ONLY] if further else [])]
    plan = make_plan(workspace, event=event, arms=arms, seeds=seeds)
    names = ", ".join(folder.name for folder in plan.folders())
    typer.echo(f"negwb: training {names} (less than a minute each)", err=True)
    with step_bars(lines=True) as progress:
        train(plan.folders(), progress, _print_process)
    marks = run_exam(workspace, plan.folders(), print_model)
    if report:
        print_report(gather(workspace, base=marks[BASE][NEGREF].result["model"]["hash"]))
    return {"export_sha256": plan.export.export_sha256, **figures(plan, marks)}


def _print_process(folder: Path, pid: int) -> None:
    from workbench.jobs.process import stop_command

    stop = f"if this command is killed (kill -9), stop it with: {stop_command(pid)}"
    typer.echo(f"negwb: process {pid} trains {folder.name}; {stop}", err=True)


def _counts(store: Store) -> dict[str, Any]:
    from curation_db.search.overview import outcome

    with store.read() as connection:
        counted = outcome(connection)
    return {
        "candidates": counted.candidates,
        "accepted": counted.accepted,
        "rejected": counted.rejected,
        "judge_errors_caught": counted.rejected_as_present,
        "judge_error_rate": round(counted.rejected_as_present / counted.candidates, 4),
    }


def _print_next_steps(path: Path) -> None:
    typer.echo(f"negwb: your decisions are in {path}. Next:", err=True)
    for words, means in (
        (f"-w {path} generate --limit 100", "more candidates, by scripts in place of models; f4 shows it"),
        (f"-w {path} export", "freeze what you accepted"),
        (f"-w {path} train set-001", "less than a minute; the demo's recipe stands in negwb.toml"),
        (f"-w {path} bench run demo-negref demo-affirm", "base and trained, denied and affirmed phrases"),
        (f"-w {path} report --screen", "what it did, down to the pictures"),
        (f"demo {path}", "go on where you left; with --auto a script does it all"),
    ):
        typer.echo(f"       negwb {words:<44}  {means}", err=True)
