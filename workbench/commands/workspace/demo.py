"""`negwb demo`: build a small drawn workspace, to try the keys in or to run the whole pipeline unattended."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.console import interruption
from workbench.console.terminal_check import at_a_terminal

if TYPE_CHECKING:
    from curation_db.storage.store import Store
    from workbench.annotation.session import AnnotationSession
    from workbench.demo.background_build import BackgroundBuild
    from workbench.workspace.layout import Workspace

BANNER = "demo: drawn images, scripted captions, simulated judges"
_FIRST_KEYS = ("accept", "reject", "edit", "unsure", "skip", "undo", "help", "quit")
_EPILOG = """\b
Examples:
  negwb demo                            decide with the keyboard
  negwb demo --auto | tail -1           run the whole pipeline; print its figures as JSON
  negwb demo --auto --seeds 5           repeat both trainings with five seeds: an interval over seeds
  negwb demo --auto --arm negated-only  also train without affirmative captions
  negwb demo --decide                   only decide, after negwb generate for example; nothing is trained
  negwb demo recipes --compare-recipes --seeds 5  train with every recipe, in the new folder recipes
"""


def register(app: typer.Typer) -> None:
    app.command(epilog=_EPILOG)(demo)


class ExtraExperiment(StrEnum):
    NEGATED_ONLY = "negated-only"


def demo(
    path: Annotated[Path, typer.Argument(help="Folder of the demo's workspace.")] = Path("negwb-demo"),
    auto: Annotated[
        bool,
        typer.Option("--auto", help="Let a script with the ground truth decide; then train, evaluate and report."),
    ] = False,
    pictures: Annotated[int, typer.Option(min=1, max=100_000, help="Number of images to draw.")] = 700,
    seeds: Annotated[
        int, typer.Option(min=1, max=100, help="Number of seeds to repeat the trainings with (with --auto).")
    ] = 1,
    arm: Annotated[
        ExtraExperiment | None,
        typer.Option(help="Also train on negated captions alone (with --auto).", show_default=False),
    ] = None,
    compare_recipes: Annotated[
        bool,
        typer.Option(
            "--compare-recipes",
            help="Compare the recipes of negwb train in the folder, with learning rates from one sweep (half an hour).",
        ),
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of each training (with --compare-recipes).", show_default=False),
    ] = None,
    decide: Annotated[
        bool, typer.Option("--decide", help="Let the script decide the open candidates, and print their counts.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print only the JSON object, without the report; implies --auto.")
    ] = False,
) -> None:
    """Build a small workspace of drawn images and curate it.

    The images are drawn, the captions and judges are scripts, the CLIP model is tiny: nothing is downloaded. In a
    terminal you decide with the keyboard. Without a terminal, or with --auto, a script with the ground truth decides
    the open candidates. Then one model is trained on the accepted pairs and one on everything the judges passed. Both
    are evaluated with the base model, the report is printed, and the last line of stdout is one JSON object.
    """
    from workbench.workspace.models import require_torch

    started = time.monotonic()
    if compare_recipes:
        _compare_recipes(path, pictures, seeds, steps, report=not as_json)
        return
    if decide:
        counts, _ = _decide(_build(path, pictures))
        typer.echo(json.dumps(counts))
        return
    unattended = auto or as_json or not at_a_terminal()
    if unattended:
        require_torch()  # a missing torch is reported before minutes are spent
    typer.echo(f"negwb: {BANNER} → {path}", err=True)
    if unattended:
        figures = _run_unattended(_build(path, pictures), pictures, seeds, arm, report=not as_json)
        typer.echo(json.dumps({**figures, "seconds": round(time.monotonic() - started, 1)}))
        return
    raise typer.Exit(_curate(path, pictures))


def _build(path: Path, pictures: int) -> Workspace:
    from workbench.console.progress_bars import step_bars
    from workbench.demo.build import DemoSize, build_demo

    with step_bars() as progress:
        return build_demo(path, size=DemoSize(pictures=pictures), progress=progress)


def _curate(path: Path, pictures: int) -> int:
    """Let the annotator decide the first cards while a child process builds the rest; return the exit code."""
    _print_keys(path)
    from workbench.demo.build import DemoSize, is_finished, open_demo

    workspace = open_demo(path, size=DemoSize(pictures=pictures), progress=lambda *_: None)
    if is_finished(path):
        from workbench.commands.decide.curate import run_curate  # the screens cost half a second

        code = run_curate(workspace, banner=BANNER)
    else:
        code = _curate_and_build(workspace, path, pictures)
    _print_next_steps(path)
    return code


def _curate_and_build(workspace: Workspace, path: Path, pictures: int) -> int:
    from workbench.demo.background_build import BackgroundBuild

    with BackgroundBuild(path, pictures) as build:
        from workbench.commands.decide.curate import run_curate

        def banner() -> str:
            return " · ".join(filter(None, (BANNER, build.line)))

        def follow(session: AnnotationSession) -> None:
            build.on_candidates = session.candidates_arrived
            build.on_progress = session.notify

        try:
            code = run_curate(workspace, banner=banner, on_session=follow)
        finally:
            build.on_candidates = build.on_progress = lambda: None
        if not interruption.is_exit_code(code):
            _wait_for_rest(build, path)
    return code


def _wait_for_rest(build: BackgroundBuild, path: Path) -> None:
    """Wait until the demo is complete, which training and benchmarks need; Ctrl-C leaves the rest for later."""
    from workbench.console.progress_bars import step_bars

    if build.step is not None:
        typer.echo("negwb: the rest of the demo is being drawn; Ctrl-C leaves it for later", err=True)
    with step_bars() as progress:
        is_complete = build.wait(progress)
    if not is_complete:
        typer.echo(f"negwb: the demo is not complete; finish it with: negwb demo {path}", err=True)


def _print_keys(path: Path) -> None:
    """Print the keys that decide, before the first card is there."""
    from workbench.workspace.keymap import ActionMap, KeyScope
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings.settings import read_settings

    settings = Workspace(path).settings
    actions = ActionMap(read_settings(settings).curate.keys if settings.is_file() else None)
    keys = [f"{actions.cap(each)} {each.label}" for each in actions.at(KeyScope.CARD) if each.id in _FIRST_KEYS]
    typer.echo(f"       keys: {' · '.join(keys)}", err=True)


def _run_unattended(
    workspace: Workspace, pictures: int, seeds: int, extra: ExtraExperiment | None, *, report: bool
) -> dict[str, Any]:
    """Decide the open candidates by the ground truth, train, evaluate and report; return the fields of the JSON."""
    counts, event = _decide(workspace)
    figures = {**counts, **_train_and_evaluate(workspace, event, seeds, extra, report=report)}
    return {**figures, "auto": _accept_automatically(pictures, report=report)}


def _accept_automatically(pictures: int, *, report: bool) -> dict[str, Any]:
    """Measure automatic acceptance in simulated worlds of about three times as many images."""
    from workbench.console.progress_bars import step_bars
    from workbench.demo.experiment.automatic_acceptance import PICTURES, acceptance_line, measure
    from workbench.demo.simulation.corpus import IMAGES

    with step_bars(lines=True) as progress:
        auto = measure(
            pictures=pictures * PICTURES // IMAGES,
            progress=lambda done, of: progress("accepting by judges", done, of),
        )
    if report:
        typer.echo(f"\n{acceptance_line(auto)}")
    return auto


def _decide(workspace: Workspace) -> tuple[dict[str, Any], int]:
    """Decide the open candidates by the ground truth; return the counts and the record's last event."""
    from curation_db.search.overview import last_seq
    from curation_db.storage.store import open_store
    from workbench import version
    from workbench.console.progress_bars import step_bars
    from workbench.demo.simulation.annotator import decide_all, right_decisions

    with open_store(workspace.database) as store, step_bars() as progress:
        total = _counts(store)["candidates"]
        truth = right_decisions(store, workspace.root)
        decide_all(
            store, truth, version=version(), progress=lambda n: progress("deciding by the ground truth", n, total)
        )
        with store.read() as connection:
            event = last_seq(connection)
        return _counts(store), event


def _train_and_evaluate(
    workspace: Workspace, event: int, seeds: int, extra: ExtraExperiment | None, *, report: bool
) -> dict[str, Any]:
    """Freeze the sets, train, evaluate and print the report; return the figures."""
    from curation_db.storage.store import open_read_only
    from workbench.commands.bench.run import print_model
    from workbench.commands.report import gather, print_report
    from workbench.console.progress_bars import step_bars
    from workbench.demo.experiment.exam_files import NEGREF
    from workbench.demo.experiment.experiments import ALL, NEGATED_ONLY, TUNED
    from workbench.demo.experiment.loop import figures, make_plan, run_exam, train
    from workbench.demo.experiment.second_looks import look_again
    from workbench.demo.simulation.annotator import right_decisions
    from workbench.workspace.models import BASE

    experiments = [TUNED, ALL, *([NEGATED_ONLY] if extra else [])]
    plan = make_plan(workspace, event=event, experiments=experiments, seeds=seeds)
    names = ", ".join(folder.name for folder in plan.folders())
    typer.echo(f"negwb: training {names} (less than a minute each)", err=True)
    with step_bars(lines=True) as progress:
        train(plan.folders(), progress, _print_process)
    results = run_exam(workspace, plan.folders(), print_model)
    if report:
        print_report(gather(workspace, base=results[BASE][NEGREF].result["model"]["hash"]))
    with open_read_only(workspace.database) as store:
        truth = right_decisions(store, workspace.root)
    with step_bars(lines=True) as progress:
        looks = look_again(workspace, plan.runs[ALL][0], truth, progress)
    if report and looks is not None:
        typer.echo(f"\n{looks.line()}")
    second_looks = None if looks is None else looks.figures()
    return {"export_sha256": plan.export.export_sha256, **figures(plan, results), "second_looks": second_looks}


def _compare_recipes(folder: Path, pictures: int, seeds: int, steps: int | None, *, report: bool) -> None:
    """Train with every recipe; print the table, and the figures as one JSON object in the last line."""
    from workbench.console.progress_bars import step_bars
    from workbench.console.tables import show
    from workbench.demo.comparison.compare import ComparisonPlan, compare_recipes
    from workbench.demo.comparison.table import as_table
    from workbench.workspace.models import require_torch

    require_torch()
    plan = ComparisonPlan(seeds=seeds, pictures=pictures)
    if steps is not None:
        plan = replace(plan, shared={**plan.shared, "steps": steps})
    typer.echo(f"negwb: comparison of recipes → {folder}; the same command continues it", err=True)
    with step_bars(lines=True) as progress:
        figures = compare_recipes(folder, plan, progress, _print_process)
    if report:
        show([as_table(figures)])
    typer.echo(json.dumps(figures))


def _print_process(folder: Path, pid: int) -> None:
    from workbench.jobs.process import stop_command

    stop = f"if this command is killed with kill -9, stop the training with: {stop_command(pid)}"
    typer.echo(f"negwb: process {pid} trains {folder.name}; {stop}", err=True)


def _counts(store: Store) -> dict[str, Any]:
    from curation_db.search.overview import outcome

    with store.read() as connection:
        counts = outcome(connection)
    return {
        "candidates": counts.candidates,
        "accepted": counts.accepted,
        "rejected": counts.rejected,
        "judge_errors_caught": counts.rejected_as_present,
        "judge_error_rate": round(counts.rejected_as_present / counts.candidates, 4),
    }


def _print_next_steps(path: Path) -> None:
    typer.echo(f"negwb: your decisions are in {path}. Next:", err=True)
    for arguments, comment in (
        (f"-w {path} generate --limit 100", "generate candidates, by scripts instead of models; f4 shows the run"),
        (f"-w {path} export", "freeze the accepted pairs"),
        (f"-w {path} train set-001", "takes less than a minute; the demo's recipe is in negwb.toml"),
        (f"-w {path} bench run demo-negref demo-affirm", "evaluate both models on denied and affirmed phrases"),
        (f"-w {path} report --screen", "compare the results, down to the images"),
        (f"demo {path}", "continue deciding; with --auto a script does all of it"),
    ):
        typer.echo(f"       negwb {arguments:<44}  {comment}", err=True)
